#!/usr/bin/env bash
# What was believed: where WhatsApp sends a member's phone number beside a LID, the metadata has it, too.
# What is true: not for members on the servers for hosted business numbers. Beside a LID of the server "hosted.lid" a phone number is
#   dropped, and so is one of the server "hosted" beside a plain LID: only "lid" and "s.whatsapp.net" are looked for.
# Version: @whiskeysockets/baileys 7.0.0-rc14 (npm), its own parser over an answer made by hand.
# Why it matters: such a member cannot be found by phone in a list that looks complete, all of it readable. Who is sought by
#   phone may be behind any entry that has none, and is not to be invited again.
set -euo pipefail

[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "skipped: Baileys 7 needs Node 20"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --prefix "$dir" --no-audit --no-fund --loglevel=error --ignore-scripts --omit=optional --omit=peer \
	--legacy-peer-deps @whiskeysockets/baileys@7.0.0-rc14 >"$dir/npm.log" 2>&1 || { cat "$dir/npm.log"; exit 1; }

cat >"$dir/run.mjs" <<'EOF'
import {readFileSync} from 'node:fs';

const folder = new URL('./node_modules/@whiskeysockets/baileys/', import.meta.url);
const {extractGroupMetadata} = await import(new URL('lib/Socket/groups.js', folder));
const {version} = JSON.parse(readFileSync(new URL('package.json', folder)));
const members = [
	['900000000000002@lid', '15550000002@s.whatsapp.net', '15550000002@s.whatsapp.net'],
	['900000000000003@hosted.lid', '15550000003@s.whatsapp.net', undefined],
	['900000000000004@lid', '15550000004@hosted', undefined],
];
const {participants} = extractGroupMetadata({tag: 'iq', attrs: {}, content: [{
	tag: 'group',
	attrs: {id: '120363012345678901', subject: 'Support', addressing_mode: 'lid', s_t: '1700000000', creation: '1700000000'},
	content: members.map(([jid, phone]) => ({tag: 'participant', attrs: {jid, phone_number: phone}})),
}]});

let same = participants.length === members.length;
console.log(`@whiskeysockets/baileys ${version}:`);
for (const [i, [jid, phone, expected]] of members.entries()) {
	console.log(`  ${jid} with ${phone}: id ${participants[i].id}, phoneNumber ${participants[i].phoneNumber}`);
	same = same && participants[i].id === jid && participants[i].phoneNumber === expected;
}
console.log(same ? 'As described above.' : 'CHANGED');
process.exit(same ? 0 : 1);
EOF
node "$dir/run.mjs"
