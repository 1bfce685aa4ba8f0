#!/usr/bin/env bash
# What was believed: the end of a timelock (no messages to people who never wrote) is WhatsApp's, so it was believed safe to
#   write to strangers again when it is over.
# What is true: where WhatsApp's notification has no end, the event says one minute from now, made up (after WhatsApp's own web
#   client, its source says). Asked for the same state, the same release says that there is no end.
# Version: @whiskeysockets/baileys 7.0.0-rc14 (npm); its own socket, given a notification and an answer made by hand.
# Why it matters: who waits for that minute writes to strangers while the timelock lasts, which makes it worse. An end a minute
#   away is no end: ask for the state first.
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

const state = {is_active: true, enforcement_type: 'BIZ_QUALITY'};
const content = (data) => Buffer.from(JSON.stringify({data}));
const ends = [];
sock.ev.on('connection.update', ({reachoutTimeLock}) => reachoutTimeLock && ends.push(reachoutTimeLock.timeEnforcementEnds));

const before = Date.now();
sock.ws.emit('CB:notification', {tag: 'notification', attrs: {id: 'N1', from: 's.whatsapp.net', type: 'mex', t: '1700000000'}, content: [
	{tag: 'update', attrs: {op_name: 'NotificationUserReachoutTimelockUpdate'}, content: content({xwa2_notify_account_reachout_timelock: state})}]});
await new Promise((resolve) => { setTimeout(resolve, 500); });
globalThis.sent = async (ws, bytes) => {
	const {attrs} = await baileys.decodeBinaryNode(bytes);
	ws.emit(`TAG:${attrs.id}`, {tag: 'iq', attrs: {id: attrs.id, type: 'result'}, content: [
		{tag: 'result', attrs: {}, content: content({xwa2_fetch_account_reachout_timelock: state})}]});
};
const {timeEnforcementEnds} = await sock.fetchAccountReachoutTimelock();

const seconds = (ends[0] - before) / 1000;
console.log(`@whiskeysockets/baileys ${version}: a timelock is active, WhatsApp names no end.`);
console.log(`  notified: ends in ${Math.floor(seconds)} s`);
console.log(`  asked for: ends ${timeEnforcementEnds ?? 'at a time that is not told'}`);
const same = seconds >= 60 && seconds < 75 && timeEnforcementEnds === undefined;
console.log(same ? 'As described above.' : 'CHANGED');
process.exit(same ? 0 : 1);
EOF
node "$dir/run.mjs"
