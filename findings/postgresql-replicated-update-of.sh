#!/usr/bin/env bash
# What was believed: a trigger AFTER UPDATE OF phone is quiet as long as statements name other columns, on a subscriber
#   of logical replication as well once it is ENABLE ALWAYS.
# What is true: logical replication does not carry the columns that a statement named. When a row is applied, every
#   replicated column counts as updated: the publisher changes the note, and the subscriber's trigger on the phone fires,
#   with the same phone before and after. The same statement, typed at the subscriber, leaves the trigger quiet.
# Version: PostgreSQL 18.4 (npm: @embedded-postgres 18.4.0-beta.17), two databases of one server.
# Why it matters: what such a trigger starts (a message, an invitation, a new verification) starts once for every change
#   of anything. Compare OLD and NEW with IS DISTINCT FROM, in WHEN or in the function; the column list is not enough.
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
"${as_user[@]}" "$bin/pg_ctl" -w -D "$dir/data" -l "$dir/data/log" \
	-o "-k $dir -c listen_addresses='' -c fsync=off -c wal_level=logical" start >/dev/null

cat >"$dir/run.cjs" <<'EOF'
const {Client} = require('pg');
const open = async (database) => {
	const client = new Client({host: __dirname, user: 'postgres', database});
	await client.connect();
	return client;
};
const table = 'CREATE TABLE person (id int PRIMARY KEY, phone text, note text)';
const patience = 60000;			// milliseconds until replication counts as not working

(async () => {
	const first = await open('postgres');
	await first.query('CREATE DATABASE publisher');
	await first.query('CREATE DATABASE subscriber');
	const publisher = await open('publisher'), subscriber = await open('subscriber');
	await publisher.query(table);
	await subscriber.query(table);
	await subscriber.query(`
		CREATE TABLE fired (old_phone text, new_phone text, old_note text, new_note text);
		CREATE FUNCTION phone_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
		BEGIN
			INSERT INTO fired VALUES (old.phone, new.phone, old.note, new.note);
			RETURN NULL;
		END $$;
		CREATE TRIGGER phone_changed AFTER UPDATE OF phone ON person FOR EACH ROW EXECUTE FUNCTION phone_changed();
		ALTER TABLE person ENABLE ALWAYS TRIGGER phone_changed`);
	await publisher.query('CREATE PUBLICATION people FOR TABLE person');
	await publisher.query("SELECT pg_create_logical_replication_slot('people', 'pgoutput')");
	await subscriber.query(`CREATE SUBSCRIPTION people CONNECTION 'host=${__dirname} user=postgres dbname=publisher'
		PUBLICATION people WITH (create_slot = false, copy_data = false)`);

	await publisher.query("INSERT INTO person VALUES (1, '15550000001', 'before')");
	await publisher.query("UPDATE person SET note = 'replicated' WHERE id = 1");
	const deadline = Date.now() + patience;
	while ((await subscriber.query("SELECT FROM person WHERE note = 'replicated'")).rowCount === 0) {
		if (Date.now() > deadline)
			throw new Error('the row was not replicated');
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	const applied = (await subscriber.query('SELECT * FROM fired')).rows;
	await subscriber.query("UPDATE person SET note = 'typed here' WHERE id = 1");
	const direct = (await subscriber.query('SELECT * FROM fired')).rowCount - applied.length;

	console.log((await first.query('SELECT version()')).rows[0].version.split(' on ')[0]);
	console.log(`  UPDATE of the note, applied by replication: trigger on the phone fired ${applied.length} time(s)`);
	for (const f of applied)
		console.log(`    phone ${f.old_phone} -> ${f.new_phone}, note ${f.old_note} -> ${f.new_note}`);
	console.log(`  UPDATE of the note, typed at the subscriber: fired ${direct} time(s)`);
	const same = applied.length === 1 && applied[0].old_phone === applied[0].new_phone && direct === 0;
	console.log(same ? 'As described above.' : 'CHANGED');
	process.exit(same ? 0 : 1);
})().catch((error) => { console.error(error); process.exit(1); });
EOF
node "$dir/run.cjs"
