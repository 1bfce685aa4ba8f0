/*
 * baileys.cjs FOLDER -- what a Baileys in that folder makes of the cases of whatsapp.cjs.
 *
 * Contract: Baileys' own code from its public functions down to its codec; only the connection is ours (wire_stub.cjs).
 * Prints JSON: {engine, version, answers: [{case, ask, who, status, json or text}]}, as a gateway passes them on (gateway.cjs).
 */
const {join} = require('node:path');
const {pathToFileURL} = require('node:url');
const Module = require('node:module');
const gateway = require('./gateway.cjs');
const cases = require('./whatsapp.cjs');

const folder = process.argv[2];
const {version, type} = require(join(folder, 'package.json'));

async function load() {
	if (type === 'module') {
		Module.register('./hooks.mjs', pathToFileURL(__filename));
		return import(pathToFileURL(join(folder, 'lib/index.js')).href);
	}
	const original = Module._load;
	Module._load = (name, parent, ...rest) =>
		original(/^\.\/Client$|\/noise-handler$/.test(name) ? join(__dirname, 'wire_stub.cjs') : name, parent, ...rest);
	return require(join(folder, 'lib'));
}

const quiet = {level: 'silent', child: () => quiet};
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
	quiet[level] = () => {};

function open(baileys) {
	const store = new Map();
	const creds = baileys.initAuthCreds();
	creds.me = {id: cases.me.replace('@', ':7@'), lid: cases.meLid.replace('@', ':7@'), name: 'Us'};
	creds.accountSettings = {unarchiveChats: false};
	return baileys.default({
		logger: quiet,
		defaultQueryTimeoutMs: 50,
		auth: {creds, keys: {
			get: (kind, ids) => Object.fromEntries(ids.map((id) => [id, store.get(kind + id)])),
			set: (data) => Object.entries(data).forEach(([kind, values]) =>
				Object.entries(values ?? {}).forEach(([id, value]) => store.set(kind + id, value))),
		}},
	});
}

// What WhatsApp answers is found by the request's first node: <add>, <query>, <usync>, ...
function answer(said) {
	return (node) => {
		const asked = node.content?.[0]?.tag;
		const told = said[asked] ?? said.any;
		if (told === undefined || told === 'closed')
			return told;
		return {tag: 'iq', attrs: {id: node.attrs.id, from: node.attrs.to, type: told.error ? 'error' : 'result'},
			content: told.error ? [{tag: 'error', attrs: told.error}] : told};
	};
}

// The gateway's routes that a case can ask, and the function of Baileys behind each.
const asks = {
	add: (sock, {who}) => sock.groupParticipantsUpdate(cases.group, who.map(cases.phone), 'add'),
	remove: (sock, {who}) => sock.groupParticipantsUpdate(cases.group, who.map(cases.phone), 'remove'),
	promote: (sock, {who}) => sock.groupParticipantsUpdate(cases.group, who.map(cases.phone), 'promote'),
	demote: (sock, {who}) => sock.groupParticipantsUpdate(cases.group, who.map(cases.phone), 'demote'),
	group: (sock) => sock.groupMetadata(cases.group),
	participants: async (sock) => (await sock.groupMetadata(cases.group)).participants,
	groups: (sock) => sock.groupFetchAllParticipating(),
	create: (sock, {who}) => sock.groupCreate('Cohort', who.map(cases.phone)),
	invite: (sock) => sock.groupInviteCode(cases.group),
	requests: async (sock) => gateway.joinRequests(await sock.groupRequestParticipantsList(cases.group)),
	timelock: async (sock) => gateway.timelock(await sock.fetchAccountReachoutTimelock()),
	capping: async (sock) => gateway.capping(await sock.fetchNewChatMessageCap()),
	exists: async (sock, {who}) => gateway.exists((await sock.onWhatsApp(cases.phone(who[0])))[0]),
	event: (sock, {event}) => new Promise((resolve) => {
		const seen = [];
		for (const name of ['group-participants.update', 'group.join-request', 'groups.update', 'groups.upsert'])
			sock.ev.on(name, (data) => seen.push({name, data}));
		globalThis.connection.emit('CB:notification', event);
		setTimeout(() => resolve(seen), 100);
	}),
};

// A request that ends twice, by a lost connection and by its timeout, leaves a promise that nobody waits for.
process.on('unhandledRejection', () => {});

(async () => {
	const baileys = await load();
	const answers = [];
	globalThis.decodeNode = baileys.decodeBinaryNode;
	for (const one of cases.baileys.filter(({since}) => !since || Number(version.split('.')[0]) >= since)) {
		const sock = open(baileys);
		globalThis.whatsapp = answer(one.said ?? {});
		globalThis.connection.isOpen = !one.offline;
		for (const ask of one.asks)
			answers.push({case: one.name, ask, who: one.who?.map(cases.phone), ...await gateway.pass(() => asks[ask](sock, one))});
	}
	console.log(JSON.stringify({engine: 'Baileys', version, answers}));
	process.exit(0);
})();
