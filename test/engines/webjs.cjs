/*
 * webjs.cjs FOLDER -- what the whatsapp-web.js in that folder makes of the cases of whatsapp.cjs.
 *
 * Contract: its own client, group class and injected helper; ours is the page below them (browser.cjs) and, for packages
 * that are not installed (puppeteer), an empty class.  Prints what baileys.cjs prints.
 */
const {join} = require('node:path');
const Module = require('node:module');
const gateway = require('./gateway.cjs');
const page = require('./browser.cjs');
const cases = require('./whatsapp.cjs');

class Absent {
	static setFfmpegPath() {}
}

const folder = process.argv[2];
const original = Module._load;
Module._load = (name, ...rest) => /^(\.|\/|node:)/.test(name) || Module.builtinModules.includes(name) ? original(name, ...rest) : Absent;

const {version} = require(join(folder, 'package.json'));
const Client = require(join(folder, 'src/Client.js'));
const GroupChat = require(join(folder, 'src/structures/GroupChat.js'));
const {LoadUtils} = require(join(folder, 'src/util/Injected/Utils.js'));
const events = ['group_join', 'group_leave', 'group_admin_changed', 'group_membership_request', 'group_update'];

const ids = (who) => who.map((one) => cases.phone(one).replace('s.whatsapp.net', 'c.us'));

// The gateway's routes that a case can ask, and the function of whatsapp-web.js behind each.
const asks = {
	add: ({chat}, {who, options}) => chat.addParticipants(ids(who), options),
	remove: ({chat}, {who}) => chat.removeParticipants(ids(who)),
	promote: ({chat}, {who}) => chat.promoteParticipants(ids(who)),
	demote: ({chat}, {who}) => chat.demoteParticipants(ids(who)),
	group: ({client}) => client.getChatById(cases.group),
	participants: async ({client}) => (await client.getChatById(cases.group)).participants,
	groups: async ({client}) => (await client.getChats()).filter((chat) => chat.isGroup),
	create: ({client}, {who}) => client.createGroup('Cohort', ids(who)),
	invite: ({chat}) => chat.getInviteCode(),
	requests: async ({client}) => gateway.joinRequests(await client.getGroupMembershipRequests(cases.group)),
	exists: async ({client}, {who}) => {
		const id = await client.getNumberId(ids(who)[0]);
		return gateway.exists(id && {exists: true, jid: id._serialized});
	},
	event: async ({client}, {event}) => {
		const seen = [];
		for (const name of events)
			client.on(name, (data) => seen.push({name, data}));
		client.pupPage.evaluate = async () => {};	// the page's own listeners are not needed
		await client.attachEventListeners();
		client.pupPage.exposed.onAddMessageEvent(event);
		return seen;
	},
};

(async () => {
	const answers = [];
	for (const one of cases.webjs) {
		const client = new Client({authStrategy: {setup() {}}});
		client.pupPage = page.open(one);
		LoadUtils();
		window.WWebJS.getProfilePicThumbToBase64 = async () => undefined;
		const chat = new GroupChat(client, {id: page.wid(cases.group), groupMetadata: {}});
		for (const ask of one.asks)
			answers.push({case: one.name, ask, who: one.who?.map(cases.phone), ...await gateway.pass(() => asks[ask]({client, chat}, one))});
	}
	console.log(JSON.stringify({engine: 'whatsapp-web.js', version, answers}));
	process.exit(0);
})();
