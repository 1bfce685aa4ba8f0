'use strict';
const { drizzle } = require('drizzle-orm/node-postgres');
const { sql } = require('drizzle-orm');
const { pgSchema, bigint, boolean, customType, integer, jsonb, text, timestamp, uuid } = require('drizzle-orm/pg-core');
const { Pool } = require('pg');
const { run, settings } = require('./acts');

const oid = customType({ dataType: () => 'oid' });
const wawp = pgSchema('wawp');
const action = wawp.enum('action', ['add', 'remove', 'promote', 'demote', 'invite']);
const state = wawp.enum('state', ['queued', 'sending', 'verifying', 'inviting', 'invited', 'pending_approval', 'done', 'failed', 'cancelled']);
const at = (name) => timestamp(name, { withTimezone: true, mode: 'string' });

// As drizzle-kit pull writes it; the driver names every column in an INSERT, with DEFAULT where there is no value.
const intent = wawp.table('membership_intent', {
	id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
	group_jid: text('group_jid').notNull(), jid: text('jid').notNull(), action: action('action').default('add').notNull(),
	instance: text('instance'), reason: text('reason'), priority: integer('priority').default(0).notNull(),
	not_before: at('not_before'), expires_at: at('expires_at'), until: at('until'),
	verify: boolean('verify').default(true).notNull(), invite: boolean('invite').default(true).notNull(), context: jsonb('context'),
	batch_id: text('batch_id'), after: bigint('after', { mode: 'number' }), state: state('state').default('queued').notNull(),
	outcome: text('outcome'), code: integer('code'), detail: text('detail'), instance_id: text('instance_id').default('').notNull(),
	requester: oid('requester').default('0').notNull(), requested_by: text('requested_by').default('').notNull(), home: uuid('home'),
	requested_from: jsonb('requested_from'), origin: text('origin').default('insert').notNull(),
	attempts: integer('attempts').default(0).notNull(), crashes: integer('crashes').default(0).notNull(),
	superseded: boolean('superseded').default(false).notNull(), next_attempt_at: at('next_attempt_at'),
	created_at: at('created_at').default(sql`clock_timestamp()`).notNull(), updated_at: at('updated_at').default(sql`clock_timestamp()`).notNull(),
	settled_at: at('settled_at'),
});

// An array in a template becomes a list of parameters; sql.param() keeps it one.
function statement(text_, values = []) {
	const parts = text_.split(/\$(\d+)/);
	return sql.join(parts.map((part, i) => (i % 2 ? sql`${sql.param(values[part - 1])}` : sql.raw(part))));
}

function adapter(db, pool) {
	return {
		query: async (text_, values) => (await db.execute(statement(text_, values))).rows,
		// the way that does not work
		listed: (to, people) => db.execute(sql`SELECT created FROM wawp_request_add(${to}, ${people}, instance => 'support')`),
		listedState: '42883',
		insert: (rows) => db.insert(intent).values(rows).returning(),
		transaction: (body) => db.transaction((t) => body(adapter(t, pool))),
		noListen: 'drizzle has no LISTEN: use a client of pg',
		close: () => pool.end(),
	};
}

run(async (user) => {
	const pool = new Pool(settings(user));
	return adapter(drizzle({ client: pool }), pool);
});
