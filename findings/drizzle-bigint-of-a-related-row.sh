#!/usr/bin/env bash
# What was believed: a bigint column declared with mode 'bigint' comes back exactly, however it is read: the mode exists
#   because numbers beyond 2^53 are no JavaScript numbers.
# What is true: read by itself the column is exact; read as part of a related row (with: {...}) it is rounded. The related
#   row travels as JSON made in the database, JSON.parse makes a number of it, and only then does the column's mapper
#   make a bigint: of the wrong number. The type is right, the last digits are not, and there is no error.
# Version: drizzle-orm 0.45.4, pg 8.23.1, PostgreSQL 18.4 (npm: @embedded-postgres 18.4.0-beta.17).
# Why it matters: the number of a WhatsApp group has 18 digits. Kept as bigint it is right on the group's page and names
#   a group that does not exist on the member's. Keep group ids as text, with their @g.us.
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
npm install --prefix "$dir" --no-audit --no-fund --loglevel=error "$server@18.4.0-beta.17" pg@8.23.1 drizzle-orm@0.45.4 \
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
const {readFileSync} = require('node:fs');
const {Pool} = require('pg');
const {relations} = require('drizzle-orm');
const {drizzle} = require('drizzle-orm/node-postgres');
const {bigint, integer, pgTable, text} = require('drizzle-orm/pg-core');

const chat = pgTable('chat', {id: bigint({mode: 'bigint'}).primaryKey(), title: text()});
const member = pgTable('member', {id: integer().primaryKey(), chat: bigint({mode: 'bigint'})});
const memberRelations = relations(member, ({one}) => ({group: one(chat, {fields: [member.chat], references: [chat.id]})}));
const stored = 120363012345678901n;

(async () => {
	const pool = new Pool({host: __dirname, user: 'postgres', database: 'postgres'});
	const db = drizzle(pool, {schema: {chat, member, memberRelations}});
	await pool.query('CREATE TABLE chat (id bigint PRIMARY KEY, title text)');
	await pool.query('CREATE TABLE member (id int PRIMARY KEY, chat bigint REFERENCES chat)');
	await db.insert(chat).values({id: stored, title: 'Choir'});
	await db.insert(member).values({id: 1, chat: stored});

	const version = (name) => JSON.parse(readFileSync(`${__dirname}/node_modules/${name}/package.json`)).version;
	console.log(`drizzle-orm ${version('drizzle-orm')}, pg ${version('pg')}, ` +
		(await pool.query('SELECT version()')).rows[0].version.split(' on ')[0]);
	const row = await db.query.member.findFirst({with: {group: true}});
	console.log(`  stored:                    ${stored}`);
	console.log(`  the member's own column:   ${row.chat} (${typeof row.chat})`);
	console.log(`  the related group's id:    ${row.group.id} (${typeof row.group.id})`);
	const again = await db.query.chat.findFirst();
	console.log(`  the group read by itself:  ${again.id} (${typeof again.id})`);
	await pool.end();

	const same = row.chat === stored && again.id === stored && typeof row.group.id === 'bigint' &&
		row.group.id === BigInt(Number(stored)) && row.group.id !== stored;
	console.log(same ? 'As described above.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})().catch((error) => { console.error(error); process.exit(1); });
EOF
node "$dir/run.cjs"
