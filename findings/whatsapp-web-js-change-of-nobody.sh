#!/usr/bin/env bash
# What was believed: removeParticipants() and its siblings answer {status: 200} because somebody was removed, promoted or
#   demoted; who is not in the group was believed to be an error, as it is to WhatsApp (404).
# What is true: whoever is not found among the members that the page has is dropped before the request is made, and the
#   answer is {status: 200} all the same, also when nobody is left. So it is for somebody who is no member, and for a member
#   whose LID the page does not know while its look-up of the number finds nothing: they stay, with a 200.
# Version: whatsapp-web.js 1.34.7 (npm); its own group class and page helper, in a stub of the page.
# Why it matters: a removal that is believed leaves somebody in the group who should not read on, and a promotion nobody in
#   charge. 200 is no word about the person: look at the member list.
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

const wid = (text) => ({_serialized: text, server: text.split('@')[1], toString: () => text});
const id = wid('120363012345678901@g.us');
const members = ['15550000001@c.us', '15550000002@c.us', '15550000003@c.us'].map((text) => ({id: wid(text)}));
const participants = {get: (text) => members.find((member) => member.id._serialized === String(text)), serialize: () => members};
const group = {id, iAmAdmin: () => true, groupMetadata: {participants}};
let asked;
const change = async (chat, people) => { asked.push(...people.map((member) => member.id._serialized)); };
const page = {
	WAWebWidFactory: {createWid: wid},
	WAWebCollections: {Chat: {get: () => group, find: async () => group}},
	WAWebApiContact: {getCurrentLid: () => undefined},
	WAWebQueryExistsJob: {queryWidExists: async (one) => String(one) === '15550000003@c.us' ? null : {wid: one}},
	WAWebModifyParticipantsGroupAction: {removeParticipants: change, promoteParticipants: change, demoteParticipants: change},
};
global.window = {require: (name) => page[name]};
LoadUtils();
const chat = new GroupChat({pupPage: {evaluate: (f, ...args) => f(...args)}}, {id});

const cases = [
	['a member', '15550000002@c.us', '15550000002@c.us'],
	['somebody who is no member', '15550000009@c.us', ''],
	['a member whose number the look-up does not find', '15550000003@c.us', ''],
];

(async () => {
	console.log(`whatsapp-web.js ${require('./package/package.json').version}`);
	let same = true;
	for (const name of ['removeParticipants', 'promoteParticipants', 'demoteParticipants'])
		for (const [who, jid, expected] of cases) {
			asked = [];
			const answer = JSON.stringify(await chat[name]([jid]));
			console.log(`  ${name}, ${who}: WhatsApp is asked about ${asked.join(', ') || 'nobody'}, the answer is ${answer}`);
			same = same && answer === '{"status":200}' && asked.join() === expected;
		}
	console.log(same ? 'As described above: 200, whoever it was.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})();
EOF
node "$dir/run.cjs"
