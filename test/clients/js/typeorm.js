'use strict';
require('reflect-metadata');
const { DataSource, EntitySchema } = require('typeorm');
const { run, settings, columns } = require('./acts');

const types = { id: 'bigint', priority: 'int', after: 'bigint', code: 'int', attempts: 'int', crashes: 'int', verify: 'boolean', invite: 'boolean',
	superseded: 'boolean', context: 'jsonb', requested_from: 'jsonb', home: 'uuid', requester: 'bigint', not_before: 'timestamptz',
	expires_at: 'timestamptz', until: 'timestamptz', next_attempt_at: 'timestamptz', created_at: 'timestamptz', updated_at: 'timestamptz',
	settled_at: 'timestamptz' };
// TypeORM has no type oid; bigint does.
const Intent = new EntitySchema({
	name: 'Intent', schema: 'wawp', tableName: 'membership_intent',
	columns: Object.fromEntries(columns.map((name) => [name, { type: types[name] || 'text', nullable: true,
		...(name === 'id' ? { primary: true, generated: 'increment' } : {}) }])),
});

function adapter(manager, source) {
	return {
		query: (sql, values) => manager.query(sql, values),
		insert: (rows) => manager.save(Intent, rows.map((row) => ({ ...row }))),
		transaction: (body) => source.transaction((m) => body(adapter(m, source))),
		noListen: 'TypeORM has no LISTEN: use a client of pg',
		close: () => source.destroy(),
	};
}

run(async (user) => {
	const { host, port, database } = settings(user);
	const source = new DataSource({ type: 'postgres', host, port, database, username: user, entities: [Intent], synchronize: false });
	await source.initialize();
	return adapter(source.manager, source);
});
