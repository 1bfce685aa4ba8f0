'use strict';
const postgres = require('postgres');
const { run, settings } = require('./acts');

function adapter(sql, root) {
	return {
		query: async (text, values) => Array.from(await sql.unsafe(text, values)).map((row) => ({ ...row })),
		insert: (rows) => sql`INSERT INTO wawp.membership_intent ${sql(rows)}`,
		transaction: (body) => root.begin((t) => body(adapter(t, root))),
		async listen(channel, cause) {
			let heard;
			const first = new Promise((resolve) => { heard = resolve; });
			await root.listen(channel, heard);
			await cause();
			return first;
		},
		close: () => root.end({ timeout: 5 }),
	};
}

run(async (user) => {
	const { host, port, database } = settings(user);
	const sql = postgres({ host, port, database, user, max: 2, onnotice: () => {} });
	return adapter(sql, sql);
});
