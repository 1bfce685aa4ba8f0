#!/usr/bin/env bash
# What was believed: addParticipants() gives each person the server's own code, so a 400 was believed to speak of the
#   person, as 403 and 419 do, and a rate limit to arrive as 429.
# What is true: a code that stands beside one person arrives as it is. A request that is refused as a whole (403, 429,
#   500) arrives as 400 "unknown error" for that person, exactly like a connection that is lost half way: the helper
#   looks for the person in the answer before it asks what kind of answer it is, and turns the failure into 400.
# Version: whatsapp-web.js 1.34.7 (npm); its own group class and page helper, in a stub of the page.
# Why it matters: a queue that takes 400 as a verdict gives up on everyone at full pace while the account is limited. It
#   says nothing about the person: look at the member list, wait and slow down.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm pack --silent whatsapp-web.js@1.34.7 >/dev/null && tar xzf whatsapp-web.js-1.34.7.tgz)

cat >"$dir/run.cjs" <<'EOF'
const Module = require('node:module');
const load = Module._load;
// The class below GroupChat needs a browser; what is under test does not use it.
Module._load = (name, ...rest) => name === './Chat' ?
	class { constructor(client, data) { Object.assign(this, data, {client}); } } : load(name, ...rest);
const GroupChat = require('./package/src/structures/GroupChat.js');
const {LoadUtils} = require('./package/src/util/Injected/Utils.js');

const wid = (text) => ({_serialized: text, server: text.split('@')[1]});
const id = wid('120363012345678901@g.us');
const group = {id, iAmAdmin: () => true, groupMetadata: {participants: {serialize: () => [{id: wid('15550000001@c.us')}]}}};
let answer;
const page = {
	WAWebWidFactory: {createWid: wid},
	WAWebCollections: {Chat: {get: () => group}},
	WAWebGroupQueryJob: {queryAndUpdateGroupMetadataById: async () => {}},
	WAWebQueryExistsJob: {queryWidExists: async (w) => ({wid: w})},
	WAWebWidToJid: {widToGroupJid: (w) => w, widToUserJid: (w) => w},
	WASmaxGroupsAddParticipantsRPC: {sendAddParticipantsRPC: async () => answer()},
};
global.window = {require: (name) => page[name]};
LoadUtils();
const chat = new GroupChat({pupPage: {evaluate: (f, ...args) => f(...args)}}, {id});

const person = (error) => ({name: 'AddParticipantsResponseSuccess', value: {addParticipant: [{
	addParticipantsParticipantAddedOrNonRegisteredWaUserParticipantErrorLidResponseMixinGroup:
		{value: {addParticipantsParticipantMixins: {name: 'Participant', value: {error}}}}}]}});
const client = (code) => ({name: 'AddParticipantsResponseClientError',
	value: {errorAddParticipantsClientErrors: {value: {code}}}});
const server = (code) => ({name: 'AddParticipantsResponseServerError', value: {errorServerErrors: {value: {code}}}});
const cases = [
	['the person was added', () => person(), 200],
	['the person: group is full (419)', () => person('419'), 419],
	['the request: forbidden (403)', () => client('403'), 400],
	['the request: too many requests (429)', () => client('429'), 400],
	['the request: server error (500)', () => server('500'), 400],
	['no answer, connection lost', () => { throw new Error('connection lost'); }, 400],
];

(async () => {
	console.log(`whatsapp-web.js ${require('./package/package.json').version}`);
	let same = true;
	for (const [what, make, expected] of cases) {
		answer = make;
		const {code, message} = (await chat.addParticipants(['15550000002@c.us'], {autoSendInviteV4: false}))['15550000002@c.us'];
		console.log(`  ${what}: code ${code}, "${message}"`);
		same = same && code === expected;
	}
	console.log(same ? 'As described above: refused and lost requests cannot be told apart.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})();
EOF
node "$dir/run.cjs"
