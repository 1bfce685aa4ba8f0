#!/usr/bin/env bash
# What was believed: participant and participantPn of a join request's event are the two ids of one person, so the pair was
#   believed to tell the phone number behind a LID.
# What is true: when an admin rejects a request, and WhatsApp names the person who asked by LID alone, participant is that
#   LID and participantPn is the admin's phone number: what is absent of the one is filled in from the other.
# Version: @whiskeysockets/baileys 7.0.0-rc14 (npm); its own socket, given a notification made by hand.
# Why it matters: who learns LIDs from that pair takes a stranger for the admin from then on, in every member list. Pairs
#   are to be learnt from member lists and answers; of this event only where author and participant are one.
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

const admin = {participant: '900000000000009@lid', participant_pn: '15550000009@s.whatsapp.net'};
const events = [];
sock.ev.on('group.join-request', (event) => events.push(event));
sock.ws.emit('CB:notification', {tag: 'notification', attrs: {id: 'N1', from: group, type: 'w:gp2', t: '1700000000', ...admin}, content: [
	{tag: 'revoked_membership_requests', attrs: {}, content: [{tag: 'participant', attrs: {jid: '900000000000002@lid'}}]}]});
await new Promise((resolve) => { setTimeout(resolve, 500); });

console.log(`@whiskeysockets/baileys ${version}: the admin 900000000000009@lid, 15550000009, rejects the request of 900000000000002@lid:`);
console.log(`  ${JSON.stringify(events[0])}`);
const same = events.length === 1 && events[0].action === 'rejected' &&
	events[0].participant === '900000000000002@lid' && events[0].participantPn === admin.participant_pn;
console.log(same ? 'As described above: a LID of one person beside the phone number of another.' : 'CHANGED');
process.exit(same ? 0 : 1);
EOF
node "$dir/run.mjs"
