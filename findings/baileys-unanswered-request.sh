#!/usr/bin/env bash
# What was believed: a request that WhatsApp does not answer ends in an error, so an answer without people, an empty list
#   of join requests or an absent invite code was believed to be WhatsApp's word.
# What is true: the request's timeout is caught below and becomes an answer that is not there, in which nobody is found:
#   an add answers [], the list of join requests is [], the invite code is undefined. Only the group's metadata throws, and
#   does not say that it was a timeout.
# Version: @whiskeysockets/baileys 7.0.0-rc14 (npm); its own socket, over a connection that takes everything and says nothing.
# Why it matters: "nobody waits for approval", "the link may not be seen" and "nobody was added" are said of requests of which
#   nothing is known. An empty answer proves nothing; look at the member list, ask again.
set -euo pipefail

[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "skipped: Baileys 7 needs Node 20"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --prefix "$dir" --no-audit --no-fund --loglevel=error --ignore-scripts --omit=optional --omit=peer \
	--legacy-peer-deps @whiskeysockets/baileys@7.0.0-rc14 >"$dir/npm.log" 2>&1 || { cat "$dir/npm.log"; exit 1; }

# Below Baileys' socket: a connection that is open, and no encryption.
cat >"$dir/stub.mjs" <<'EOF'
import {EventEmitter} from 'node:events';

export class WebSocketClient extends EventEmitter {
	isOpen = true;

	connect() {}

	send(bytes, done) {
		done();
		globalThis.sent?.(this, bytes);
	}
}

export const makeNoiseHandler = () => ({encodeFrame: (bytes) => bytes});
EOF
cat >"$dir/hooks.mjs" <<'EOF'
const url = new URL('./stub.mjs', import.meta.url).href;
const isReplaced = (name) => /(\/Client\/index|\/noise-handler)\.js$/.test(name);
export const resolve = (name, context, next) => isReplaced(name) ? {url, shortCircuit: true} : next(name, context);
EOF

cat >"$dir/run.mjs" <<'EOF'
import {register} from 'node:module';
import {readFileSync} from 'node:fs';

register('./hooks.mjs', import.meta.url);
const baileys = await import('@whiskeysockets/baileys');
const {version} = JSON.parse(readFileSync(new URL('./node_modules/@whiskeysockets/baileys/package.json', import.meta.url)));
const creds = baileys.initAuthCreds();
creds.me = {id: '15550000001:1@s.whatsapp.net', lid: '900000000000001:1@lid'};
const quiet = {level: 'silent', child: () => quiet};
for (const level of ['trace', 'debug', 'info', 'warn', 'error'])
	quiet[level] = () => {};
const sock = baileys.default({logger: quiet, defaultQueryTimeoutMs: 200, auth: {creds, keys: {get: () => ({}), set() {}}}});
const group = '120363012345678901@g.us';

const show = (value) => value instanceof Error ? `error "${value.message}"` : JSON.stringify(value) ?? 'undefined';
const ask = (call) => call().catch((error) => error).then(show);
const questions = [
	['add somebody', () => sock.groupParticipantsUpdate(group, ['15550000002@s.whatsapp.net'], 'add'), '[]'],
	['list who asks to join', () => sock.groupRequestParticipantsList(group), '[]'],
	['get the invite code', () => sock.groupInviteCode(group), 'undefined'],
	['describe the group', () => sock.groupMetadata(group), 'error "Invalid group metadata response: missing <group> node"'],
];

let same = true;
console.log(`@whiskeysockets/baileys ${version}, none of these requests is answered:`);
for (const [what, call, expected] of questions) {
	const got = await ask(call);
	console.log(`  ${what}: ${got}`);
	same = same && got === expected;
}
console.log(same ? 'As described above: no timeout is reported.' : 'CHANGED');
process.exit(same ? 0 : 1);
EOF
node "$dir/run.mjs"
