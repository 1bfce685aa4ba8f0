'use strict';
const { DataTypes, QueryTypes, Sequelize } = require('sequelize');
const { run, settings, columns } = require('./acts');

const types = { id: DataTypes.BIGINT, priority: DataTypes.INTEGER, after: DataTypes.BIGINT, code: DataTypes.INTEGER, attempts: DataTypes.INTEGER,
	crashes: DataTypes.INTEGER, verify: DataTypes.BOOLEAN, invite: DataTypes.BOOLEAN, superseded: DataTypes.BOOLEAN, context: DataTypes.JSONB,
	requested_from: DataTypes.JSONB, home: DataTypes.UUID, requester: DataTypes.INTEGER, not_before: DataTypes.DATE, expires_at: DataTypes.DATE,
	until: DataTypes.DATE, next_attempt_at: DataTypes.DATE, created_at: DataTypes.DATE, updated_at: DataTypes.DATE, settled_at: DataTypes.DATE };

function adapter(sequelize, Intent, transaction) {
	return {
		// `bind` keeps an array one value, where `replacements` would write a list
		query: (sql, bind) => sequelize.query(sql, { bind, transaction, type: QueryTypes.SELECT }),
		// the way that does not work
		listed: (to, people) => sequelize.query('SELECT created FROM wawp_request_add(:to, :people)', { replacements: { to, people } }),
		listedState: '22P02',
		insert: (rows) => (rows.length === 1 ? Intent.create(rows[0], { transaction }) : Intent.bulkCreate(rows, { transaction })),
		transaction: (body) => sequelize.transaction((t) => body(adapter(sequelize, Intent, t))),
		noListen: 'Sequelize has no LISTEN: use a client of pg',
		close: () => sequelize.close(),
	};
}

run(async (user) => {
	const { host, port, database } = settings(user);
	const sequelize = new Sequelize(database, user, null, { host, port, dialect: 'postgres', logging: false });
	const Intent = sequelize.define('Intent', Object.fromEntries(columns.map((name) => [name, { type: types[name] || DataTypes.TEXT,
		...(name === 'id' ? { primaryKey: true, autoIncrement: true } : {}) }])),
	{ schema: 'wawp', tableName: 'membership_intent', timestamps: false });
	return adapter(sequelize, Intent);
});
