'use strict';
const knex = require('knex');
const { run, settings } = require('./acts');

// knex numbers its own placeholders: `?` for a value, an array as one value; $1 of the acts becomes one.
const toKnex = (sql, values = []) => {
	const bound = [];
	const text = sql.replace(/\$(\d+)/g, (_, n) => { bound.push(values[n - 1]); return '?'; });
	return [text, bound];
};

function adapter(k) {
	return {
		query: async (sql, values) => (await k.raw(...toKnex(sql, values))).rows,
		insert: (rows) => k.withSchema('wawp').insert(rows).into('membership_intent'),
		transaction: (body) => k.transaction((t) => body(adapter(t))),
		async listen(channel, cause) {
			const connection = await k.client.acquireConnection();
			try {
				const heard = new Promise((resolve) => connection.once('notification', (message) => resolve(message.payload)));
				await connection.query(`LISTEN ${channel}`);
				await cause();
				return await heard;
			} finally { await k.client.releaseConnection(connection); }
		},
		close: () => k.destroy(),
	};
}

run(async (user) => adapter(knex({ client: 'pg', connection: settings(user) })));
