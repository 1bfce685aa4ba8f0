#!/usr/bin/env bash
# What was believed: the size in a group's metadata counts the participants listed beside it, so the list was believed
#   to be complete and a person who is not in it to be no member.
# What is true: it depends on the release. 6.7.18 counts the list and throws away the size that the server states: a list
#   that is cut short looks complete. 7.0.0-rc14 hands on the server's size, which may exceed the list. The same answer of
#   the server is "2 of 2" in one and "2 of 1000" in the other; nothing else in the metadata tells them apart.
# Version: @whiskeysockets/baileys 6.7.18 and 7.0.0-rc14 (npm), their own parser over an answer made by hand.
# Why it matters: absence from a list decides whether somebody is invited again or counted as gone. With 7.0.0-rc14 the
#   size proves the list incomplete; with 6.7.18 no figure can, and only a list that shrank at a stroke gives it away.
set -euo pipefail

[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "skipped: Baileys 7 needs Node 20"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --prefix "$dir/new" --no-audit --no-fund --loglevel=error --ignore-scripts --omit=optional --omit=peer \
	--legacy-peer-deps @whiskeysockets/baileys@7.0.0-rc14 >"$dir/npm.log" 2>&1 || { cat "$dir/npm.log"; exit 1; }
# 6.7.18 takes a dependency from outside the registry; its parser needs none of them.
(cd "$dir" && npm pack --silent @whiskeysockets/baileys@6.7.18 >/dev/null && tar xzf whiskeysockets-baileys-6.7.18.tgz)

cat >"$dir/run.cjs" <<'EOF'
const Module = require('node:module');
const {readFileSync} = require('node:fs');
const modern = './new/node_modules/@whiskeysockets/baileys';
const load = Module._load;
const unused = ['@hapi/boom', '../../WAProto', '../Types', '../Utils', './chats'];

const participant = (user, type) => ({tag: 'participant', attrs: {jid: `${user}@s.whatsapp.net`, ...(type && {type})}});
const answer = {tag: 'iq', attrs: {}, content: [{
	tag: 'group',
	attrs: {id: '120363012345678901', subject: 'Announcements', size: '1000', s_t: '1700000000', creation: '1700000000'},
	content: [participant('15550000001', 'superadmin'), participant('15550000002')],
}]};

(async () => {
	const {extractGroupMetadata: rc14} = await import(`${modern}/lib/Socket/groups.js`);
	Module._load = (name, ...rest) => unused.includes(name) ? {} : load(name, ...rest);
	const {extractGroupMetadata: old} = require('./package/lib/Socket/groups.js');

	let same = true;
	console.log('The server states size 1000 and lists 2 participants.');
	for (const [where, parse, expected] of [['./package', old, 2], [modern, rc14, 1000]]) {
		const {version} = JSON.parse(readFileSync(`${__dirname}/${where}/package.json`));
		const {size, participants} = parse(answer);
		console.log(`  @whiskeysockets/baileys ${version}: size ${size}, ${participants.length} participants listed`);
		same = same && size === expected && participants.length === 2;
	}
	console.log(same ? 'As described above.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})();
EOF
node "$dir/run.cjs"
