/*
 * browser.cjs -- a page of WhatsApp Web as whatsapp-web.js sees it: the few modules that it calls, over a case's data.
 *
 * Contract: one case at a time, since window is global.  A case says who is in the group (members: {id, admin}), which phones
 * are known to a LID (pairs), who is not registered (unregistered), what requests answer (said, by name), and whether ids cross
 * the page's border without their text (bare).
 */
const cases = require('./whatsapp.cjs');

class Wid {
	constructor(text) {
		[this.user, this.server] = text.split('@');
		this._serialized = text;
	}

	toString() { return this._serialized; }
}

const wid = (text) => new Wid(text.replace('@s.whatsapp.net', '@c.us'));

class ServerStatusCodeError extends Error {
	constructor(code) {
		super(`server status ${code}`);
		this.name = 'ServerStatusCodeError';
		this.status = code;
	}
}

function throwing(code) {
	throw typeof code === 'number' ? new ServerStatusCodeError(code) : new Error(code);
}

// The group as the page's store has it.
function chatOf(one) {
	const members = (one.members ?? []).map(({id, admin}) => ({id: wid(id), isAdmin: !!admin, isSuperAdmin: admin === 'superadmin'}));
	const metadata = {
		announce: false,
		participants: {
			get: (id) => members.find((member) => member.id._serialized === id),
			serialize: () => one.members && members,
		},
		serialize: () => ({id: wid(cases.group), subject: 'Support', creation: 1700000000, owner: wid(cases.me), announce: false,
			restrict: false, size: one.size ?? members.length, participants: members.map((member) => ({...member})), ...one.metadata}),
	};
	return {
		id: wid(cases.group), formattedTitle: 'Support', name: 'Support', groupMetadata: metadata, mute: {expiration: 0},
		iAmAdmin: () => one.admin ?? true,
		serialize: () => ({id: wid(cases.group), t: 1796000000, unreadCount: 0}),
	};
}

const rpc = (name, value) => ({name, value});
const added = (value, name = 'Participant') => rpc('AddParticipantsResponseSuccess', {addParticipant: [{
	addParticipantsParticipantAddedOrNonRegisteredWaUserParticipantErrorLidResponseMixinGroup:
		{value: {addParticipantsParticipantMixins: {name, value}}}}]});

// What an add of one person answers: a code for the person, or a refusal of the request.
function addAnswer(told = {}) {
	if (told.person)
		return added({error: told.person});
	if (told.card)
		return added({error: '403', addRequestCode: 'Xy7Zz0Aa1Bb2Cc3D', addRequestExpiration: 1796300000}, 'ParticipantRequestCodeCanBeSent');
	if (told.client)
		return rpc('AddParticipantsResponseClientError', {errorAddParticipantsClientErrors: {value: {code: told.client}}});
	if (told.server)
		return rpc('AddParticipantsResponseServerError', {errorServerErrors: {value: {code: told.server}}});
	return told.lost ? throwing('connection lost') : added({});
}

function modules(one) {
	const chat = chatOf(one);
	const said = one.said ?? {};
	const pairs = Object.entries(one.pairs ?? {});
	const phoneOf = (id) => pairs.filter(([lid]) => lid === id._serialized).map(([, phone]) => wid(phone))[0];
	const lidOf = (id) => pairs.filter(([, phone]) => wid(phone)._serialized === id._serialized).map(([lid]) => wid(lid))[0];
	const change = async () => said.refused === undefined || throwing(said.refused);
	const isRegistered = (id) => !(one.unregistered ?? []).includes(id?._serialized);

	return {
		WAWebWidFactory: {createWid: wid},
		WAWebCollections: {
			Chat: {get: () => chat, find: async () => chat, getModelsArray: () => [chat]},
			Contact: {gadd() {}},
			GroupMetadata: {update: async () => {}},
		},
		WAWebGroupQueryJob: {queryAndUpdateGroupMetadataById: async () => {}},
		WAWebApiContact: {getPhoneNumber: phoneOf, getCurrentLid: lidOf},
		WAWebLidMigrationUtils: {toPn: (id) => id.server === 'lid' ? phoneOf(id) : id},
		WAWebQueryExistsJob: {queryWidExists: async (id) => isRegistered(id) ? {wid: said.exists ? wid(said.exists) : id} : null},
		WAWebWidToJid: {widToGroupJid: (id) => id._serialized, widToUserJid: (id) => id._serialized},
		WASmaxGroupsAddParticipantsRPC: {sendAddParticipantsRPC: async ({participantArgs: [{participantJid}]}) => addAnswer(said[participantJid] ?? said.add)},
		WAWebChatSendMessages: {sendGroupInviteMessage: async () => ({messageSendResult: said.cardResult ?? 'OK'})},
		WAWebModifyParticipantsGroupAction: {removeParticipants: change, promoteParticipants: change, demoteParticipants: change},
		WAWebMexFetchGroupInviteCodeJob: {fetchMexGroupInviteCode: async () => said.refused === undefined ? said.invite : throwing(said.refused)},
		WAWebGroupCreateJob: {createGroup: async () => said.refused === undefined ? said.created(wid) : throwing(said.refused)},
		WAWebApiMembershipApprovalRequestStore: {getMembershipApprovalRequests: async () => said.requests(wid)},
	};
}

// The page of a case, as puppeteer would show it; what crosses its border is plain data.
function open(one) {
	const found = modules(one);
	const exposed = {};
	global.window = {require: (name) => found[name] ?? throwing(`no module ${name}`)};
	return {
		exposed,
		exposeFunction: async (name, call) => { exposed[name] = call; },
		evaluate: async (call, ...args) => {
			const result = await call(...args);
			return result === undefined ? undefined : JSON.parse(JSON.stringify(result, (key, value) => one.bare && key === '_serialized' ? undefined : value));
		},
	};
}

module.exports = {open, wid};
