'use strict';
const { Kysely, PostgresDialect, CompiledQuery } = require('kysely');
const { Pool } = require('pg');
const { run, settings } = require('./acts');

function adapter(db) {
	return {
		query: async (sql, values = []) => (await db.executeQuery(CompiledQuery.raw(sql, values))).rows,
		insert: (rows) => db.withSchema('wawp').insertInto('membership_intent').values(rows).execute(),
		transaction: (body) => db.transaction().execute((t) => body(adapter(t))),
		noListen: 'kysely has no LISTEN: use a client of pg',
		close: () => db.destroy(),
	};
}

run(async (user) => adapter(new Kysely({ dialect: new PostgresDialect({ pool: new Pool(settings(user)) }) })));
