#!/usr/bin/env bash
# What was believed: onWhatsApp() names whoever is on WhatsApp, so a number that is not in its answer was believed to have no
#   account; a look-up that WhatsApp refuses was believed to be an error.
# What is true: WhatsApp refuses a look-up inside an answer of success: an error for the protocol, with the seconds to wait,
#   beside an empty list. The list alone is read. The answer is the same [] as for a number without an account, and is
#   given at once, without a word of the refusal or of the hour that WhatsApp asks to wait.
# Version: @whiskeysockets/baileys 7.0.0-rc14 (npm); its own socket, over answers made by hand.
# Why it matters: who cleans a list of contacts by it deletes real people while the account is limited, and goes on asking.
#   A no is worth hours at most, and several in a row are a sign of the limit, not of dead numbers.
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

const node = (tag, attrs = {}, content = undefined) => ({tag, attrs, content});
const number = '15550000002@s.whatsapp.net';
const user = (type) => node('user', {jid: number}, [node('contact', {type}, Buffer.from('+15550000002'))]);
const refusal = node('result', {}, [node('contact', {}, [node('error', {code: '429', backoff: '3600', text: 'rate-overlimit'})])]);
const cases = [
	['the number has an account', [node('list', {}, [user('in')])], '[{"jid":"15550000002@s.whatsapp.net","exists":true}]'],
	['the number has none', [node('list', {}, [user('out')])], '[]'],
	['refused, to be asked again in an hour', [refusal, node('list', {}, [])], '[]'],
];

let same = true;
console.log(`@whiskeysockets/baileys ${version}, onWhatsApp() where WhatsApp says:`);
for (const [what, parts, expected] of cases) {
	globalThis.sent = async (ws, bytes) => {
		const {attrs} = await baileys.decodeBinaryNode(bytes);
		ws.emit(`TAG:${attrs.id}`, node('iq', {id: attrs.id, type: 'result'}, [node('usync', {}, parts)]));
	};
	const got = JSON.stringify(await sock.onWhatsApp(number));
	console.log(`  ${what}: ${got}`);
	same = same && got === expected;
}
console.log(same ? 'As described above: a refusal is a no.' : 'CHANGED');
process.exit(same ? 0 : 1);
EOF
node "$dir/run.mjs"
