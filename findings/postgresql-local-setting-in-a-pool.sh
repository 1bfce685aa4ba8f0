#!/usr/bin/env bash
# What was believed: set_config(name, value, true), as SET LOCAL, leaves nothing behind when the transaction ends, so that
#   current_setting(name, true) IS NULL was believed to mean "nobody has set it" in a pooled session, too.
# What is true: the value goes, the setting stays. From then on every borrower of that connection reads '' instead of
#   NULL, also after ROLLBACK, RESET, RESET ALL and DISCARD ALL (what poolers send between clients). Only a new
#   connection reads NULL again.
# Version: PostgreSQL 18.4 (npm: @embedded-postgres 18.4.0-beta.17), node-postgres' pool (npm: pg 8.23.1).
# Why it matters: "who asks" and "which tenant" travel in such settings. coalesce(current_setting('app.tenant', true),
#   'nobody') and a cast to integer pass every test in a fresh session and fail behind a pool, for the second client.
#   Write nullif(current_setting(name, true), '').
set -euo pipefail

dir=$(mktemp -d)
as_user=()
server=@embedded-postgres/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
bin=$dir/node_modules/$server/native/bin
stop() {
	[ ! -e "$dir/data/postmaster.pid" ] || "${as_user[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null || true
	rm -rf "$dir"
}
trap stop EXIT
npm install --prefix "$dir" --no-audit --no-fund --loglevel=error "$server@18.4.0-beta.17" pg@8.23.1 \
	>"$dir/npm.log" 2>&1 || { cat "$dir/npm.log"; exit 1; }
# A private server that listens on a Unix socket only; PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chown 65534 "$dir"
fi
"${as_user[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync >"$dir/initdb.log" 2>&1 ||
	{ cat "$dir/initdb.log"; exit 1; }
"${as_user[@]}" "$bin/pg_ctl" -w -D "$dir/data" -l "$dir/data/log" -o "-k $dir -c listen_addresses='' -c fsync=off" start >/dev/null

cat >"$dir/run.cjs" <<'EOF'
const {Pool} = require('pg');
const pool = new Pool({host: __dirname, user: 'postgres', database: 'postgres', max: 1});

async function borrow(work) {
	const client = await pool.connect();
	try {
		return await work(client);
	} finally {
		client.release();
	}
}
const read = (name) => borrow(async (client) =>
	(await client.query('SELECT current_setting($1, true) AS value', [name])).rows[0].value);
const integer = (name) => borrow((client) => client.query('SELECT current_setting($1, true)::int', [name]))
	.then(() => 'no error', (error) => error.code);

(async () => {
	const seen = [];
	const note = (what, value) => { seen.push(value); console.log(`  ${what}: ${JSON.stringify(value)}`); };
	console.log((await borrow((client) => client.query('SELECT version()'))).rows[0].version.split(' on ')[0] +
		`, pg ${require('pg/package.json').version}`);

	note('before anybody set it', await read('app.tenant'));
	note('its cast to integer', await integer('app.tenant'));
	await borrow((client) => client.query("BEGIN; SELECT set_config('app.tenant', '7', true); COMMIT"));
	note('next client, after a transaction that set it locally', await read('app.tenant'));
	note('its cast to integer', await integer('app.tenant'));
	for (const reset of ['RESET app.tenant', 'RESET ALL', 'DISCARD ALL']) {
		await borrow((client) => client.query(reset));
		note(`after ${reset}`, await read('app.tenant'));
	}
	await borrow((client) => client.query("BEGIN; SELECT set_config('app.other', '7', true); ROLLBACK"));
	note('another setting, after a ROLLBACK', await read('app.other'));
	await borrow(async (client) => client.end());
	note('new connection', await read('app.tenant'));
	await pool.end();

	const same = JSON.stringify(seen) === JSON.stringify([null, 'no error', '', '22P02', '', '', '', '', null]);
	console.log(same ? 'As described above.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})().catch((error) => { console.error(error); process.exit(1); });
EOF
node "$dir/run.cjs"
