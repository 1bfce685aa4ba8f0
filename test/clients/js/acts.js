// The twelve acts, through an adapter of a driver; see ../README.md for what an adapter offers.

'use strict';

const number = process.env.WAWP_CLIENT_NUMBER;
const group = (act) => `12036351${number}${String(act).padStart(8, '0')}@g.us`;
const person = (act, i = 0) => `156${number}${String(act).padStart(2, '0')}${String(i).padStart(4, '0')}`;
const jid = (act, i = 0) => `${person(act, i)}@c.us`;

function check(isTrue, what) { if (!isTrue) throw new Error(what); }
function same(have, want, what) { check(JSON.stringify(have) === JSON.stringify(want), `${what}: ${JSON.stringify(have)}`); }

async function refused(promise, sqlstate) {
	try { await promise; } catch (error) {
		for (let e = error; e; e = e.cause || e.original || e.driverError) if (e.code === sqlstate) return;
		throw error;
	}
	throw new Error(`not refused with ${sqlstate}`);
}

const CALL = (c, g, people) => c.query(`SELECT jid, outcome::text AS outcome FROM wawp_add_participants($1, $2, instance => 'support')`, [g, people]);
const REQUEST = (c, g, people, batch = null) => c.query(
	`SELECT id, jid, created, problem, batch_id FROM wawp_request_add($1, $2, instance => 'support', reason => $3, batch_id => $4)`,
	[g, people, 'a reason', batch]);
const queued = async (c, g) => Number((await c.query('SELECT count(*) AS n FROM wawp.membership_intent WHERE group_jid = $1', [g]))[0].n);

const acts = {
	async call(c) {
		const rows = await CALL(c, group(1), [person(1)]);
		same(rows, [{ jid: jid(1), outcome: rows[0].outcome }], 'rows');
		check(['accepted', 'added'].includes(rows[0].outcome), rows[0].outcome);
	},
	async request(c) {
		const rows = await REQUEST(c, group(2), [person(2)]);
		same([rows[0].jid, rows[0].created, rows[0].problem], [jid(2), true, null], 'row');
	},
	async insert(c) {
		await c.insert([{ group_jid: group(3), jid: person(3), instance: 'support', reason: 'by a model' }]);
		same((await c.query(`SELECT jid, state::text AS state FROM wawp.membership_intent WHERE group_jid = $1`, [group(3)])).map((r) => r.jid), [jid(3)], 'rows');
	},
	async bulk(c) {
		await c.insert(Array.from({ length: 50 }, (_, i) => ({ group_jid: group(4), jid: person(4, i), instance: 'support', reason: 'one of many' })));
		same(await queued(c, group(4)), 50, 'rows');
	},
	async trigger(c) {
		await c.query('INSERT INTO app.shift (group_jid, phone) VALUES ($1, $2)', [group(5), person(5)]);
		same(await queued(c, group(5)), 1, 'rows');
	},
	async timeout(c) {
		await refused(c.transaction(async (t) => {
			await t.query(`SET LOCAL statement_timeout = '300ms'`);
			await CALL(t, process.env.WAWP_HANGING_GROUP, [person(6)]);
		}), '57014');
	},
	async arrays(c) {
		const rows = await REQUEST(c, group(7), [person(7), null, 'nobody']);
		same(rows.map((r) => [r.created, r.problem === null]), [[true, true], [false, false], [false, false]], 'rows');
		same(await REQUEST(c, group(7), []), [], 'no people');
		const numbers = await c.query(`SELECT jid, created FROM wawp_request_add($1, $2::text[], instance => 'support')`, [group(7), [Number(person(7, 1))]]);
		same(numbers, [{ jid: jid(7, 1), created: true }], 'numbers');
		if (c.listed) await refused(c.listed(group(7), [person(7, 2), person(7, 3)]), c.listedState);
	},
	async rollback(c) {
		await c.transaction(async (t) => {
			await REQUEST(t, group(8), [person(8)]);
			throw new Error('roll back');
		}).catch((e) => check(/roll back/.test(String(e.message)), e.message));
		same(await queued(c, group(8)), 0, 'after the rollback');
		await c.transaction(async (t) => {
			await t.query(`SELECT set_config('wawp.actor', $1, true)`, ['clerk 7']);
			await REQUEST(t, group(8), [person(8)]);
		});
		const [row] = await c.query(`SELECT requested_from ->> 'actor' AS actor FROM wawp.membership_intent WHERE group_jid = $1`, [group(8)]);
		same(row.actor, 'clerk 7', 'after the commit, the actor');
	},
	async wait(c) {
		await REQUEST(c, group(9), [person(9), person(9, 1)], `batch ${number}`);
		const [row] = await c.query('SELECT pending, done FROM wawp_wait($1, $2::interval)', [`batch ${number}`, '60 s']);
		same([Number(row.pending), Number(row.done)], [0, 2], 'pending, done');
	},
	async notify(c) {
		if (!c.listen) return c.noListen || 'none';
		const heard = await c.listen('wawp', () => REQUEST(c, group(10), [person(10)]));
		check(JSON.parse(heard).state === 'done', heard);
	},
	async readonly(c) {
		await refused(c.transaction(async (t) => {
			await t.query('SET TRANSACTION READ ONLY');
			await CALL(t, group(11), [person(11)]);
		}), '25006');
	},
	async stranger(c, connect) {
		const other = await connect('stranger');
		try { await refused(REQUEST(other, group(12), [person(12)]), '42501'); } finally { await other.close(); }
	},
};

// connect(user) makes an adapter.  Prints a line "act TAB ok, fail or none TAB detail" for each act.
exports.run = async (connect) => {
	const c = await connect('app');
	for (const [name, act] of Object.entries(acts)) {
		try {
			const none = await act(c, connect);
			console.log(none ? `${name}\tnone\t${none}` : `${name}\tok\t`);
		} catch (error) {
			console.log(`${name}\tfail\t${String(error.cause?.message || error.message).split('\n')[0]} ${error.code || ''}`);
		}
	}
	await c.close();
	process.exit(0);
};

exports.settings = (user) => ({ host: process.env.PGHOST, port: Number(process.env.PGPORT), database: 'postgres', user });

// The columns that an application's model of wawp.membership_intent has: all of them.
exports.columns = ['id', 'group_jid', 'jid', 'action', 'instance', 'reason', 'priority', 'not_before', 'expires_at', 'until', 'verify',
	'invite', 'context', 'batch_id', 'after', 'state', 'outcome', 'code', 'detail', 'instance_id', 'requester', 'requested_by', 'home',
	'requested_from', 'origin', 'attempts', 'crashes', 'superseded', 'next_attempt_at', 'created_at', 'updated_at', 'settled_at'];
