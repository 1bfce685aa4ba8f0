#!/usr/bin/env bash
# What was believed: text and name are one operator family of btree, so that WHERE t = $1::name ORDER BY p LIMIT 1 is served
#   by an index on (t, p) as WHERE t = $1::text is: one row read.
# What is true: where the column is text COLLATE "C" the index is used for the condition, but not for the order: all rows of
#   that t are read and sorted. The other way round, a name column compared with text, the order is used. The planner
#   joins comparison and index order only when their lists of operator families are equal; text's equality is in one more.
# Version: PostgreSQL 18.4 (npm: @embedded-postgres 18.4.0-beta.17), node-postgres (npm: pg 8.23.1).
# Why it matters: a queue keyed by an object's name (job, channel, server) is read by its head. After such a column became
#   text, each statement that kept its ::name cost as much as the queue is long; the plan still said Index Scan.
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
const {Client} = require('pg');
const client = new Client({host: __dirname, user: 'postgres', database: 'postgres'});
const ROWS = 10000;

const find = (plan, test) => test(plan) ? plan : (plan.Plans ?? []).map((below) => find(below, test)).find(Boolean);

// Rows that the index scan returned for the first of a queue, and whether they were sorted.
async function head(table, type) {
	const {rows} = await client.query(`EXPLAIN (ANALYZE, FORMAT json, TIMING off)
		SELECT * FROM ${table} WHERE channel = 'orders'::${type} ORDER BY position LIMIT 1`);
	const plan = rows[0]['QUERY PLAN'][0].Plan;
	const scan = find(plan, (node) => node['Index Name'] === `${table}_head`);
	return [scan['Actual Rows'], Boolean(find(plan, (node) => /Sort/.test(node['Node Type'])))];
}

(async () => {
	await client.connect();
	console.log((await client.query('SELECT version()')).rows[0].version.split(' on ')[0]);
	await client.query('SET enable_seqscan = off; SET enable_bitmapscan = off');
	const seen = [];
	for (const [table, column] of [['as_text', 'text COLLATE "C"'], ['as_name', 'name']]) {
		await client.query(`CREATE TABLE ${table} (channel ${column}, position int);
			CREATE INDEX ${table}_head ON ${table} (channel, position);
			INSERT INTO ${table} SELECT 'orders', i FROM generate_series(1, ${ROWS}) i`);
		await client.query(`VACUUM ANALYZE ${table}`);
		for (const type of ['text', 'name']) {
			const [rows, sorted] = await head(table, type);
			seen.push(rows, sorted);
			console.log(`  ${column} column = ${type}: ${rows} rows read${sorted ? ', then sorted' : ''}`);
		}
	}
	await client.end();
	const same = JSON.stringify(seen) === JSON.stringify([1, false, ROWS, true, 1, false, 1, false]);
	console.log(same ? 'As described above.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})().catch((error) => { console.error(error); process.exit(1); });
EOF
node "$dir/run.cjs"
