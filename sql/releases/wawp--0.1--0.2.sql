/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The members that there are, whose privileges may have been changed since; until the end of this transaction.
SELECT pg_catalog.set_config('wawp_upgrade.before', (SELECT pg_catalog.array_agg(d.classid || ' ' || d.objid)::text
	FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e' AND e.extname = 'wawp'), true);

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

-- ---- sql/10-instance.sql: groups as tables.

COMMENT ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) IS
	'checks the options of Wawp instances, of their user mappings and of foreign tables';

CREATE FUNCTION @extschema@.wawp_fdw_handler() RETURNS fdw_handler
	LANGUAGE C STRICT
	AS 'MODULE_PATHNAME', 'wawp_fdw_handler';
COMMENT ON FUNCTION @extschema@.wawp_fdw_handler() IS
	'groups and their members as foreign tables';

-- PostgreSQL warns that existing foreign tables may change; none could be used so far.
SET LOCAL client_min_messages = error;
ALTER FOREIGN DATA WRAPPER wawp HANDLER @extschema@.wawp_fdw_handler;
SET LOCAL client_min_messages = warning;
COMMENT ON FOREIGN DATA WRAPPER wawp IS
	'Wawp accounts: CREATE SERVER ... OPTIONS (instance_id ...), CREATE USER MAPPING ... OPTIONS (access_token ...), CREATE FOREIGN TABLE ... OPTIONS (object ''members'')';

-- ---- sql/30-api.sql

-- With precheck.
DROP FUNCTION @extschema@.wawp_add_participants(text, text[], name, text, bool);
CREATE FUNCTION @extschema@.wawp_add_participants(group_jid text, jids text[], instance name DEFAULT NULL,
									  reason text DEFAULT NULL, verify bool DEFAULT false,
									  precheck bool DEFAULT false,
									  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text,
									  OUT verified bool, OUT retry_at timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_add_participants';
COMMENT ON FUNCTION @extschema@.wawp_add_participants(text, text[], name, text, bool, bool) IS
	'adds people to a group; one row per element; verify looks at the member list to see who got in; precheck asks first, and does not send who cannot be added';

CREATE FUNCTION @extschema@.wawp_check_participants(group_jid text, jids text[], instance name DEFAULT NULL,
										OUT jid text, OUT outcome wawp.outcome, OUT detail text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_check_participants';
COMMENT ON FUNCTION @extschema@.wawp_check_participants(text, text[], name) IS
	'what adding people to a group would meet, without doing it; one row per element; NULL means that nothing is known that would keep the person out';

COMMENT ON FUNCTION @extschema@.wawp_participants(text, name) IS
	'the members of a group now; role is member, admin, owner, or NULL where the list does not tell it; a row of NULLs for each entry that is not understood';

CREATE FUNCTION @extschema@.wawp_join_requests(group_jid text, instance name DEFAULT NULL,
								   OUT jid text, OUT requested_at timestamptz, OUT method text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_join_requests';
COMMENT ON FUNCTION @extschema@.wawp_join_requests(text, name) IS
	'who waits for an admin''s approval to join a group; jid is NULL where an entry names nobody that is understood, and with method non_admin_add may be the one who proposed';
-- 40-queue.sql: rows have a home, the database that serves them.

COMMENT ON COLUMN wawp.membership_intent.superseded IS 'true if its requester asked for the opposite while its request was on the wire';
COMMENT ON COLUMN wawp.membership_intent.home IS 'the database it was requested in, the only one that serves it; zero in a row that was restored or replicated';

-- Restored rows that 0.1 serves, since no hold keeps it from that, are served on.
UPDATE wawp.membership_intent SET home = y.home FROM wawp.identity y
	WHERE membership_intent.home = '00000000-0000-0000-0000-000000000000'
		AND membership_intent.state NOT IN ('done', 'failed', 'cancelled')
		AND y.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
		AND y.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
		AND NOT EXISTS (SELECT FROM wawp.hold h WHERE h.reason = 'restored copy'
			AND h.instance = membership_intent.instance::name AND h.group_jid IS NULL);
UPDATE wawp.membership SET home = y.home, requester = r.oid FROM wawp.identity y, pg_catalog.pg_roles r
	WHERE r.rolname = membership.requested_by AND membership.home <> y.home
		AND y.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
		AND y.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
		AND NOT EXISTS (SELECT FROM wawp.hold h WHERE h.reason = 'restored copy'
			AND h.instance = membership.instance AND h.group_jid IS NULL);

DROP INDEX wawp.membership_intent_one_queued, wawp.membership_intent_lane, wawp.membership_intent_other, wawp.membership_intent_busy,
	wawp.membership_intent_expiry, wawp.membership_intent_after;
CREATE UNIQUE INDEX membership_intent_one_queued ON wawp.membership_intent
	(jid, group_jid, instance, (action IN ('promote', 'demote')), requester, not_before, home) NULLS NOT DISTINCT
	WHERE state = 'queued' AND home <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX membership_intent_planned ON wawp.membership_intent (jid, group_jid, instance, requester, not_before)
	WHERE not_before IS NOT NULL AND state = 'queued';
CREATE INDEX membership_intent_arrival ON wawp.membership_intent (home, not_before)
	WHERE not_before > updated_at AND state = 'queued';
CREATE INDEX membership_intent_lane ON wawp.membership_intent
	(home, instance, group_jid, instance_id, (coalesce(not_before > updated_at, false)), priority DESC, id)
	WHERE state = 'queued' AND id > 0;
CREATE INDEX membership_intent_other ON wawp.membership_intent
	(home, instance, group_jid, instance_id, (coalesce(not_before > updated_at, false)), priority DESC, id)
	WHERE state = 'queued' AND action <> 'add';
CREATE INDEX membership_intent_busy ON wawp.membership_intent (home, instance, group_jid, jid)
	WHERE state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval');
-- Of these, those that end because their opposite was asked for; nearly always empty.
CREATE INDEX membership_intent_superseded ON wawp.membership_intent (home, id)
	WHERE superseded AND state IN ('verifying', 'inviting', 'invited', 'pending_approval');
-- Intents in doubt, removals at the end of a membership that failed, and queued ones that were tried: what wawp.stuck shows one by one; small.
CREATE INDEX membership_intent_stuck ON wawp.membership_intent (home, id)
	WHERE state = 'failed' AND (outcome = 'unknown_result' OR origin = 'until') OR state = 'queued' AND (attempts > 0 OR crashes > 0);
CREATE INDEX membership_intent_expiry ON wawp.membership_intent (home, expires_at)
	WHERE state IN ('queued', 'inviting', 'pending_approval') AND expires_at IS NOT NULL;
CREATE INDEX membership_intent_after ON wawp.membership_intent (home, after) WHERE after IS NOT NULL AND state = 'queued';

COMMENT ON FUNCTION wawp._text_limits() IS
	'refuses texts that are too long, and brings groups and people into normal form, in the columns named as its arguments';

-- Policy that 0.1 stored in a spelling by which no row is looked for: it had no effect.  Of several rows for the same, the
-- one that lasts longest stays; the trigger spells.
DELETE FROM wawp.suppression s WHERE EXISTS (
	SELECT FROM wawp.suppression o
	WHERE coalesce(@extschema@.wawp_jid(o.jid), o.jid) = coalesce(@extschema@.wawp_jid(s.jid), s.jid)
	  AND coalesce(@extschema@.wawp_jid(o.group_jid), o.group_jid, '') = coalesce(@extschema@.wawp_jid(s.group_jid), s.group_jid, '')
	  AND (coalesce(o.until, 'infinity'), o.ctid) > (coalesce(s.until, 'infinity'), s.ctid));
UPDATE wawp.suppression SET jid = jid, group_jid = group_jid
	WHERE jid <> @extschema@.wawp_jid(jid) OR group_jid <> @extschema@.wawp_jid(group_jid);
DELETE FROM wawp.group_settings s WHERE s.group_jid <> @extschema@.wawp_jid(s.group_jid) AND EXISTS (
	SELECT FROM wawp.group_settings o
	WHERE o.instance = s.instance AND @extschema@.wawp_jid(o.group_jid) = @extschema@.wawp_jid(s.group_jid)
	  AND (o.group_jid = @extschema@.wawp_jid(o.group_jid) OR o.ctid > s.ctid));
UPDATE wawp.group_settings SET group_jid = group_jid WHERE group_jid <> @extschema@.wawp_jid(group_jid);

CREATE FUNCTION wawp._home() RETURNS uuid
	LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'wawp_home';
COMMENT ON FUNCTION wawp._home() IS 'the home of this database, whose rows it serves; NULL in a copy';
CREATE FUNCTION wawp._row_arrived() RETURNS trigger
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_row_arrived';
COMMENT ON FUNCTION wawp._row_arrived() IS 'marks a row that was restored or replicated, and looks its requester up by name';
CREATE TRIGGER arrived BEFORE UPDATE ON wawp.membership_intent
	FOR EACH ROW EXECUTE FUNCTION wawp._row_arrived();
ALTER TABLE wawp.membership_intent ENABLE REPLICA TRIGGER arrived;

COMMENT ON FUNCTION @extschema@.wawp_cancel(bigint) IS
	'cancels an intent of one''s own that is queued, or that waits for its invitation to be sent or for an admin''s approval; false when there is nothing left to cancel';
COMMENT ON FUNCTION @extschema@.wawp_cancel_batch(text) IS
	'cancels the intents of a batch of one''s own, as wawp_cancel() does; returns how many';

CREATE FUNCTION @extschema@.wawp_take_over(instance name, before timestamptz DEFAULT pg_catalog.now()) RETURNS bigint
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_take_over';
COMMENT ON FUNCTION @extschema@.wawp_take_over(name, timestamptz) IS
	'makes the intents and memberships of an instance that were restored, replicated or copied this database''s own; returns how many intents are served from now on; for members of the owner';

-- 45-policy.sql: so have memberships.

DROP INDEX wawp.membership_until;
CREATE INDEX membership_until ON wawp.membership (home, until) WHERE until IS NOT NULL;
CREATE TRIGGER arrived BEFORE INSERT ON wawp.membership
	FOR EACH ROW EXECUTE FUNCTION wawp._row_arrived();
ALTER TABLE wawp.membership ENABLE ALWAYS TRIGGER arrived;
CREATE TRIGGER arrived_again BEFORE UPDATE ON wawp.membership
	FOR EACH ROW EXECUTE FUNCTION wawp._row_arrived();
ALTER TABLE wawp.membership ENABLE REPLICA TRIGGER arrived_again;
COMMENT ON COLUMN wawp.membership.home IS 'the database it was noted in, the only one that acts on it; zero in a row that was restored or replicated';

-- 50-audit.sql: and notes.

ALTER TABLE wawp.audit_note ADD COLUMN home uuid;
UPDATE wawp.audit_note SET home = y.home FROM wawp.identity y
	WHERE y.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
		AND y.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
ALTER TABLE wawp.audit_note ALTER COLUMN home SET DEFAULT wawp._home();
CREATE INDEX audit_note_home ON wawp.audit_note (home, id);
COMMENT ON COLUMN wawp.audit_note.home IS 'the database it was written in; the worker of another does not move it';

-- 50-audit.sql: a new reason.
COMMENT ON COLUMN wawp.hold.reason IS 'an outcome, "paused: ...", "promoted" or, from before 0.2, "restored copy"';

-- 50-audit.sql: wawp.identity has a key, a mark, a timeline and a site, and is not dumped.
ALTER EXTENSION wawp DROP TABLE wawp.identity;
ALTER EXTENSION wawp ADD TABLE wawp.identity;
DELETE FROM wawp.identity a USING wawp.identity b
	WHERE a.system_identifier OPERATOR(pg_catalog.=) b.system_identifier
		AND a.database_oid OPERATOR(pg_catalog.=) b.database_oid AND a.ctid OPERATOR(pg_catalog.<) b.ctid;
ALTER TABLE wawp.identity ADD COLUMN mark uuid, ADD COLUMN timeline int, ADD COLUMN site text COLLATE "C", ADD COLUMN doubtful_before timestamptz,
	ADD PRIMARY KEY (system_identifier, database_oid);
ALTER TABLE wawp.identity REPLICA IDENTITY DEFAULT;
COMMENT ON TABLE wawp.identity IS 'this database, by cluster and oid; a database without a row of its own that fits is a copy, in which nothing is sent';
COMMENT ON COLUMN wawp.identity.system_identifier IS 'system identifier of the cluster';
COMMENT ON COLUMN wawp.identity.database_oid IS 'oid of the database';
COMMENT ON COLUMN wawp.identity.home IS 'random name of that database; what is requested in it carries it';
COMMENT ON COLUMN wawp.identity.mark IS 'random; a file beside the replication slots has it too, which copies of the files lack';
COMMENT ON COLUMN wawp.identity.timeline IS 'the server''s timeline when the row was written';
COMMENT ON COLUMN wawp.identity.site IS 'wawp.site when the row was written';
COMMENT ON COLUMN wawp.membership_intent.requested_from IS 'login role, claimed actor, application, client address and process; taken_over: it was due when it was taken over, and may have been served before; asked_again: when it was last requested again, or retried, as an epoch; may_have_invited: it was retried after an invitation that may not have been sent';
COMMENT ON COLUMN wawp.identity.doubtful_before IS 'what was asked for before then may have been sent by the server that was replaced: no invitation or welcome leaves for it; NULL when nothing is in doubt';

CREATE FUNCTION wawp._identity_begin() RETURNS void
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_identity_begin';
COMMENT ON FUNCTION wawp._identity_begin() IS 'writes this database''s row and mark; for the install and upgrade scripts';
SELECT wawp._identity_begin();

-- ---- lanes, instances and requesters that are not served for now

ALTER TABLE wawp.hold ADD COLUMN paused_by oid;
COMMENT ON COLUMN wawp.hold.paused_by IS 'the role that paused it, by oid; counts towards its wawp.max_holds_per_role';
CREATE INDEX hold_paused_by ON wawp.hold (paused_by) WHERE paused_by IS NOT NULL;

-- Requesters whose own credentials an instance refuses: a failure of one's token is nobody else's.
CREATE TABLE wawp.requester_hold (
	instance	name,
	requester	oid,
	reason		text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL,
	until		timestamptz NOT NULL,
	failures	int NOT NULL DEFAULT 0,
	trial		bool NOT NULL DEFAULT false,
	PRIMARY KEY (instance, requester)
);
COMMENT ON TABLE wawp.requester_hold IS 'roles that an instance does not serve for now, since their own token is refused or they have none';
COMMENT ON COLUMN wawp.requester_hold.instance IS 'the instance';
COMMENT ON COLUMN wawp.requester_hold.requester IS 'the role, by oid; intents of others are served';
COMMENT ON COLUMN wawp.requester_hold.reason IS 'an outcome, or what is wrong with the role''s user mapping';
COMMENT ON COLUMN wawp.requester_hold.since IS 'when it began';
COMMENT ON COLUMN wawp.requester_hold.until IS 'when it is tried again; earlier when the user mapping changes, or by wawp_resume()';
COMMENT ON COLUMN wawp.requester_hold.failures IS 'how often in a row it ended this way; the next wait grows with it';
COMMENT ON COLUMN wawp.requester_hold.trial IS 'a request is under way that tries it again';
ALTER TABLE wawp.requester_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON wawp.requester_hold FOR SELECT USING (wawp._is_own(requester));

CREATE FUNCTION wawp._account(instance name) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_account';
COMMENT ON FUNCTION wawp._account(name) IS
	'the Wawp id of an instance as it is now; NULL when there is no such instance';

CREATE FUNCTION wawp._account_problem(instance name, asked_with text) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_account_problem';
COMMENT ON FUNCTION wawp._account_problem(name, text) IS
	'why an instance does not serve what was asked for with that Wawp id; NULL when it does';

-- ---- 45-policy

ALTER TABLE wawp.membership ADD COLUMN instance_id text COLLATE "C";
COMMENT ON COLUMN wawp.membership.instance_id IS 'the Wawp id of the instance that serves it; another account neither welcomes nor removes the person';

-- ---- sql/45-policy.sql

ALTER TABLE wawp.group_settings ALTER COLUMN check_exists SET DEFAULT true;
COMMENT ON COLUMN wawp.group_settings.check_exists IS 'true if numbers of which nothing is known are checked for being on WhatsApp before they are added, as far as checks_per_minute allows';

-- ---- sql/47-sync.sql

CREATE FUNCTION @extschema@.wawp_sync_group(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
								mode text DEFAULT 'plan', managed_only bool DEFAULT true, max_remove_pct int DEFAULT 20,
								OUT jid text, OUT action wawp.action, OUT why text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_sync_group';
COMMENT ON FUNCTION @extschema@.wawp_sync_group(text, text[], name, text, text, bool, int) IS
	'what has to change so that just these people are in a group, and with mode apply requests it; one row per difference; action is NULL where nothing is done about it, jid where the row is about the whole group; nobody is removed where more than max_remove_pct per cent of the members would go';

CREATE FUNCTION @extschema@.wawp_sync_groups(source regclass, group_column name, jid_column name, instance name DEFAULT NULL,
								 reason text DEFAULT NULL, mode text DEFAULT 'plan', managed_only bool DEFAULT true,
								 max_remove_pct int DEFAULT 20,
								 OUT group_jid text, OUT jid text, OUT action wawp.action, OUT why text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 100 COST 1000000
	AS 'MODULE_PATHNAME', 'wawp_sync_groups';
COMMENT ON FUNCTION @extschema@.wawp_sync_groups(regclass, name, name, name, text, text, bool, int) IS
	'wawp_sync_group() for each group in a table or view, which is read as the calling role; waits its turn in reads_per_minute; a group that cannot be read is a row';

-- ---- 50-audit

ALTER TABLE wawp.hold ADD COLUMN instance_id text COLLATE "C";
COMMENT ON COLUMN wawp.hold.instance_id IS 'the instance''s Wawp id when it was held; the hold ends if the instance is created anew for another';
COMMENT ON TABLE wawp.hold IS 'instances (group_jid NULL), groups and the invitations of instances that are not served for now';
COMMENT ON COLUMN wawp.hold.group_jid IS 'the group; NULL means the whole instance, "invitations" its invitations and welcomes only: additions go on';

ALTER TABLE wawp.audit_log ADD COLUMN digest bytea, ADD COLUMN salt bytea, ADD COLUMN erased jsonb;
COMMENT ON COLUMN wawp.audit_log.digest IS 'SHA-256 of the record in its canonical form, sealed by a block: see doc/audit-seal.md; NULL in what was written before there was a seal';
COMMENT ON COLUMN wawp.audit_log.salt IS 'random; the salts of the record''s free texts, 12 bytes each; NULL once one of them was erased';
COMMENT ON COLUMN wawp.audit_log.erased IS 'digests of the free texts that were erased, and salts of those that were not; NULL when none was';

-- ---- the seal: see doc/audit-seal.md

CREATE TABLE wawp.audit_block (
	block			bigint NOT NULL,
	at				timestamptz NOT NULL,
	home			uuid NOT NULL,
	timeline		int NOT NULL,
	first_id		bigint NOT NULL,
	last_id			bigint NOT NULL,
	pruned_through	bigint,
	root			bytea NOT NULL,
	previous		bytea NOT NULL,
	hash			bytea NOT NULL,
	CONSTRAINT audit_block_pkey PRIMARY KEY (block)
);
CREATE INDEX audit_block_first_id ON wawp.audit_block (first_id);
COMMENT ON TABLE wawp.audit_block IS
	'the seal of the audit log: a header for each range of records, written with them, which names the hash of the one before; kept when the records are pruned';
COMMENT ON COLUMN wawp.audit_block.block IS 'consecutive number, from 1';
COMMENT ON COLUMN wawp.audit_block.at IS 'when it was sealed';
COMMENT ON COLUMN wawp.audit_block.home IS 'the database that sealed it (wawp.identity)';
COMMENT ON COLUMN wawp.audit_block.timeline IS 'that server''s timeline; it changes when a standby is promoted';
COMMENT ON COLUMN wawp.audit_block.first_id IS 'number of its first record';
COMMENT ON COLUMN wawp.audit_block.last_id IS 'number of its last record';
COMMENT ON COLUMN wawp.audit_block.pruned_through IS 'records up to this number had been removed by wawp.audit_retention; NULL: none';
COMMENT ON COLUMN wawp.audit_block.root IS 'root of the Merkle tree over the records'' digests';
COMMENT ON COLUMN wawp.audit_block.previous IS 'hash of the block before; zero in the first';
COMMENT ON COLUMN wawp.audit_block.hash IS 'SHA-256 of this header without it';
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON wawp.audit_block
	FOR EACH ROW EXECUTE FUNCTION wawp._audit_refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wawp.audit_block
	FOR EACH STATEMENT EXECUTE FUNCTION wawp._audit_refuse();

-- Sets: erased = _audit_erased(a, columns), salt = NULL, and each of these columns to NULL.
CREATE FUNCTION wawp._audit_erased(record wawp.audit_log, columns text[]) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN (record).digest IS NOT NULL THEN pg_catalog.jsonb_build_object(
		'digests', COALESCE((record).erased OPERATOR(pg_catalog.->) 'digests', '{}')
			OPERATOR(pg_catalog.||) COALESCE(pg_catalog.jsonb_object_agg(t.name, pg_catalog.encode(pg_catalog.sha256('\x03'::bytea OPERATOR(pg_catalog.||)
				t.salt OPERATOR(pg_catalog.||) pg_catalog.convert_to(t.value, 'UTF8')), 'hex'))
				FILTER (WHERE t.is_erased), '{}'),
		'salts', COALESCE(pg_catalog.jsonb_object_agg(t.name, pg_catalog.encode(t.salt, 'hex')) FILTER (WHERE NOT t.is_erased), '{}')) END
	FROM (SELECT v.name, v.value, v.name OPERATOR(pg_catalog.=) ANY (columns) AS is_erased,
			COALESCE(pg_catalog.decode((record).erased OPERATOR(pg_catalog.->) 'salts' OPERATOR(pg_catalog.->>) v.name, 'hex'),
				pg_catalog.substr((record).salt, v.start, 12)) AS salt
		FROM (VALUES ('batch_id', 1, (record).batch_id), ('actor', 13, (record).actor),
				('application_name', 25, (record).application_name), ('reason', 37, (record).reason),
				('detail', 49, (record).detail::text)) v (name, start, value)
		WHERE v.value IS NOT NULL) t;
END;
COMMENT ON FUNCTION wawp._audit_erased(wawp.audit_log, text[]) IS
	'the value of "erased" with which the seal of a record holds when these of its free texts become NULL, and its salt';

SELECT pg_catalog.pg_extension_config_dump('wawp.audit_block', '');

-- ---- checking the seal

CREATE FUNCTION @extschema@.wawp_audit_verify(since timestamptz DEFAULT NULL, before timestamptz DEFAULT NULL,
		OUT ok bool, OUT checked bigint, OUT first_bad_block bigint, OUT first_bad_id bigint, OUT problem text) RETURNS record
	LANGUAGE C STABLE COST 1000000 AS 'MODULE_PATHNAME', 'wawp_audit_verify';
COMMENT ON FUNCTION @extschema@.wawp_audit_verify(timestamptz, timestamptz) IS
	'checks the seal of the audit log, or of what was sealed in a time; reads as the caller and writes nothing; with ok, problem is what limits it: pruned records, a promotion';

CREATE FUNCTION @extschema@.wawp_audit_head(OUT block bigint, OUT at timestamptz, OUT root bytea, OUT hash bytea) RETURNS record
	LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'wawp_audit_head';
COMMENT ON FUNCTION @extschema@.wawp_audit_head() IS
	'the last block of the audit log''s seal; kept elsewhere, its hash proves that nothing before it was changed since';

CREATE FUNCTION @extschema@.wawp_audit_proof(id bigint) RETURNS jsonb
	LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'wawp_audit_proof';
COMMENT ON FUNCTION @extschema@.wawp_audit_proof(bigint) IS
	'a record of the audit log with all that is needed to check that it is in its block: see doc/audit-seal.md';

-- ---- sql/45-policy.sql: erasure

COMMENT ON COLUMN wawp.suppression.jid IS 'the person; of one who was erased "hmac:" and a keyed hash of the number: see wawp.erasure_key';
-- Empty until somebody is erased.  It is dumped, as the opt-out list is: a restored copy obeys it, too (doc/erasure.md).
CREATE TABLE wawp.erasure_key (
	key			text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT erasure_key_pkey PRIMARY KEY (key)
);
COMMENT ON TABLE wawp.erasure_key IS 'the key by which people who were erased are recognised in wawp.suppression; who has both can find their numbers by trying all';
COMMENT ON COLUMN wawp.erasure_key.key IS 'random; several if databases were merged, and all count';
COMMENT ON COLUMN wawp.erasure_key.since IS 'when it was drawn';

-- Erasures of which transactions that were open meanwhile may have missed something, until the worker has completed them.  Not dumped.
CREATE TABLE wawp.erasure (
	contact_id	bigint NOT NULL,
	jids		text[] COLLATE "C" NOT NULL,
	since		xid8 NOT NULL,
	writers		text[] COLLATE "C",
	log_id		bigint NOT NULL,
	tables		int NOT NULL DEFAULT 0,
	home		uuid DEFAULT wawp._home(),
	CONSTRAINT erasure_pkey PRIMARY KEY (contact_id)
);
COMMENT ON TABLE wawp.erasure IS 'people who are being erased, until the transactions that were open meanwhile have ended and the worker has erased what they wrote';
COMMENT ON COLUMN wawp.erasure.contact_id IS 'number of the person in the audit log';
COMMENT ON COLUMN wawp.erasure.jids IS 'what the person is known by';
COMMENT ON COLUMN wawp.erasure.since IS 'the oldest transaction that was open';
COMMENT ON COLUMN wawp.erasure.writers IS 'those that are waited for; NULL until the worker has looked';
COMMENT ON COLUMN wawp.erasure.log_id IS 'number of the last record of the audit log that was looked at';
COMMENT ON COLUMN wawp.erasure.tables IS 'how many tables were looked through since the transactions have ended';
COMMENT ON COLUMN wawp.erasure.home IS 'the database that completes it: in which the person was erased, or that took over';

SELECT pg_catalog.pg_extension_config_dump('wawp.erasure_key', '');

-- ---- the data of one person

CREATE FUNCTION @extschema@.wawp_subject_export(jid text) RETURNS jsonb
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_subject_export';
COMMENT ON FUNCTION @extschema@.wawp_subject_export(text) IS
	'all that is held on a person, by table, and records that it was read; free texts that have the number are found, too';

CREATE FUNCTION @extschema@.wawp_erase(jid text, reason text DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_erase';
COMMENT ON FUNCTION @extschema@.wawp_erase(text, text) IS
	'removes a person''s number and privacy id from all tables, ends their intents, and keeps them from being added again until wawp_unsuppress(); returns how many rows changed';

-- ---- sql/55-webhook.sql

-- The key tells a repeated event; bodies are texts, since they are verified as bytes and jsonb does not hold all of them.
-- Not dumped: an event is worth something for minutes, and what it led to is in other tables.
CREATE TABLE wawp.webhook_event (
	instance	name NOT NULL,
	event		text COLLATE "C" NOT NULL,
	id			text COLLATE "C" NOT NULL,
	instance_id	text COLLATE "C",
	received_at	timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	body		text COLLATE "C",
	home		uuid DEFAULT wawp._home(),
	next_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	tries		int NOT NULL DEFAULT 0,
	happened_at	timestamptz,
	applied_at	timestamptz,
	detail		text COLLATE "C",
	progress	text COLLATE "C",
	CONSTRAINT webhook_event_pkey PRIMARY KEY (instance, event, id)
);
CREATE INDEX webhook_event_waiting ON wawp.webhook_event (home, next_at) WHERE applied_at IS NULL;
CREATE INDEX webhook_event_received ON wawp.webhook_event (received_at);
COMMENT ON TABLE wawp.webhook_event IS 'events that wawp_webhook() has accepted, each once, for wawp.retention';
COMMENT ON COLUMN wawp.webhook_event.instance IS 'the instance it was received for';
COMMENT ON COLUMN wawp.webhook_event.event IS 'its kind, as the gateway names it; empty if it is not understood';
COMMENT ON COLUMN wawp.webhook_event.id IS 'its id; without one, the SHA-256 of its body';
COMMENT ON COLUMN wawp.webhook_event.instance_id IS 'the instance''s Wawp id when it was received; it means nothing to another account';
COMMENT ON COLUMN wawp.webhook_event.received_at IS 'when it was received first';
COMMENT ON COLUMN wawp.webhook_event.body IS 'as it was received; NULL if it was too large';
COMMENT ON COLUMN wawp.webhook_event.home IS 'the database it was received in, the only one that applies it';
COMMENT ON COLUMN wawp.webhook_event.next_at IS 'when the worker applies it, or tries again';
COMMENT ON COLUMN wawp.webhook_event.tries IS 'how often applying it has failed';
COMMENT ON COLUMN wawp.webhook_event.happened_at IS 'when it happened: by WhatsApp, else by the gateway, else when it was received';
COMMENT ON COLUMN wawp.webhook_event.applied_at IS 'when the worker was through with it; NULL: not yet';
COMMENT ON COLUMN wawp.webhook_event.detail IS 'what it led to, or why it led to nothing';
COMMENT ON COLUMN wawp.webhook_event.progress IS 'of one about several people that is tried again, a letter for each: - not applied, w applied but for an answer that is waited for, d applied';

-- Bodies that were refused, by a part of their hash: a flood of them takes no more than these rows.
CREATE TABLE wawp.webhook_refusal (
	instance	name NOT NULL,
	slot		int NOT NULL,
	body_hash	bytea NOT NULL,
	bytes		int NOT NULL,
	reason		text COLLATE "C" NOT NULL,
	refused		bigint NOT NULL DEFAULT 1,
	bodies		bigint NOT NULL DEFAULT 1,
	first_at	timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT webhook_refusal_pkey PRIMARY KEY (instance, slot)
);
COMMENT ON TABLE wawp.webhook_refusal IS 'events that wawp_webhook() has refused, at most 1,024 rows an instance';
COMMENT ON COLUMN wawp.webhook_refusal.instance IS 'the instance they were sent for';
COMMENT ON COLUMN wawp.webhook_refusal.slot IS 'first bits of the hash';
COMMENT ON COLUMN wawp.webhook_refusal.body_hash IS 'SHA-256 of the body that was refused last';
COMMENT ON COLUMN wawp.webhook_refusal.bytes IS 'its length';
COMMENT ON COLUMN wawp.webhook_refusal.reason IS 'why it was refused';
COMMENT ON COLUMN wawp.webhook_refusal.refused IS 'how often a body with that slot was refused; a gateway tries each up to 16 times';
COMMENT ON COLUMN wawp.webhook_refusal.bodies IS 'how often it was another body than the time before';
COMMENT ON COLUMN wawp.webhook_refusal.first_at IS 'when that was first; a row ends a day after it was last';
COMMENT ON COLUMN wawp.webhook_refusal.last_at IS 'when it was last';

-- Words by which a person who sends nothing else to us in a message opts out of all groups.
CREATE TABLE wawp.opt_out_word (
	word		text COLLATE "C" NOT NULL,
	built_in	bool NOT NULL DEFAULT false,
	CONSTRAINT opt_out_word_pkey PRIMARY KEY (word)
);
COMMENT ON TABLE wawp.opt_out_word IS 'a person whose message is nothing but one of these words is not added or invited any more (wawp.suppression)';
COMMENT ON COLUMN wawp.opt_out_word.word IS 'a word or a few; upper and lower case, and marks around it, make no difference';
COMMENT ON COLUMN wawp.opt_out_word.built_in IS 'true if it came with the extension; such rows are not dumped';
INSERT INTO wawp.opt_out_word (word, built_in) VALUES ('stop', true), ('stop all', true), ('unsubscribe', true), ('opt out', true);

SELECT pg_catalog.pg_extension_config_dump('wawp.opt_out_word', 'WHERE NOT built_in');

-- The member whose LID an event has.
CREATE INDEX contact_lid ON wawp.contact (lid) WHERE lid IS NOT NULL;

CREATE FUNCTION @extschema@.wawp_webhook(payload text, signature text, instance name DEFAULT NULL,
							 OUT status int, OUT retry_after int, OUT detail text) RETURNS record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_webhook';
COMMENT ON FUNCTION @extschema@.wawp_webhook(text, text, name) IS
	'stores an event of the gateway, if its signature is right, for the worker to apply; returns what to answer: the HTTP status and perhaps the seconds of Retry-After';

-- ---- a page to look at

CREATE FUNCTION @extschema@.wawp_report(since timestamptz, before timestamptz, instance name DEFAULT NULL) RETURNS text
	LANGUAGE C STABLE COST 1000000 AS 'MODULE_PATHNAME', 'wawp_report';
COMMENT ON FUNCTION @extschema@.wawp_report(timestamptz, timestamptz, name) IS
	'a page of HTML about a time, from the audit log: results, adds by day, refusals, holds, who asked, and whether the log is complete; for who may read wawp.audit_log, with people''s numbers for who may read wawp.contact';
CREATE FUNCTION wawp._report_seal(since timestamptz, before timestamptz,
		OUT ok bool, OUT checked bigint, OUT first_bad_block bigint, OUT first_bad_id bigint, OUT problem text) RETURNS record
	LANGUAGE C STABLE COST 1000000 AS 'MODULE_PATHNAME', 'wawp_audit_verify';
COMMENT ON FUNCTION wawp._report_seal(timestamptz, timestamptz) IS 'wawp_audit_verify(), under a name that is always the same';

-- ---- sql/40-queue.sql

CREATE FUNCTION wawp._metrics(OUT name text, OUT labels jsonb, OUT value float8)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'wawp_metrics';
COMMENT ON FUNCTION wawp._metrics() IS 'wawp.metrics';

-- ---- views

CREATE OR REPLACE VIEW wawp.queue WITH (security_invoker) AS
	SELECT q.instance, q.group_jid, count(*) AS queued,
		count(*) FILTER (WHERE q.is_served AND q.held_until IS NULL
			AND coalesce(greatest(q.not_before, q.next_attempt_at), '-infinity') <= pg_catalog.clock_timestamp()) AS due,
		min(greatest(q.not_before, q.next_attempt_at, q.held_until)) FILTER (WHERE q.is_served) AS next_at,
		CASE WHEN count(*) FILTER (WHERE q.is_ours) = 0 THEN 'not taken over'
			WHEN count(*) FILTER (WHERE q.is_served) = 0 THEN 'another account'
			ELSE coalesce((SELECT h.reason FROM wawp.hold h WHERE h.instance = q.instance
					AND (h.group_jid IS NULL OR h.group_jid = q.group_jid)
					AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
					ORDER BY h.group_jid NULLS FIRST LIMIT 1),
				CASE WHEN bool_and(q.held_until IS NOT NULL) FILTER (WHERE q.is_served)
					THEN min(q.held_by) FILTER (WHERE q.is_served) END) END AS held_by,
		pg_catalog.clock_timestamp() + wawp._drain_time(q.instance,
			nullif(count(*) FILTER (WHERE q.is_served), 0)) AS eta
	FROM (SELECT i.instance, i.group_jid, i.not_before, i.next_attempt_at,
			i.home = (SELECT wawp._home()) AS is_ours,
			i.home = (SELECT wawp._home()) AND i.instance_id = a.account AS is_served,
			r.until AS held_until, r.reason AS held_by
		-- The index begins with the home: ours, those below and above it, and none, so that one group's rows are
		-- found in it.  A copy has no home, and all rows are below.  The condition on id is always true and makes
		-- the lane's partial index usable.  A range, of which both ends are named, is taken for a
		-- small one by the planner, and read by that index.
		FROM (SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0
				AND o.home >= '00000000-0000-0000-0000-000000000000'
				AND o.home < (SELECT coalesce(wawp._home(), 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home > (SELECT wawp._home())
				AND o.home <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NULL) i
		LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
			ON a.srvname = i.instance
		LEFT JOIN wawp.requester_hold r ON r.instance = i.instance AND r.requester = i.requester
			AND r.until > pg_catalog.clock_timestamp()
		WHERE NOT (SELECT wawp._is_monitor())) q
	GROUP BY q.instance, q.group_jid
	UNION ALL
	SELECT f.instance, f.group_jid, f.queued, f.due, f.next_at, f.held_by, f.eta FROM wawp._queue_figures() f;
COMMENT ON COLUMN wawp.queue.due IS 'those that could go now but for pace and holds of instance and group; never ones that were restored or replicated, are of another account or whose requester is held';
COMMENT ON COLUMN wawp.queue.held_by IS 'why the instance, the group or the requesters of all are held; NULL when they are not; "not taken over" when all were restored or replicated, "another account" when the instance has another one now than all were asked for with';
COMMENT ON COLUMN wawp.queue.eta IS 'when the last one leaves at the instance''s pace if no other group''s come before it; NULL when that is not known or beyond a century';

CREATE OR REPLACE VIEW wawp.progress WITH (security_invoker) AS
	SELECT b.batch_id, b.total, b.done, b.failed, b.cancelled, b.pct, b.eta,
		repeat('#', (b.pct / 5)::int) || repeat('.', 20 - (b.pct / 5)::int) AS bar
	FROM (
		SELECT i.batch_id, count(*) AS total,
			count(*) FILTER (WHERE i.state = 'done') AS done,
			count(*) FILTER (WHERE i.state = 'failed') AS failed,
			count(*) FILTER (WHERE i.state = 'cancelled') AS cancelled,
			floor(100.0 * count(*) FILTER (WHERE i.state IN ('done', 'failed', 'cancelled')) / count(*))::int AS pct,
			CASE WHEN count(*) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')
				AND (i.home IS DISTINCT FROM (SELECT wawp._home()) OR i.instance_id IS DISTINCT FROM a.account)) = 0
				THEN pg_catalog.clock_timestamp() + wawp._drain_time(min(i.instance::text)::name,
					nullif(count(*) FILTER (WHERE i.state = 'queued'), 0)) END AS eta
		FROM wawp.membership_intent i
		LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
			ON a.srvname = i.instance
		WHERE i.batch_id IS NOT NULL AND NOT (SELECT wawp._is_monitor())
		GROUP BY i.batch_id
		UNION ALL
		SELECT f.batch_id, f.total, f.done, f.failed, f.cancelled, f.pct, f.eta FROM wawp._progress_figures() f) b;
COMMENT ON COLUMN wawp.progress.eta IS 'when the last one leaves at the pace; NULL when none is queued, when that is not known, or some are not taken over or wait for another account';

CREATE OR REPLACE VIEW wawp.stuck WITH (security_invoker) AS
	-- Nothing here reads all that is queued: lanes are found one after the other in their index, and the rows of those
	-- that are held are counted there.
	WITH RECURSIVE server AS MATERIALIZED (
		SELECT s.srvname::text COLLATE "C" AS instance, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s),
	-- the homes and accounts with which something is queued in each lane
	lane AS (
		(SELECT o.home, o.instance, o.group_jid, o.instance_id
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NOT NULL AND NOT (SELECT wawp._is_monitor())
		ORDER BY o.home, o.instance, o.group_jid, o.instance_id LIMIT 1)
		UNION ALL
		SELECT n.home, n.instance, n.group_jid, n.instance_id
		FROM lane l, LATERAL (SELECT o.home, o.instance, o.group_jid, o.instance_id
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0
				AND (o.home, o.instance, o.group_jid, o.instance_id) > (l.home, l.instance, l.group_jid, l.instance_id)
			ORDER BY o.home, o.instance, o.group_jid, o.instance_id LIMIT 1) n),
	-- the homes and lanes in which something was sent and is not settled
	busy_lane AS (
		(SELECT o.home, o.instance, o.group_jid
		FROM wawp.membership_intent o
		WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval') AND o.home IS NOT NULL
			AND NOT (SELECT wawp._is_monitor())
		ORDER BY o.home, o.instance, o.group_jid LIMIT 1)
		UNION ALL
		SELECT n.home, n.instance, n.group_jid
		FROM busy_lane l, LATERAL (SELECT o.home, o.instance, o.group_jid
			FROM wawp.membership_intent o
			WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')
				AND (o.home, o.instance, o.group_jid) > (l.home, l.instance, l.group_jid)
			ORDER BY o.home, o.instance, o.group_jid LIMIT 1) n),
	busy AS MATERIALIZED (
		SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.detail, i.updated_at, i.instance_id,
			coalesce(l.home = (SELECT wawp._home()), false) AS is_ours
		-- OFFSET keeps the planner from reading the whole table once instead
		FROM busy_lane l, LATERAL (SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id
			FROM wawp.membership_intent o
			WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')
				AND o.home = l.home AND o.instance = l.instance AND o.group_jid = l.group_jid OFFSET 0) i
		UNION ALL
		SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.detail, i.updated_at, i.instance_id, false
		FROM wawp.membership_intent i
		WHERE i.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval') AND i.home IS NULL
			AND NOT (SELECT wawp._is_monitor()))
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(CASE WHEN i.state <> 'failed' THEN wawp._account_problem(i.instance::name, i.instance_id) END,
			i.detail, i.outcome::text) AS why
	-- A range, of which both ends are named, is taken for a small one by the planner, and read by the index of these.
	FROM (SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id, o.home
		FROM wawp.membership_intent o
		WHERE (o.state = 'failed' AND (o.outcome = 'unknown_result' OR o.origin = 'until') OR o.state = 'queued' AND (o.attempts > 0 OR o.crashes > 0))
			AND o.home >= '00000000-0000-0000-0000-000000000000' AND o.home <= (SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
		UNION ALL
		SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id, o.home
		FROM wawp.membership_intent o
		WHERE (o.state = 'failed' AND (o.outcome = 'unknown_result' OR o.origin = 'until') OR o.state = 'queued' AND (o.attempts > 0 OR o.crashes > 0))
			AND o.home IS NULL) i
	WHERE (i.state = 'failed' OR i.home = (SELECT wawp._home())) AND NOT (SELECT wawp._is_monitor())
	UNION ALL
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at,
		coalesce(wawp._account_problem(i.instance::name, i.instance_id), i.detail, i.outcome::text)
	FROM busy i LEFT JOIN server s ON s.instance = i.instance
	WHERE i.is_ours
		AND (i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
			OR i.state = 'verifying' AND (i.outcome = 'unknown_result' OR i.detail LIKE 'could not be verified:%'
				OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
			OR i.state IN ('verifying', 'inviting', 'invited', 'pending_approval') AND i.instance_id IS DISTINCT FROM s.account
			OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
	UNION ALL
	-- a row for all of a group and state that this database does not serve; its id is the first one's
	SELECT min(i.id), i.instance, i.group_jid, NULL, i.state, NULL, min(i.updated_at),
		'restored or replicated and not served until wawp_take_over(); ' || sum(i.number) || ' ' || i.state
	FROM (SELECT q.id, q.instance, q.group_jid, 'queued'::wawp.state AS state, q.updated_at, q.number
		FROM lane l, LATERAL (SELECT l.instance, l.group_jid, min(o.id) AS id, min(o.updated_at) AS updated_at, count(*) AS number
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
				AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id) q
		WHERE l.home IS DISTINCT FROM (SELECT wawp._home())
			-- always true; the planner takes them for few
			AND l.home >= '00000000-0000-0000-0000-000000000000' AND l.home <= (SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
		UNION ALL
		SELECT o.id, o.instance, o.group_jid, o.state, o.updated_at, 1
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NULL AND NOT (SELECT wawp._is_monitor())
		UNION ALL
		SELECT b.id, b.instance, b.group_jid, b.state, b.updated_at, 1 FROM busy b WHERE NOT b.is_ours) i
	GROUP BY i.instance, i.group_jid, i.state
	UNION ALL
	-- a row for all that are queued in a group with an account that the instance does not have now; its id is the first one's
	SELECT q.id, l.instance, l.group_jid, NULL, 'queued', NULL, q.since,
		wawp._account_problem(l.instance::name, l.instance_id) || '; ' || q.queued || ' queued'
	FROM lane l LEFT JOIN server s ON s.instance = l.instance,
	LATERAL (SELECT min(o.id) AS id, min(o.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
			AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id AND o.attempts = 0 AND o.crashes = 0) q
	WHERE l.home = (SELECT wawp._home()) AND l.instance_id IS DISTINCT FROM s.account AND q.queued > 0
	UNION ALL
	-- a row for all that are queued in a lane that is held; its id is the first one's, and so is since
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL,
		(SELECT o.updated_at FROM wawp.membership_intent o WHERE o.id = l.id),
		'held: ' || l.reason || '; ' || l.queued || ' queued'
	FROM (SELECT s.instance, q.group_jid, q.id, q.queued, h.reason
		FROM wawp.hold h JOIN server s ON s.instance = h.instance,
		LATERAL (SELECT o.group_jid, min(o.id) AS id, count(*) AS queued
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = s.instance
				AND o.instance_id = s.account AND NOT (SELECT wawp._is_monitor())
			GROUP BY o.group_jid) q
		WHERE h.group_jid IS NULL AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		UNION ALL
		SELECT s.instance, h.group_jid, q.id, q.queued, h.reason
		FROM wawp.hold h JOIN server s ON s.instance = h.instance,
		LATERAL (SELECT min(o.id) AS id, count(*) AS queued
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = s.instance
				AND o.group_jid = h.group_jid AND o.instance_id = s.account AND NOT (SELECT wawp._is_monitor())) q
		WHERE h.group_jid IS NOT NULL AND q.queued > 0 AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
			AND NOT EXISTS (SELECT FROM wawp.hold x WHERE x.instance = h.instance AND x.group_jid IS NULL
				AND (x.until IS NULL OR x.until > pg_catalog.clock_timestamp()))) l
	UNION ALL
	-- a row for all that are to be invited to a group while WhatsApp lets the account write to no strangers; its id is the first one's
	SELECT l.id, l.instance, l.group_jid, NULL, 'inviting', 'account_restricted', l.since,
		'invitations are held until ' || h.until::timestamptz(0) || ', additions go on: ' || h.reason || '; ' || l.waiting || ' to be invited'
	FROM (SELECT b.instance, b.group_jid, min(b.id) AS id, min(b.updated_at) AS since, count(*) AS waiting
		FROM busy b WHERE b.state = 'inviting' AND b.is_ours
		GROUP BY b.instance, b.group_jid) l
	JOIN wawp.hold h ON h.instance = l.instance AND h.group_jid = 'invitations' AND h.until > pg_catalog.clock_timestamp()
	UNION ALL
	-- a row for all of a role that are queued in a group, while the role is held
	SELECT q.id, l.instance, l.group_jid, NULL, 'queued', NULL, q.since,
		'held: role ' || pg_catalog.pg_get_userbyid(r.requester) || ': ' || r.reason || '; ' || q.queued || ' queued'
	FROM wawp.requester_hold r
	JOIN server s ON s.instance = r.instance
	JOIN lane l ON l.instance = s.instance AND l.instance_id = s.account AND l.home = (SELECT wawp._home()),
	LATERAL (SELECT min(o.id) AS id, min(o.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
			AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id AND o.requester = r.requester) q
	WHERE r.until > pg_catalog.clock_timestamp() AND q.queued > 0
	UNION ALL
	SELECT f.id, f.instance, f.group_jid, f.jid, f.state, f.outcome, f.since, f.why FROM wawp._stuck_figures() f
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, w.since, w.why FROM wawp._worker_status() w WHERE w.why IS NOT NULL;
COMMENT ON COLUMN wawp.stuck.id IS 'the intent, or the first of those in a group that are held or not taken over; NULL for the worker';
COMMENT ON COLUMN wawp.stuck.jid IS 'the person; NULL for all in a group that are held or not taken over';
COMMENT ON COLUMN wawp.stuck.since IS 'when it last changed; of those in a group that are held, the first one';

CREATE OR REPLACE VIEW wawp.funnel WITH (security_invoker) AS
	SELECT f.instance, f.group_jid, f.batch_id, f.asked, f.added, f.already, f.invited, f.joined_by_invite,
		f.waiting, f.refused
	FROM (
		SELECT i.instance, i.group_jid, i.batch_id, coalesce(sum(i.n), 0)::bigint AS asked,
			coalesce(sum(i.n) FILTER (WHERE i.state = 'done' AND i.outcome IN ('added', 'accepted')), 0)::bigint AS added,
			coalesce(sum(i.n) FILTER (WHERE i.outcome = 'already_member'), 0)::bigint AS already,
			coalesce(sum(i.n) FILTER (WHERE i.outcome IN ('invited', 'joined_by_invite')), 0)::bigint AS invited,
			coalesce(sum(i.n) FILTER (WHERE i.outcome = 'joined_by_invite'), 0)::bigint AS joined_by_invite,
			coalesce(sum(i.n) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')), 0)::bigint AS waiting,
			pg_catalog.jsonb_object_agg(coalesce(i.outcome::text, 'unknown'), i.n) FILTER (WHERE i.state = 'failed') AS refused
		FROM (
			SELECT x.instance, x.group_jid, x.batch_id, x.state, x.outcome, count(*) AS n
			FROM wawp.membership_intent x
			WHERE x.action IN ('add', 'invite') AND NOT (SELECT wawp._is_monitor())
			GROUP BY x.instance, x.group_jid, x.batch_id, x.state, x.outcome) i
		GROUP BY i.instance, i.group_jid, i.batch_id
		UNION ALL
		SELECT m.instance, m.group_jid, m.batch_id, m.asked, m.added, m.already, m.invited, m.joined_by_invite,
			m.waiting, m.refused
		FROM wawp._funnel_figures() m) f;

CREATE OR REPLACE VIEW wawp.instance WITH (security_invoker) AS
	SELECT s.srvname AS name,
		coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'base_url'), 'https://api.wawp.net') AS base_url,
		(SELECT pg_catalog.jsonb_object_agg(o.option_name, o.option_value)
			FROM pg_catalog.pg_options_to_table(s.srvoptions) o) AS options,
		wawp._worker_pid() AS worker_pid,
		COALESCE((SELECT w.state FROM wawp._worker_status() w WHERE w.state OPERATOR(pg_catalog.=) 'copy'),
			(SELECT h.reason FROM (SELECT x.reason FROM wawp.hold x
				WHERE x.instance OPERATOR(pg_catalog.=) s.srvname AND x.group_jid IS NULL
					AND (x.until IS NULL OR x.until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())
				UNION ALL
				SELECT r.reason FROM wawp.requester_hold r
				WHERE r.instance OPERATOR(pg_catalog.=) s.srvname
					AND r.requester OPERATOR(pg_catalog.=) (SELECT u.oid FROM pg_catalog.pg_roles u
						WHERE u.rolname OPERATOR(pg_catalog.=) CURRENT_USER)
					AND r.until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
				UNION ALL
				SELECT f.held_by FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname AND f.held_by IS NOT NULL) h
			LIMIT 1)) AS held_by,
		COALESCE((SELECT w.why FROM wawp._worker_status() w),
			(SELECT h.reason FROM wawp.hold h WHERE h.instance OPERATOR(pg_catalog.=) s.srvname
				ORDER BY h.since DESC LIMIT 1),
			(SELECT f.last_reason FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname)) AS last_error
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp'
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON COLUMN wawp.instance.held_by IS 'why the whole instance is held, or the role''s own intents for it; NULL when they are not';

CREATE OR REPLACE VIEW wawp.worker_status WITH (security_invoker) AS
	SELECT w.pid, w.started_at, w.last_cycle_at, w.in_flight,
		CASE WHEN wawp._is_monitor() THEN wawp._oldest_due()
			-- The first that is due of each lane, account and priority, found one after the other in the lane's index, and the
			-- first without a time of its own, which may have been due before one that was tried; then what was planned.
			ELSE (WITH RECURSIVE line AS (
				(SELECT o.instance, o.group_jid, o.instance_id, o.priority
				FROM wawp.membership_intent o
				WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
				ORDER BY o.instance, o.group_jid, o.instance_id, coalesce(o.not_before > o.updated_at, false), o.priority DESC LIMIT 1)
				UNION ALL
				SELECT n.instance, n.group_jid, n.instance_id, n.priority
				FROM line l, LATERAL (
					(SELECT o.instance, o.group_jid, o.instance_id, o.priority
					FROM wawp.membership_intent o
					WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = l.instance
						AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
						AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority < l.priority
					ORDER BY o.priority DESC LIMIT 1)
					UNION ALL
					(SELECT o.instance, o.group_jid, o.instance_id, o.priority
					FROM wawp.membership_intent o
					WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
						AND (o.instance, o.group_jid, o.instance_id) > (l.instance, l.group_jid, l.instance_id)
					ORDER BY o.instance, o.group_jid, o.instance_id, coalesce(o.not_before > o.updated_at, false), o.priority DESC LIMIT 1)
					LIMIT 1) n),
				held AS MATERIALIZED (SELECT r.instance::text COLLATE "C" AS instance, r.requester
					FROM wawp.requester_hold r WHERE r.until > pg_catalog.clock_timestamp())
				SELECT min(d.due_at)
				FROM (SELECT least(f.due_at, p.due_at) AS due_at
					FROM line l
					JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
						ON a.srvname = l.instance AND a.account = l.instance_id,
					LATERAL (SELECT greatest(o.created_at, o.not_before, o.next_attempt_at) AS due_at,
							o.not_before IS NULL AND o.next_attempt_at IS NULL AS is_plain
						FROM wawp.membership_intent o
						WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = l.instance
							AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
							AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority = l.priority
							AND greatest(o.created_at, o.not_before, o.next_attempt_at) <= pg_catalog.clock_timestamp()
							AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)
						ORDER BY o.id LIMIT 1) f
					LEFT JOIN LATERAL (SELECT o.created_at AS due_at
						FROM wawp.membership_intent o
						WHERE NOT f.is_plain AND o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
							AND o.instance = l.instance AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
							AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority = l.priority
							AND o.not_before IS NULL AND o.next_attempt_at IS NULL AND o.created_at <= pg_catalog.clock_timestamp()
							AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)
						ORDER BY o.id LIMIT 1) p ON true
					UNION ALL
					SELECT greatest(o.created_at, o.not_before, o.next_attempt_at)
					FROM wawp.membership_intent o
					JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
						ON a.srvname = o.instance AND a.account = o.instance_id
					WHERE o.state = 'queued' AND o.not_before > o.updated_at AND o.home = (SELECT wawp._home())
						AND o.not_before <= pg_catalog.statement_timestamp()
						AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)) d
				WHERE d.due_at <= pg_catalog.clock_timestamp()) END AS oldest_due_at,
		w.errors_in_a_row, w.sqlstate, w.last_error, w.state
	FROM wawp._worker_status() w;
COMMENT ON COLUMN wawp.worker_status.state IS 'serving, off (wawp.worker), failing, none (no worker) or copy (nothing is sent before wawp_take_over())';

CREATE VIEW wawp.metrics WITH (security_invoker) AS
	SELECT m.name, m.labels, m.value FROM wawp._metrics() m;
COMMENT ON VIEW wawp.metrics IS
	'figures for a monitoring system, in the form that Prometheus shows: gauges, and counters since the server''s start (..._total); for members of pg_monitor, who see all instances and no person or group; doc/monitoring explains each';
COMMENT ON COLUMN wawp.metrics.name IS 'what it is, with its unit';
COMMENT ON COLUMN wawp.metrics.labels IS 'what it is about: instance, and state, outcome, reason and the like';
COMMENT ON COLUMN wawp.metrics.value IS 'the figure; Infinity where it is a limit that is not set';

CREATE VIEW wawp.overview WITH (security_invoker) AS
	SELECT i.name AS instance, coalesce(q.queued, 0)::bigint AS queued, coalesce(q.due, 0)::bigint AS due,
		coalesce(q.groups_behind, 0)::bigint AS groups_behind, q.eta, b.adds_left_minute, b.adds_left_day,
		coalesce((SELECT w.why FROM wawp._worker_status() w), 'held: ' || i.held_by,
			CASE WHEN s.stuck > 0 THEN s.stuck || ' in wawp.stuck' END) AS trouble
	FROM wawp.instance i
	LEFT JOIN wawp.budget b ON b.instance = i.name
	LEFT JOIN (SELECT u.instance, sum(u.queued) AS queued, sum(u.due) AS due,
			count(*) FILTER (WHERE u.due > 0) AS groups_behind, max(u.eta) AS eta
		FROM wawp.queue u GROUP BY u.instance) q ON q.instance = i.name::text
	LEFT JOIN (SELECT t.instance, count(*) AS stuck FROM wawp.stuck t GROUP BY t.instance) s ON s.instance = i.name::text
	ORDER BY i.name;
COMMENT ON VIEW wawp.overview IS
	'one line for each instance the role may use: what waits, what the pace has left, and what is wrong; made to be watched';
COMMENT ON COLUMN wawp.overview.instance IS 'the instance';
COMMENT ON COLUMN wawp.overview.queued IS 'intents that are queued';
COMMENT ON COLUMN wawp.overview.due IS 'those that could go now but for pace and holds';
COMMENT ON COLUMN wawp.overview.groups_behind IS 'groups that have some of these';
COMMENT ON COLUMN wawp.overview.eta IS 'when the last one of the fullest group leaves at the pace if no other group''s come before it';
COMMENT ON COLUMN wawp.overview.adds_left_minute IS 'adds that may leave within a minute; NULL means no limit';
COMMENT ON COLUMN wawp.overview.adds_left_day IS 'adds left of adds_per_day; NULL means no limit';
COMMENT ON COLUMN wawp.overview.trouble IS 'why nothing is sent, why the instance is held, or how much makes no progress; NULL when all is well';

-- 10-instance.sql
CREATE FUNCTION wawp._option_info(OUT option text, OUT object text, OUT standard text, OUT lowest float8, OUT highest float8,
								  OUT text text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 23
	AS 'MODULE_PATHNAME', 'wawp_option_info';
COMMENT ON FUNCTION wawp._option_info() IS
	'the options of Wawp instances, user mappings and foreign tables, with defaults and limits; doc/reference.md is made of it';

-- 30-api.sql, 50-audit.sql
COMMENT ON FUNCTION @extschema@.wawp_send_text(text, text, name) IS
	'sends a message to a person or a group and returns its id, if the API tells it; an error while the instance is held or the group is paused';
COMMENT ON FUNCTION @extschema@.wawp_revoke_invite_link(text, name) IS
	'makes a group''s invite link void and returns the new one; an error if it changed nothing';
COMMENT ON COLUMN wawp.audit_log.duration_ms IS 'how long the request took, in milliseconds';
COMMENT ON COLUMN wawp.audit.duration_ms IS 'how long the request took, in milliseconds';

-- 90-grants.sql: privileges of what this script has made
CREATE FUNCTION wawp._privileges_begin(before text[]) RETURNS void
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_privileges_begin';
COMMENT ON FUNCTION wawp._privileges_begin(text[]) IS
	'undoes ALTER DEFAULT PRIVILEGES on members that were not there before; for the install and upgrade scripts';
SELECT wawp._privileges_begin(pg_catalog.current_setting('wawp_upgrade.before')::text[]);
REVOKE ALL ON FUNCTION @extschema@.wawp_fdw_handler(), wawp._row_arrived(), wawp._audit_erased(wawp.audit_log, text[]),
	wawp._identity_begin(), wawp._privileges_begin(text[]), wawp._metrics(), @extschema@.wawp_subject_export(text),
	@extschema@.wawp_erase(text, text), @extschema@.wawp_webhook(text, text, name) FROM PUBLIC;
GRANT SELECT ON wawp.requester_hold, wawp.overview TO PUBLIC;
-- Figures of everybody's intents, without people: for monitoring alone.
GRANT EXECUTE ON FUNCTION wawp._metrics() TO pg_monitor;
GRANT SELECT ON wawp.metrics TO pg_monitor;
