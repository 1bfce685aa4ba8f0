'use strict';
const { Client } = require('pg');
const { run, settings } = require('./acts');

// Waits for a notification that comes of what `cause` does.
async function listen(client, channel, cause) {
	const heard = new Promise((resolve) => client.once('notification', (message) => resolve(message.payload)));
	await client.query(`LISTEN ${channel}`);
	await cause();
	return heard;
}

run(async (user) => {
	const client = new Client(settings(user));
	await client.connect();
	const c = {
		query: async (sql, values) => (await client.query(sql, values)).rows,
		insert: (rows) => client.query(
			`INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason)
			 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])`,
			['group_jid', 'jid', 'instance', 'reason'].map((column) => rows.map((row) => row[column]))),
		async transaction(body) {
			await client.query('BEGIN');
			try {
				const result = await body(c);
				await client.query('COMMIT');
				return result;
			} catch (error) {
				await client.query('ROLLBACK');
				throw error;
			}
		},
		listen: (channel, cause) => listen(client, channel, cause),
		close: () => client.end(),
	};
	if (process.env.WAWP_NO_LISTEN) { delete c.listen; c.noListen = process.env.WAWP_NO_LISTEN; }
	return c;
});
