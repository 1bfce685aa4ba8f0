/* wawp: complain if the script is sourced in psql rather than by CREATE EXTENSION */
\echo Use "CREATE EXTENSION wawp" to load this file. \quit

-- A role that may create objects in the target schema could have created operators and functions there that match better
-- than pg_catalog's: only pg_catalog is searched, and what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Nouns live here; verbs are functions wawp_... in the extension's own schema.
CREATE SCHEMA wawp;
COMMENT ON SCHEMA wawp IS 'tables, views and types of the extension wawp';

-- In the order of src/protocol/outcome.h.
CREATE TYPE wawp.outcome AS ENUM (
	'added',
	'already_member',
	'joined_by_invite',
	'removed',
	'not_member',
	'promoted',
	'demoted',
	'accepted',
	'unknown_result',
	'privacy_blocked',
	'community_restricted',
	'invited',
	'pending_approval',
	'recently_left',
	'removed_by_admin',
	'blocked_by_user',
	'not_on_whatsapp',
	'legal_restricted',
	'bad_identifier',
	'suppressed',
	'unrecognised',
	'group_full',
	'not_admin',
	'group_not_found',
	'group_locked',
	'link_unavailable',
	'rate_limited',
	'server_error',
	'unreachable',
	'account_restricted',
	'session_down',
	'auth_failed',
	'quota_exceeded',
	'throttled'
);
COMMENT ON TYPE wawp.outcome IS 'what is known about one person after an attempt; wawp.outcome_info explains each';

-- ---- instances: a foreign server is a Wawp account, its token is in the user mapping

CREATE FUNCTION @extschema@.wawp_fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE C STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_fdw_validator';
COMMENT ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) IS
	'checks the options of Wawp instances and of their user mappings';

CREATE FOREIGN DATA WRAPPER wawp
	NO HANDLER
	VALIDATOR @extschema@.wawp_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER wawp IS
	'Wawp accounts: CREATE SERVER ... OPTIONS (instance_id ...), CREATE USER MAPPING ... OPTIONS (access_token ...)';

-- ---- without I/O: these work without preloading, too

CREATE FUNCTION @extschema@.wawp_jid(identifier text) RETURNS text
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_jid';
COMMENT ON FUNCTION @extschema@.wawp_jid(text) IS
	'the normal form of a phone number or JID as people and engines write them; NULL when it is none';

CREATE FUNCTION @extschema@.wawp_is_group_jid(identifier text) RETURNS bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_group_jid';
COMMENT ON FUNCTION @extschema@.wawp_is_group_jid(text) IS
	'true if this is exactly the JID of a group';

CREATE FUNCTION @extschema@.wawp_is_person_jid(identifier text) RETURNS bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_person_jid';
COMMENT ON FUNCTION @extschema@.wawp_is_person_jid(text) IS
	'true if this is exactly the JID of a person';

CREATE FUNCTION @extschema@.wawp_classify(operation text, http_status int, body text,
							  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_classify';
COMMENT ON FUNCTION @extschema@.wawp_classify(text, int, text) IS
	'reads an answer of the API to add, remove, promote, demote or send, without sending anything';

CREATE FUNCTION wawp._outcome_info(OUT outcome wawp.outcome, OUT about text, OUT final bool, OUT next_step text,
								   OUT text text, OUT hint text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 34
	AS 'MODULE_PATHNAME', 'wawp_outcome_info';
COMMENT ON FUNCTION wawp._outcome_info() IS 'the rows of wawp.outcome_info, in the order of the type';

CREATE VIEW wawp.outcome_info WITH (security_invoker) AS
	SELECT o.outcome, o.about, o.final, o.next_step, o.text, o.hint FROM wawp._outcome_info() o;
COMMENT ON VIEW wawp.outcome_info IS 'what each outcome means and what the worker does next; the same on every server';
COMMENT ON COLUMN wawp.outcome_info.outcome IS 'the outcome';
COMMENT ON COLUMN wawp.outcome_info.about IS
	'the cause lies with: person, group, instance (its account, pace or session) or api (no usable answer)';
COMMENT ON COLUMN wawp.outcome_info.final IS 'true if it settles an intent: done or failed, nothing more is sent';
COMMENT ON COLUMN wawp.outcome_info.next_step IS
	'what the worker does about the intent: nothing, verify, invite, wait, fail, retry, slow down, hold the group or hold the instance';
COMMENT ON COLUMN wawp.outcome_info.text IS 'what it means';
COMMENT ON COLUMN wawp.outcome_info.hint IS 'the way out; NULL when there is none or none is needed';

-- ---- calls made in the session

CREATE FUNCTION @extschema@.wawp_add_participants(group_jid text, jids text[], instance name DEFAULT NULL,
									  reason text DEFAULT NULL, verify bool DEFAULT false,
									  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text,
									  OUT verified bool, OUT retry_at timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_add_participants';
COMMENT ON FUNCTION @extschema@.wawp_add_participants(text, text[], name, text, bool) IS
	'adds people to a group; one row per element; verify looks at the member list to see who got in';

CREATE FUNCTION @extschema@.wawp_remove_participants(group_jid text, jids text[], instance name DEFAULT NULL,
										 reason text DEFAULT NULL,
										 OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text,
										 OUT verified bool, OUT retry_at timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_remove_participants';
COMMENT ON FUNCTION @extschema@.wawp_remove_participants(text, text[], name, text) IS
	'removes people from a group; one row per element';

CREATE FUNCTION @extschema@.wawp_promote_participants(group_jid text, jids text[], instance name DEFAULT NULL,
										  reason text DEFAULT NULL,
										  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text,
										  OUT verified bool, OUT retry_at timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_promote_participants';
COMMENT ON FUNCTION @extschema@.wawp_promote_participants(text, text[], name, text) IS
	'makes members admins of a group; one row per element';

CREATE FUNCTION @extschema@.wawp_demote_participants(group_jid text, jids text[], instance name DEFAULT NULL,
										 reason text DEFAULT NULL,
										 OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text,
										 OUT verified bool, OUT retry_at timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_demote_participants';
COMMENT ON FUNCTION @extschema@.wawp_demote_participants(text, text[], name, text) IS
	'makes admins of a group plain members; one row per element';

CREATE FUNCTION @extschema@.wawp_participants(group_jid text, instance name DEFAULT NULL,
								  OUT jid text, OUT phone_jid text, OUT lid text, OUT role text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 250 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_participants';
COMMENT ON FUNCTION @extschema@.wawp_participants(text, name) IS
	'the members of a group now; role is member, admin or owner';

CREATE FUNCTION @extschema@.wawp_group_info(group_jid text, instance name DEFAULT NULL,
								OUT group_jid text, OUT subject text, OUT size int,
								OUT is_admin bool, OUT raw jsonb)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 1 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_group_info';
COMMENT ON FUNCTION @extschema@.wawp_group_info(text, name) IS
	'one group; is_admin says whether the instance''s account is an admin, NULL when it cannot be told';

CREATE FUNCTION @extschema@.wawp_groups(instance name DEFAULT NULL,
							OUT group_jid text, OUT subject text, OUT size int)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 50 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_groups';
COMMENT ON FUNCTION @extschema@.wawp_groups(name) IS
	'the groups that the instance''s account is in';

CREATE FUNCTION @extschema@.wawp_create_group(subject text, jids text[], instance name DEFAULT NULL) RETURNS text
	LANGUAGE C VOLATILE COST 10000
	AS 'MODULE_PATHNAME', 'wawp_create_group';
COMMENT ON FUNCTION @extschema@.wawp_create_group(text, text[], name) IS
	'creates a group with its first members and returns its JID';

CREATE FUNCTION @extschema@.wawp_invite_link(group_jid text, instance name DEFAULT NULL) RETURNS text
	LANGUAGE C VOLATILE COST 10000
	AS 'MODULE_PATHNAME', 'wawp_invite_link';
COMMENT ON FUNCTION @extschema@.wawp_invite_link(text, name) IS
	'the link by which anyone can join a group';

CREATE FUNCTION @extschema@.wawp_revoke_invite_link(group_jid text, instance name DEFAULT NULL) RETURNS text
	LANGUAGE C VOLATILE COST 10000
	AS 'MODULE_PATHNAME', 'wawp_revoke_invite_link';
COMMENT ON FUNCTION @extschema@.wawp_revoke_invite_link(text, name) IS
	'makes a group''s invite link void and returns the new one';

CREATE FUNCTION @extschema@.wawp_send_text(chat_jid text, message text, instance name DEFAULT NULL) RETURNS text
	LANGUAGE C VOLATILE COST 10000
	AS 'MODULE_PATHNAME', 'wawp_send_text';
COMMENT ON FUNCTION @extschema@.wawp_send_text(text, text, name) IS
	'sends a message to a person or a group and returns its id, if the API tells it';

CREATE FUNCTION @extschema@.wawp_check_exists(phones text[], instance name DEFAULT NULL,
								  OUT phone text, OUT registered bool, OUT jid text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_check_exists';
COMMENT ON FUNCTION @extschema@.wawp_check_exists(text[], name) IS
	'tells which numbers are on WhatsApp and under which JID; NULL means unknown';

CREATE FUNCTION @extschema@.wawp_session(instance name DEFAULT NULL,
							 OUT instance name, OUT status text, OUT usable bool,
							 OUT me_jid text, OUT push_name text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 1 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_session';
COMMENT ON FUNCTION @extschema@.wawp_session(name) IS
	'state of the instance''s WhatsApp session; only a usable one can do anything';

-- ---- the queue: who should be in which group

CREATE TYPE wawp.action AS ENUM ('add', 'remove', 'promote', 'demote', 'invite');
COMMENT ON TYPE wawp.action IS
	'what an intent requests; add, remove: be a member or not; promote, demote: be an admin or not; invite: get the invite link';

CREATE TYPE wawp.state AS ENUM (
	'queued', 'sending', 'verifying', 'inviting', 'invited', 'pending_approval',
	'done', 'failed', 'cancelled'
);
COMMENT ON TYPE wawp.state IS
	'where an intent stands; queued: not sent; sending: its request is on the way; verifying: the member list is to be read; inviting: the invite link is to be sent; invited: it was, the person has not joined; pending_approval: an admin of the group has to approve; done, failed, cancelled: settled';

-- Clients that name every column with DEFAULT or NULL may insert: all that the system fills has a default, and the
-- BEFORE trigger overwrites it.
CREATE TABLE wawp.membership_intent (
	id				bigint GENERATED BY DEFAULT AS IDENTITY,
	group_jid		text COLLATE "C" NOT NULL,
	jid				text COLLATE "C" NOT NULL,
	action			wawp.action NOT NULL DEFAULT 'add',
	instance		text COLLATE "C",
	reason			text COLLATE "C",
	priority		int NOT NULL DEFAULT 0,
	not_before		timestamptz,
	expires_at		timestamptz,
	until			timestamptz,
	verify			bool NOT NULL DEFAULT true,
	invite			bool NOT NULL DEFAULT true,
	context			jsonb,
	batch_id		text COLLATE "C",
	after			bigint,
	state			wawp.state NOT NULL DEFAULT 'queued',
	outcome			wawp.outcome,
	code			int,
	detail			text COLLATE "C",
	instance_id		text COLLATE "C" NOT NULL DEFAULT '',
	requester		oid NOT NULL DEFAULT 0,
	requested_by	text COLLATE "C" NOT NULL DEFAULT '',
	home			uuid,
	requested_from	jsonb,
	origin			text COLLATE "C" NOT NULL DEFAULT 'insert',
	attempts		int NOT NULL DEFAULT 0,
	crashes			int NOT NULL DEFAULT 0,
	superseded		bool NOT NULL DEFAULT false,
	next_attempt_at	timestamptz,
	created_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	updated_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	settled_at		timestamptz,
	CONSTRAINT membership_intent_pkey PRIMARY KEY (id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

COMMENT ON TABLE wawp.membership_intent IS
	'intents: a person to be added to, removed from, promoted, demoted in or invited to a group; INSERT requests it';
COMMENT ON SEQUENCE wawp.membership_intent_id_seq IS 'numbers intents';
COMMENT ON COLUMN wawp.membership_intent.id IS 'number of the intent';
COMMENT ON COLUMN wawp.membership_intent.group_jid IS 'the group';
COMMENT ON COLUMN wawp.membership_intent.jid IS 'the person; a phone number is brought into normal form';
COMMENT ON COLUMN wawp.membership_intent.action IS 'what is requested';
COMMENT ON COLUMN wawp.membership_intent.instance IS 'the instance; NULL means wawp.instance or the only usable one';
COMMENT ON COLUMN wawp.membership_intent.reason IS 'the business reason, for the audit record';
COMMENT ON COLUMN wawp.membership_intent.priority IS 'higher ones go first within a group';
COMMENT ON COLUMN wawp.membership_intent.not_before IS 'not tried earlier';
COMMENT ON COLUMN wawp.membership_intent.expires_at IS 'cancelled if not done by then';
COMMENT ON COLUMN wawp.membership_intent.until IS 'when the membership ends';
COMMENT ON COLUMN wawp.membership_intent.verify IS 'read the member list afterwards to see the result';
COMMENT ON COLUMN wawp.membership_intent.invite IS 'send the invite link to someone who cannot be added';
COMMENT ON COLUMN wawp.membership_intent.context IS 'free data of the application';
COMMENT ON COLUMN wawp.membership_intent.batch_id IS 'a name for intents that were requested together';
COMMENT ON COLUMN wawp.membership_intent.after IS 'waits until that intent is done, fails if it fails';
COMMENT ON COLUMN wawp.membership_intent.state IS 'where it stands';
COMMENT ON COLUMN wawp.membership_intent.outcome IS 'what the latest attempt showed; the audit log has all';
COMMENT ON COLUMN wawp.membership_intent.code IS 'the person''s or the HTTP status of the latest attempt';
COMMENT ON COLUMN wawp.membership_intent.detail IS 'what the API said of the latest attempt';
COMMENT ON COLUMN wawp.membership_intent.instance_id IS 'the instance''s Wawp id when it was requested';
COMMENT ON COLUMN wawp.membership_intent.requester IS 'the role that asked, by oid: decides who may see, cancel and retry it, and as whom it is sent';
COMMENT ON COLUMN wawp.membership_intent.requested_by IS 'the name that role had when it asked';
COMMENT ON COLUMN wawp.membership_intent.home IS 'the database it was requested in; zero in a row that was restored or replicated';
COMMENT ON COLUMN wawp.membership_intent.requested_from IS 'login role, claimed actor, application, client address and process';
COMMENT ON COLUMN wawp.membership_intent.origin IS 'function, insert, or the trigger''s table';
COMMENT ON COLUMN wawp.membership_intent.attempts IS 'requests sent for it';
COMMENT ON COLUMN wawp.membership_intent.crashes IS 'times the worker died while serving it';
COMMENT ON COLUMN wawp.membership_intent.superseded IS 'true if the opposite was requested while its request was on the wire';
COMMENT ON COLUMN wawp.membership_intent.next_attempt_at IS 'not tried again earlier';
COMMENT ON COLUMN wawp.membership_intent.created_at IS 'when it was requested';
COMMENT ON COLUMN wawp.membership_intent.updated_at IS 'when it last changed';
COMMENT ON COLUMN wawp.membership_intent.settled_at IS 'when it became done, failed or cancelled';

-- At most one queued intent per person and kind: membership, or role.  The person is first, so that a search for a
-- person does not read the person's whole lane.
CREATE UNIQUE INDEX membership_intent_one_queued ON wawp.membership_intent
	(jid, group_jid, instance, (action IN ('promote', 'demote'))) NULLS NOT DISTINCT WHERE state = 'queued';
-- The head of a lane.  The condition on id is always true; it keeps this index out of plans that search for one
-- person, which would read the whole lane if they were made while the queue was empty.
CREATE INDEX membership_intent_lane ON wawp.membership_intent
	(instance, group_jid, priority DESC, id) WHERE state = 'queued' AND id > 0;
-- Intents that do not wait for the pace of additions; small.
CREATE INDEX membership_intent_other ON wawp.membership_intent
	(instance, group_jid, priority DESC, id) WHERE state = 'queued' AND action <> 'add';
-- Intents that were sent and are not settled; small.
CREATE INDEX membership_intent_busy ON wawp.membership_intent (instance, group_jid, jid)
	WHERE state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval');
CREATE INDEX membership_intent_expiry ON wawp.membership_intent (expires_at)
	WHERE state IN ('queued', 'pending_approval') AND expires_at IS NOT NULL;
CREATE INDEX membership_intent_batch ON wawp.membership_intent (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX membership_intent_after ON wawp.membership_intent (after) WHERE after IS NOT NULL AND state = 'queued';
-- Intents that retention deletes.
CREATE INDEX membership_intent_settled ON wawp.membership_intent (settled_at) WHERE settled_at IS NOT NULL;

CREATE FUNCTION wawp._intent_fill() RETURNS trigger
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_intent_fill';
COMMENT ON FUNCTION wawp._intent_fill() IS 'normalises, checks and completes a new intent; wakes the worker at commit';
CREATE TRIGGER fill BEFORE INSERT ON wawp.membership_intent
	FOR EACH ROW EXECUTE FUNCTION wawp._intent_fill();
-- Replicated rows, too, must not be taken for rows that were requested here.
ALTER TABLE wawp.membership_intent ENABLE ALWAYS TRIGGER fill;

CREATE FUNCTION wawp._text_limits() RETURNS trigger
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_text_limits';
COMMENT ON FUNCTION wawp._text_limits() IS 'refuses texts that are too long, in the columns named as its arguments';
-- The worker sets none of these columns.
CREATE TRIGGER limits BEFORE UPDATE OF group_jid, jid, reason, context, batch_id ON wawp.membership_intent
	FOR EACH ROW EXECUTE FUNCTION wawp._text_limits('group_jid', 'jid', 'reason', 'context', 'batch_id');

CREATE FUNCTION wawp._is_own(requester oid) RETURNS bool
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_own';
COMMENT ON FUNCTION wawp._is_own(oid) IS
	'true if the current role is a member of that one; a role that is gone has no members but superusers';

ALTER TABLE wawp.membership_intent ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON wawp.membership_intent FOR SELECT USING (wawp._is_own(requester));
CREATE POLICY ask ON wawp.membership_intent FOR INSERT WITH CHECK (wawp._is_own(requester));

SELECT pg_catalog.pg_extension_config_dump('wawp.membership_intent', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('wawp.membership_intent', 'id')::pg_catalog.regclass, '');

-- ---- requests by function

CREATE FUNCTION @extschema@.wawp_request_add(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
								 priority int DEFAULT 0, not_before timestamptz DEFAULT NULL,
								 expires_at timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
								 verify bool DEFAULT true, invite bool DEFAULT true, context jsonb DEFAULT NULL,
								 batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
								 OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_request_add';
COMMENT ON FUNCTION @extschema@.wawp_request_add(text, text[], name, text, int, timestamptz, timestamptz, timestamptz, bool, bool, jsonb, text, bigint) IS
	'requests that people be added to a group; one row per element, one bad element never fails the rest';

CREATE FUNCTION @extschema@.wawp_request_remove(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
									priority int DEFAULT 0, not_before timestamptz DEFAULT NULL,
									expires_at timestamptz DEFAULT NULL, context jsonb DEFAULT NULL,
									batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
									OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_request_remove';
COMMENT ON FUNCTION @extschema@.wawp_request_remove(text, text[], name, text, int, timestamptz, timestamptz, jsonb, text, bigint) IS
	'requests that people be removed from a group';

CREATE FUNCTION @extschema@.wawp_request_promote(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
									 priority int DEFAULT 0, not_before timestamptz DEFAULT NULL,
									 expires_at timestamptz DEFAULT NULL, context jsonb DEFAULT NULL,
									 batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
									 OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_request_promote';
COMMENT ON FUNCTION @extschema@.wawp_request_promote(text, text[], name, text, int, timestamptz, timestamptz, jsonb, text, bigint) IS
	'requests that members be made admins of a group';

CREATE FUNCTION @extschema@.wawp_request_demote(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
									priority int DEFAULT 0, not_before timestamptz DEFAULT NULL,
									expires_at timestamptz DEFAULT NULL, context jsonb DEFAULT NULL,
									batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
									OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_request_demote';
COMMENT ON FUNCTION @extschema@.wawp_request_demote(text, text[], name, text, int, timestamptz, timestamptz, jsonb, text, bigint) IS
	'requests that admins of a group be made plain members';

CREATE FUNCTION @extschema@.wawp_request_invite(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
									priority int DEFAULT 0, not_before timestamptz DEFAULT NULL,
									expires_at timestamptz DEFAULT NULL, context jsonb DEFAULT NULL,
									batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
									OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_request_invite';
COMMENT ON FUNCTION @extschema@.wawp_request_invite(text, text[], name, text, int, timestamptz, timestamptz, jsonb, text, bigint) IS
	'requests that people be sent a group''s invite link; each once while the invitation is open';

CREATE FUNCTION @extschema@.wawp_request_swap(group_jid text, leaver text, newcomer text, instance name DEFAULT NULL,
								  reason text DEFAULT NULL, priority int DEFAULT 0,
								  not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
								  until timestamptz DEFAULT NULL, verify bool DEFAULT true, invite bool DEFAULT true,
								  context jsonb DEFAULT NULL, batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
								  OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 2
	AS 'MODULE_PATHNAME', 'wawp_request_swap';
COMMENT ON FUNCTION @extschema@.wawp_request_swap(text, text, text, name, text, int, timestamptz, timestamptz, timestamptz, bool, bool, jsonb, text, bigint) IS
	'requests that the newcomer be added and then the leaver be removed; until is the newcomer''s';

CREATE FUNCTION @extschema@.wawp_cancel(id bigint) RETURNS bool
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_cancel';
COMMENT ON FUNCTION @extschema@.wawp_cancel(bigint) IS
	'cancels a queued intent of one''s own; false when there is nothing left to cancel';

CREATE FUNCTION @extschema@.wawp_cancel_batch(batch_id text) RETURNS bigint
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_cancel_batch';
COMMENT ON FUNCTION @extschema@.wawp_cancel_batch(text) IS
	'cancels the queued intents of a batch of one''s own; returns how many';

CREATE FUNCTION @extschema@.wawp_retry(id bigint) RETURNS bool
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_retry';
COMMENT ON FUNCTION @extschema@.wawp_retry(bigint) IS
	'queues a failed intent of one''s own again';

CREATE FUNCTION wawp._drain_time(instance name, adds bigint) RETURNS interval
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_drain_time';
COMMENT ON FUNCTION wawp._drain_time(name, bigint) IS
	'how long an instance takes for so many adds at its pace; NULL when the role may not use it';

CREATE FUNCTION wawp._worker_start() RETURNS void
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_worker_start';
COMMENT ON FUNCTION wawp._worker_start() IS 'starts a worker in this database when the transaction commits';

CREATE FUNCTION @extschema@.wawp_membership_trigger() RETURNS trigger
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_membership_trigger';
COMMENT ON FUNCTION @extschema@.wawp_membership_trigger() IS
	$$AFTER row trigger: rows of a table become memberships; arguments 'group=column', 'jid=column', 'until=column', 'reason=text {column}', 'instance=name', 'action=...'$$;

CREATE FUNCTION @extschema@.wawp_wait(batch_id text, timeout interval DEFAULT NULL,
						  OUT pending bigint, OUT done bigint, OUT failed bigint, OUT cancelled bigint)
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_wait';
COMMENT ON FUNCTION @extschema@.wawp_wait(text, interval) IS
	'waits until nothing of a batch is pending, or for so long; NULL waits for ever';

CREATE FUNCTION @extschema@.wawp_explain(id bigint) RETURNS text
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_explain';
COMMENT ON FUNCTION @extschema@.wawp_explain(bigint) IS
	'one sentence: why an intent is not done, which rule that is, what happens next and when';

CREATE PROCEDURE @extschema@.wawp_drain(max_requests int DEFAULT NULL, max_time interval DEFAULT NULL)
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_drain';
COMMENT ON PROCEDURE @extschema@.wawp_drain(int, interval) IS
	'lets the worker serve the queue although wawp.worker is off, and waits; for members of the owner';

CREATE FUNCTION wawp._budget(instance name, OUT adds_left_minute bigint, OUT adds_left_day bigint,
							 OUT next_at timestamptz)
	LANGUAGE C VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'wawp_budget';
COMMENT ON FUNCTION wawp._budget(name) IS 'what the pace of an instance allows';

CREATE FUNCTION wawp._worker_status(OUT pid int, OUT started_at timestamptz, OUT last_cycle_at timestamptz,
									OUT in_flight int, OUT errors_in_a_row int, OUT sqlstate text,
									OUT last_error text, OUT state text, OUT since timestamptz, OUT why text)
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_worker_status';
COMMENT ON FUNCTION wawp._worker_status() IS 'state of this database''s worker; why is a sentence, NULL while it serves';

-- ---- figures for members of pg_monitor in the views; no rows for other roles

CREATE FUNCTION wawp._is_monitor() RETURNS bool
	LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'wawp_is_monitor';
COMMENT ON FUNCTION wawp._is_monitor() IS
	'true if the current role may see figures of all intents, but not the intents';

CREATE FUNCTION wawp._oldest_due() RETURNS timestamptz
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_oldest_due';
COMMENT ON FUNCTION wawp._oldest_due() IS 'since when the oldest of all due intents has been due';

CREATE FUNCTION wawp._queue_figures(OUT instance text, OUT group_jid text, OUT queued bigint, OUT due bigint,
									OUT next_at timestamptz, OUT held_by text, OUT eta timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_queue_figures';
COMMENT ON FUNCTION wawp._queue_figures() IS 'wawp.queue for monitoring roles';

CREATE FUNCTION wawp._progress_figures(OUT batch_id text, OUT total bigint, OUT done bigint, OUT failed bigint,
									   OUT cancelled bigint, OUT pct int, OUT eta timestamptz)
	RETURNS SETOF record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_progress_figures';
COMMENT ON FUNCTION wawp._progress_figures() IS 'wawp.progress for monitoring roles';

CREATE FUNCTION wawp._stuck_figures(OUT id bigint, OUT instance text, OUT group_jid text, OUT jid text,
									OUT state wawp.state, OUT outcome wawp.outcome, OUT since timestamptz,
									OUT why text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_stuck_figures';
COMMENT ON FUNCTION wawp._stuck_figures() IS 'wawp.stuck for monitoring roles';

CREATE FUNCTION wawp._funnel_figures(OUT instance text, OUT group_jid text, OUT batch_id text, OUT asked bigint,
									 OUT added bigint, OUT already bigint, OUT invited bigint,
									 OUT joined_by_invite bigint, OUT waiting bigint, OUT refused jsonb)
	RETURNS SETOF record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_funnel_figures';
COMMENT ON FUNCTION wawp._funnel_figures() IS 'wawp.funnel for monitoring roles';

CREATE FUNCTION wawp._hold_figures(OUT instance name, OUT held_by text, OUT last_reason text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_hold_figures';
COMMENT ON FUNCTION wawp._hold_figures() IS 'what monitoring roles see of wawp.hold';

CREATE FUNCTION wawp._worker_pid() RETURNS int
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_worker_pid';
COMMENT ON FUNCTION wawp._worker_pid() IS 'process of this database''s worker; NULL when none runs';
-- ---- memberships, opt-out list and policy: all of it visible, and the owner's to change

CREATE TABLE wawp.membership (
	instance		name NOT NULL,
	group_jid		text COLLATE "C" NOT NULL,
	contact_id		bigint NOT NULL,
	added_by_us		bool NOT NULL DEFAULT false,
	added_at		timestamptz,
	seen_at			timestamptz,
	until			timestamptz,
	invited_at		timestamptz,
	welcomed_at		timestamptz,
	left_at			timestamptz,
	requester		oid,
	requested_by	text COLLATE "C",
	home			uuid,
	reason			text COLLATE "C",
	CONSTRAINT membership_pkey PRIMARY KEY (instance, group_jid, contact_id)
);
CREATE INDEX membership_until ON wawp.membership (until) WHERE until IS NOT NULL;
COMMENT ON TABLE wawp.membership IS 'what is known about a person in a group, until it is erased';
COMMENT ON COLUMN wawp.membership.instance IS 'the instance';
COMMENT ON COLUMN wawp.membership.group_jid IS 'the group';
COMMENT ON COLUMN wawp.membership.contact_id IS 'the person; wawp.contact has the number';
COMMENT ON COLUMN wawp.membership.added_by_us IS 'true if we added the person, so that we may remove them (managed_only)';
COMMENT ON COLUMN wawp.membership.added_at IS 'when we added the person last';
COMMENT ON COLUMN wawp.membership.seen_at IS 'when a member list last showed the person; NULL since we removed them';
COMMENT ON COLUMN wawp.membership.until IS 'when the removal is queued';
COMMENT ON COLUMN wawp.membership.invited_at IS 'when the invite link was last sent';
COMMENT ON COLUMN wawp.membership.welcomed_at IS 'when the group welcomed the person';
COMMENT ON COLUMN wawp.membership.left_at IS 'when the person was found to be gone, or was removed by us';
COMMENT ON COLUMN wawp.membership.requester IS 'the role that requested the membership, by oid; it requests the removal due at "until", too';
COMMENT ON COLUMN wawp.membership.requested_by IS 'the name that role had when it asked';
COMMENT ON COLUMN wawp.membership.home IS 'the database it was noted in; in another the requester is looked for by name';
COMMENT ON COLUMN wawp.membership.reason IS 'the reason given with the request';

CREATE TABLE wawp.suppression (
	jid			text COLLATE "C" NOT NULL,
	group_jid	text COLLATE "C",
	reason		text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	until		timestamptz,
	CONSTRAINT suppression_key UNIQUE NULLS NOT DISTINCT (jid, group_jid)
);
-- No primary key, since group_jid may be NULL: publications would keep rows from being changed.
ALTER TABLE wawp.suppression REPLICA IDENTITY FULL;
CREATE TRIGGER limits BEFORE INSERT OR UPDATE OF jid, group_jid, reason ON wawp.suppression
	FOR EACH ROW EXECUTE FUNCTION wawp._text_limits('jid', 'group_jid', 'reason');
COMMENT ON TABLE wawp.suppression IS 'people who are not added or invited: they left, were removed by others, refused or opted out';
COMMENT ON COLUMN wawp.suppression.jid IS 'the person';
COMMENT ON COLUMN wawp.suppression.group_jid IS 'the group; NULL means all groups';
COMMENT ON COLUMN wawp.suppression.reason IS 'why: an outcome''s text, or what wawp_suppress() was told';
COMMENT ON COLUMN wawp.suppression.since IS 'when it began';
COMMENT ON COLUMN wawp.suppression.until IS 'until when; NULL means until wawp_unsuppress()';

CREATE TABLE wawp.group_settings (
	instance				name NOT NULL,
	group_jid				text COLLATE "C" NOT NULL,
	adds_per_minute			float8 CHECK (adds_per_minute >= 0),
	capacity				int NOT NULL DEFAULT 1024 CHECK (capacity > 0),
	invite					bool NOT NULL DEFAULT true,
	invite_text				text COLLATE "C" CHECK (invite_text LIKE '%{link}%'),
	welcome_text			text COLLATE "C",
	welcome_delay			interval NOT NULL DEFAULT '1 minute' CHECK (welcome_delay >= interval '0'),
	overflow_group			text COLLATE "C" CHECK (overflow_group <> group_jid AND @extschema@.wawp_is_group_jid(overflow_group)),
	check_exists			bool NOT NULL DEFAULT false,
	require_contact_within	interval,
	managed					bool NOT NULL DEFAULT true,
	CONSTRAINT group_settings_pkey PRIMARY KEY (instance, group_jid)
);
CREATE TRIGGER limits BEFORE INSERT OR UPDATE OF group_jid, invite_text, welcome_text ON wawp.group_settings
	FOR EACH ROW EXECUTE FUNCTION wawp._text_limits('group_jid', 'invite_text', 'welcome_text');
CREATE INDEX group_settings_welcome ON wawp.group_settings (instance, group_jid) WHERE welcome_text IS NOT NULL;
COMMENT ON TABLE wawp.group_settings IS 'policy of a group; a group without a row has the defaults';
COMMENT ON COLUMN wawp.group_settings.instance IS 'the instance';
COMMENT ON COLUMN wawp.group_settings.group_jid IS 'the group';
COMMENT ON COLUMN wawp.group_settings.adds_per_minute IS 'pace of this group beside the instance''s; NULL means none of its own';
COMMENT ON COLUMN wawp.group_settings.capacity IS 'members it may have';
COMMENT ON COLUMN wawp.group_settings.invite IS 'true if people who cannot be added may be sent the invite link';
COMMENT ON COLUMN wawp.group_settings.invite_text IS 'text of the invitation, with {link} and perhaps {group}';
COMMENT ON COLUMN wawp.group_settings.welcome_text IS 'sent to the group when people joined, with {names}; NULL means none';
COMMENT ON COLUMN wawp.group_settings.welcome_delay IS 'one welcome for all who joined in that time';
COMMENT ON COLUMN wawp.group_settings.overflow_group IS 'where people are added when this group is full';
COMMENT ON COLUMN wawp.group_settings.check_exists IS 'true if numbers are checked for being on WhatsApp before they are added';
COMMENT ON COLUMN wawp.group_settings.require_contact_within IS 'only people who wrote to us within that time are added; NULL means anybody';
COMMENT ON COLUMN wawp.group_settings.managed IS 'true if wawp_sync_group() may remove people from it';

SELECT pg_catalog.pg_extension_config_dump('wawp.membership', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.suppression', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.group_settings', '');

CREATE FUNCTION @extschema@.wawp_suppress(jid text, group_jid text DEFAULT NULL, reason text DEFAULT NULL,
							  until timestamptz DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_suppress';
COMMENT ON FUNCTION @extschema@.wawp_suppress(text, text, text, timestamptz) IS
	'keeps a person from being added or invited, to one group or to all, and records it; false when that was so already';

CREATE FUNCTION @extschema@.wawp_unsuppress(jid text, group_jid text DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_unsuppress';
COMMENT ON FUNCTION @extschema@.wawp_unsuppress(text, text) IS
	'ends a suppression and records it; false when there was none';

CREATE FUNCTION @extschema@.wawp_note_contact(jid text, at timestamptz DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_note_contact';
COMMENT ON FUNCTION @extschema@.wawp_note_contact(text, timestamptz) IS
	'notes that a person wrote to us, now or then; false when a later message is known';

REVOKE ALL ON FUNCTION @extschema@.wawp_suppress(text, text, text, timestamptz), @extschema@.wawp_unsuppress(text, text),
	@extschema@.wawp_note_contact(text, timestamptz) FROM PUBLIC;

-- ---- people: the only place with a number

CREATE TABLE wawp.contact (
	contact_id		bigint GENERATED BY DEFAULT AS IDENTITY,
	jid				text COLLATE "C" NOT NULL,
	lid				text COLLATE "C",
	registered		bool,
	known_as		text COLLATE "C",
	checked_at		timestamptz,
	last_inbound_at	timestamptz,
	CONSTRAINT contact_pkey PRIMARY KEY (contact_id),
	CONSTRAINT contact_jid_key UNIQUE (jid)
);
COMMENT ON TABLE wawp.contact IS 'people; the audit log names them by contact_id only, so that a number can be erased';
COMMENT ON SEQUENCE wawp.contact_contact_id_seq IS 'numbers people';
COMMENT ON COLUMN wawp.contact.contact_id IS 'number of the person in the audit log';
COMMENT ON COLUMN wawp.contact.jid IS 'the person''s number';
COMMENT ON COLUMN wawp.contact.lid IS 'the person''s privacy id, if known';
COMMENT ON COLUMN wawp.contact.registered IS 'true if the number is on WhatsApp; NULL means unknown';
COMMENT ON COLUMN wawp.contact.known_as IS 'the JID that WhatsApp knows the number by, which may differ from it';
COMMENT ON COLUMN wawp.contact.checked_at IS 'when that was checked';
COMMENT ON COLUMN wawp.contact.last_inbound_at IS 'when the person last wrote to us';

-- ---- the record of every request

CREATE TYPE wawp.audit_kind AS ENUM (
	'sent', 'answered', 'verified', 'cancelled', 'held', 'resumed', 'retried',
	'refused', 'policy', 'webhook', 'erased', 'exported'
);
COMMENT ON TYPE wawp.audit_kind IS
	'what an audit record is about; sent: a request is about to leave; answered, verified: its result, by the answer or by the member list; cancelled, retried: an intent; held, resumed: an instance or group; refused: not sent because of a setting or suppression; policy: a decision by the worker, or a change of the opt-out list; webhook: an event of the API; erased, exported: data about a person';

CREATE TABLE wawp.audit_log (
	id					bigint NOT NULL,
	at					timestamptz NOT NULL,
	kind				wawp.audit_kind NOT NULL,
	instance			name,
	instance_id			text COLLATE "C",
	group_jid			text COLLATE "C",
	contact_id			bigint,
	intent_id			bigint,
	batch_id			text COLLATE "C",
	attempt				int,
	action				wawp.action,
	outcome				wawp.outcome,
	http_status			int,
	code				int,
	login_role			name,
	requested_by		name,
	actor				text COLLATE "C",
	application_name	text COLLATE "C",
	client_addr			inet,
	origin				text COLLATE "C",
	reason				text COLLATE "C",
	request_id			uuid,
	duration_ms			int,
	detail				jsonb
) PARTITION BY RANGE (at);
COMMENT ON TABLE wawp.audit_log IS
	'append-only record of every request and decision, numbered without gaps by the worker, a partition a month (UTC)';
COMMENT ON COLUMN wawp.audit_log.id IS 'consecutive number';
COMMENT ON COLUMN wawp.audit_log.at IS 'when it happened';
COMMENT ON COLUMN wawp.audit_log.kind IS 'what happened; "sent" is committed before the request leaves';
COMMENT ON COLUMN wawp.audit_log.instance IS 'the instance; NULL for a change of the opt-out list, which is for all';
COMMENT ON COLUMN wawp.audit_log.instance_id IS 'the instance''s Wawp id at that time';
COMMENT ON COLUMN wawp.audit_log.group_jid IS 'the group; NULL when it concerns the whole instance, or the person in all groups';
COMMENT ON COLUMN wawp.audit_log.contact_id IS 'the person; wawp.contact has the number, wawp.audit shows it';
COMMENT ON COLUMN wawp.audit_log.intent_id IS 'the intent; NULL for a call made in a session';
COMMENT ON COLUMN wawp.audit_log.batch_id IS 'the batch the intent belongs to';
COMMENT ON COLUMN wawp.audit_log.attempt IS 'which request for the intent it is, from 1';
COMMENT ON COLUMN wawp.audit_log.action IS 'what was requested';
COMMENT ON COLUMN wawp.audit_log.outcome IS 'what is known about the person after it';
COMMENT ON COLUMN wawp.audit_log.http_status IS 'status of the answer';
COMMENT ON COLUMN wawp.audit_log.code IS 'the person''s own number in the answer, if it has one';
COMMENT ON COLUMN wawp.audit_log.login_role IS 'the role that was logged in';
COMMENT ON COLUMN wawp.audit_log.requested_by IS 'the role that asked';
COMMENT ON COLUMN wawp.audit_log.actor IS 'the acting user as the application gave it (wawp.actor), unchecked; login_role is checked';
COMMENT ON COLUMN wawp.audit_log.application_name IS 'application_name of the session that asked';
COMMENT ON COLUMN wawp.audit_log.client_addr IS 'address of the client that asked; NULL for a local connection';
COMMENT ON COLUMN wawp.audit_log.origin IS 'function, insert, session, the trigger''s table, or what the worker does by itself';
COMMENT ON COLUMN wawp.audit_log.reason IS 'the business reason, or why it was held';
COMMENT ON COLUMN wawp.audit_log.request_id IS 'the same for all records of one HTTP request';
COMMENT ON COLUMN wawp.audit_log.duration_ms IS 'how long the request took';
COMMENT ON COLUMN wawp.audit_log.detail IS 'more about it, by key';
-- Its partitions have primary keys; it has none, since rows are found by id and kept by time.
ALTER TABLE wawp.audit_log REPLICA IDENTITY FULL;

CREATE FUNCTION wawp._audit_refuse() RETURNS trigger
	LANGUAGE C AS 'MODULE_PATHNAME', 'wawp_audit_refuse';
COMMENT ON FUNCTION wawp._audit_refuse() IS 'refuses to change or delete what was recorded';
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON wawp.audit_log
	FOR EACH ROW EXECUTE FUNCTION wawp._audit_refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wawp.audit_log
	FOR EACH STATEMENT EXECUTE FUNCTION wawp._audit_refuse();

-- Changes that sessions made to the queue and the opt-out list, on their way to the log: written in their transactions,
-- so that what is rolled back is not recorded; the worker, which alone numbers records, moves them on.
CREATE TABLE wawp.audit_note (
	id				bigint GENERATED BY DEFAULT AS IDENTITY,
	kind			wawp.audit_kind NOT NULL,
	instance		name,
	instance_id		text COLLATE "C",
	group_jid		text COLLATE "C",
	jid				text COLLATE "C",
	intent_id		bigint,
	batch_id		text COLLATE "C",
	action			wawp.action,
	reason			text COLLATE "C",
	role			name,
	requested_from	jsonb,
	CONSTRAINT audit_note_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE wawp.audit_note IS 'changes that sessions made to the queue and the opt-out list, until the worker moves them to the audit log';
COMMENT ON SEQUENCE wawp.audit_note_id_seq IS 'orders notes';
COMMENT ON COLUMN wawp.audit_note.id IS 'order in which they were written';
COMMENT ON COLUMN wawp.audit_note.kind IS 'what happened';
COMMENT ON COLUMN wawp.audit_note.instance IS 'the instance; NULL for a change of the opt-out list, which is for all';
COMMENT ON COLUMN wawp.audit_note.instance_id IS 'the instance''s Wawp id; NULL when no intent is concerned';
COMMENT ON COLUMN wawp.audit_note.group_jid IS 'the group; NULL when it concerns the whole instance, or the person in all groups';
COMMENT ON COLUMN wawp.audit_note.jid IS 'the person; NULL when an instance or group was held or resumed';
COMMENT ON COLUMN wawp.audit_note.intent_id IS 'the intent, if it is about one';
COMMENT ON COLUMN wawp.audit_note.batch_id IS 'the batch the intent belongs to';
COMMENT ON COLUMN wawp.audit_note.action IS 'what the intent requests';
COMMENT ON COLUMN wawp.audit_note.reason IS 'why';
COMMENT ON COLUMN wawp.audit_note.role IS 'the role that did it; NULL for the worker';
COMMENT ON COLUMN wawp.audit_note.requested_from IS 'login role, claimed actor, application, client address and process';

CREATE VIEW wawp.audit WITH (security_invoker) AS
	SELECT a.id, a.at, a.kind, a.instance, a.instance_id, a.group_jid, a.contact_id, a.intent_id, a.batch_id, a.attempt,
		a.action, a.outcome, a.http_status, a.code, a.login_role, a.requested_by, a.actor, a.application_name,
		a.client_addr, a.origin, a.reason, a.request_id, a.duration_ms, a.detail, c.jid
	FROM wawp.audit_log a LEFT JOIN wawp.contact c ON c.contact_id = a.contact_id;
COMMENT ON VIEW wawp.audit IS 'the audit log with the people''s numbers, as far as they were not erased';
COMMENT ON COLUMN wawp.audit.id IS 'consecutive number';
COMMENT ON COLUMN wawp.audit.at IS 'when it happened';
COMMENT ON COLUMN wawp.audit.kind IS 'what happened; "sent" is committed before the request leaves';
COMMENT ON COLUMN wawp.audit.instance IS 'the instance; NULL for a change of the opt-out list, which is for all';
COMMENT ON COLUMN wawp.audit.instance_id IS 'the instance''s Wawp id at that time';
COMMENT ON COLUMN wawp.audit.group_jid IS 'the group; NULL when it concerns the whole instance, or the person in all groups';
COMMENT ON COLUMN wawp.audit.contact_id IS 'the person, by number in wawp.contact';
COMMENT ON COLUMN wawp.audit.intent_id IS 'the intent; NULL for a call made in a session';
COMMENT ON COLUMN wawp.audit.batch_id IS 'the batch the intent belongs to';
COMMENT ON COLUMN wawp.audit.attempt IS 'which request for the intent it is, from 1';
COMMENT ON COLUMN wawp.audit.action IS 'what was requested';
COMMENT ON COLUMN wawp.audit.outcome IS 'what is known about the person after it';
COMMENT ON COLUMN wawp.audit.http_status IS 'status of the answer';
COMMENT ON COLUMN wawp.audit.code IS 'the person''s own number in the answer, if it has one';
COMMENT ON COLUMN wawp.audit.login_role IS 'the role that was logged in';
COMMENT ON COLUMN wawp.audit.requested_by IS 'the role that asked';
COMMENT ON COLUMN wawp.audit.actor IS 'the acting user as the application gave it (wawp.actor), unchecked; login_role is checked';
COMMENT ON COLUMN wawp.audit.application_name IS 'application_name of the session that asked';
COMMENT ON COLUMN wawp.audit.client_addr IS 'address of the client that asked; NULL for a local connection';
COMMENT ON COLUMN wawp.audit.origin IS 'function, insert, session, the trigger''s table, or what the worker does by itself';
COMMENT ON COLUMN wawp.audit.reason IS 'the business reason, or why it was held';
COMMENT ON COLUMN wawp.audit.request_id IS 'the same for all records of one HTTP request';
COMMENT ON COLUMN wawp.audit.duration_ms IS 'how long the request took';
COMMENT ON COLUMN wawp.audit.detail IS 'more about it, by key';
COMMENT ON COLUMN wawp.audit.jid IS 'the person; NULL when erased, or when nobody is concerned';

-- ---- lanes and instances that are not served for now

CREATE TABLE wawp.hold (
	instance	name NOT NULL,
	group_jid	text COLLATE "C",
	reason		text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL,
	until		timestamptz,
	failures	int NOT NULL DEFAULT 0
);
-- An instance's own hold comes before those of its groups: the worker goes through them in this order.
CREATE UNIQUE INDEX hold_key ON wawp.hold (instance, group_jid NULLS FIRST) NULLS NOT DISTINCT;
ALTER TABLE wawp.hold REPLICA IDENTITY FULL;
COMMENT ON TABLE wawp.hold IS 'instances (group_jid NULL) and groups that are not served for now';
COMMENT ON COLUMN wawp.hold.instance IS 'the instance that is held, or whose group is';
COMMENT ON COLUMN wawp.hold.group_jid IS 'the group; NULL means the whole instance';
COMMENT ON COLUMN wawp.hold.reason IS 'an outcome, "paused: ..." or "restored copy"';
COMMENT ON COLUMN wawp.hold.since IS 'when it began';
COMMENT ON COLUMN wawp.hold.until IS 'when it is tried again; NULL means not before wawp_resume()';
COMMENT ON COLUMN wawp.hold.failures IS 'how often in a row it ended this way; the next wait grows with it';

CREATE FUNCTION wawp._may_use(instance name) RETURNS bool
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_may_use';
COMMENT ON FUNCTION wawp._may_use(name) IS
	'true if the current role has USAGE on that instance; false when there is no such instance';
ALTER TABLE wawp.hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY usable ON wawp.hold FOR SELECT USING (wawp._may_use(instance));

-- By this row a copy of the database is recognised: see wawp_resume().
CREATE TABLE wawp.identity (
	system_identifier	bigint NOT NULL,
	database_oid		oid NOT NULL,
	home				uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid()
);
-- No primary key: a restored dump adds its row to the one that exists.
ALTER TABLE wawp.identity REPLICA IDENTITY FULL;
-- A row in a template would mark all databases made from it as copies.
INSERT INTO wawp.identity (system_identifier, database_oid)
	SELECT c.system_identifier, d.oid FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
	WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND NOT d.datistemplate;
COMMENT ON TABLE wawp.identity IS 'the cluster and database this queue belongs to; in another it is a copy and held';
COMMENT ON COLUMN wawp.identity.system_identifier IS 'system identifier of the cluster';
COMMENT ON COLUMN wawp.identity.database_oid IS 'oid of the database';
COMMENT ON COLUMN wawp.identity.home IS 'random name of that database; what is requested in it carries it';

SELECT pg_catalog.pg_extension_config_dump('wawp.contact', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('wawp.contact', 'contact_id')::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('wawp.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.audit_note', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('wawp.audit_note', 'id')::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('wawp.hold', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.identity', '');

-- ---- pausing

CREATE FUNCTION @extschema@.wawp_pause(instance name, group_jid text DEFAULT NULL, reason text DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_pause';
COMMENT ON FUNCTION @extschema@.wawp_pause(name, text, text) IS
	'stops serving an instance, or one of its groups, until wawp_resume(); false when it was paused for that reason already';

CREATE FUNCTION @extschema@.wawp_resume(instance name, group_jid text DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_resume';
COMMENT ON FUNCTION @extschema@.wawp_resume(name, text) IS
	'serves an instance, or one of its groups, again, whatever held it; false when nothing did';

-- ---- views: each shows a role what it may see of the tables below it

CREATE VIEW wawp.queue WITH (security_invoker) AS
	SELECT i.instance, i.group_jid, count(*) AS queued,
		count(*) FILTER (WHERE coalesce(i.not_before, '-infinity') <= pg_catalog.clock_timestamp()
			AND coalesce(i.next_attempt_at, '-infinity') <= pg_catalog.clock_timestamp()) AS due,
		min(greatest(i.not_before, i.next_attempt_at)) AS next_at,
		(SELECT h.reason FROM wawp.hold h WHERE h.instance = i.instance
			AND (h.group_jid IS NULL OR h.group_jid = i.group_jid)
			AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
			ORDER BY h.group_jid NULLS FIRST LIMIT 1) AS held_by,
		pg_catalog.clock_timestamp() + wawp._drain_time(i.instance, count(*)) AS eta
	FROM wawp.membership_intent i
	-- the condition on id is always true and makes the lane's partial index usable
	WHERE i.state = 'queued' AND i.id > 0 AND NOT (SELECT wawp._is_monitor())
	GROUP BY i.instance, i.group_jid
	UNION ALL
	SELECT f.instance, f.group_jid, f.queued, f.due, f.next_at, f.held_by, f.eta FROM wawp._queue_figures() f;
COMMENT ON VIEW wawp.queue IS 'what is queued, a row per group; eta is what the pace allows if nothing else is in the way';
COMMENT ON COLUMN wawp.queue.instance IS 'the instance';
COMMENT ON COLUMN wawp.queue.group_jid IS 'the group';
COMMENT ON COLUMN wawp.queue.queued IS 'intents that are queued';
COMMENT ON COLUMN wawp.queue.due IS 'those that could go now but for pace and holds';
COMMENT ON COLUMN wawp.queue.next_at IS 'the earliest time at which one that is not due becomes due';
COMMENT ON COLUMN wawp.queue.held_by IS 'why the instance or the group is held; NULL when it is not';
COMMENT ON COLUMN wawp.queue.eta IS 'when the last one leaves at the instance''s pace; NULL when that is not known or beyond a century';

CREATE VIEW wawp.progress WITH (security_invoker) AS
	SELECT b.batch_id, b.total, b.done, b.failed, b.cancelled, b.pct, b.eta,
		repeat('#', (b.pct / 5)::int) || repeat('.', 20 - (b.pct / 5)::int) AS bar
	FROM (
		SELECT i.batch_id, count(*) AS total,
			count(*) FILTER (WHERE i.state = 'done') AS done,
			count(*) FILTER (WHERE i.state = 'failed') AS failed,
			count(*) FILTER (WHERE i.state = 'cancelled') AS cancelled,
			floor(100.0 * count(*) FILTER (WHERE i.state IN ('done', 'failed', 'cancelled')) / count(*))::int AS pct,
			pg_catalog.clock_timestamp() + wawp._drain_time(min(i.instance::text)::name,
				count(*) FILTER (WHERE i.state = 'queued')) AS eta
		FROM wawp.membership_intent i
		WHERE i.batch_id IS NOT NULL AND NOT (SELECT wawp._is_monitor())
		GROUP BY i.batch_id
		UNION ALL
		SELECT f.batch_id, f.total, f.done, f.failed, f.cancelled, f.pct, f.eta FROM wawp._progress_figures() f) b;
COMMENT ON VIEW wawp.progress IS 'progress of each batch';
COMMENT ON COLUMN wawp.progress.batch_id IS 'the batch';
COMMENT ON COLUMN wawp.progress.total IS 'intents of the batch';
COMMENT ON COLUMN wawp.progress.done IS 'those done';
COMMENT ON COLUMN wawp.progress.failed IS 'those failed';
COMMENT ON COLUMN wawp.progress.cancelled IS 'those cancelled';
COMMENT ON COLUMN wawp.progress.pct IS 'how many of a hundred are settled';
COMMENT ON COLUMN wawp.progress.eta IS 'when the last one leaves at the pace; NULL when that is not known';
COMMENT ON COLUMN wawp.progress.bar IS 'pct as a bar of 20 characters';

CREATE VIEW wawp.stuck WITH (security_invoker) AS
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(i.detail, i.outcome::text) AS why
	FROM wawp.membership_intent i
	WHERE NOT (SELECT wawp._is_monitor())
		AND (i.state = 'failed' AND i.outcome = 'unknown_result'
		OR i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
		OR i.state = 'verifying' AND (i.outcome = 'unknown_result'
			OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
		OR i.state = 'queued' AND (i.attempts > 0 OR i.crashes > 0)
		OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
	UNION ALL
	-- a row for all that are queued in a lane that is held; its id is the first one's
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL, l.since,
		'held: ' || h.reason || '; ' || l.queued || ' queued'
	FROM (SELECT q.instance, q.group_jid, min(q.id) AS id, min(q.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent q
		WHERE q.state = 'queued' AND q.id > 0 AND q.instance IN (SELECT x.instance FROM wawp.hold x)
			AND NOT (SELECT wawp._is_monitor())
		GROUP BY q.instance, q.group_jid) l
	JOIN LATERAL (SELECT h.reason FROM wawp.hold h WHERE h.instance = l.instance
		AND (h.group_jid IS NULL OR h.group_jid = l.group_jid)
		AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true
	UNION ALL
	SELECT f.id, f.instance, f.group_jid, f.jid, f.state, f.outcome, f.since, f.why FROM wawp._stuck_figures() f
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, w.since, w.why FROM wawp._worker_status() w WHERE w.why IS NOT NULL;
COMMENT ON VIEW wawp.stuck IS
	'what does not make progress, and why; a row without jid is about all that are queued in a group, one without id about the worker, and so about everything';
COMMENT ON COLUMN wawp.stuck.id IS 'the intent, or the first of those that a hold keeps in a group; NULL for the worker';
COMMENT ON COLUMN wawp.stuck.instance IS 'the instance';
COMMENT ON COLUMN wawp.stuck.group_jid IS 'the group';
COMMENT ON COLUMN wawp.stuck.jid IS 'the person; NULL for all that a hold keeps in a group';
COMMENT ON COLUMN wawp.stuck.state IS 'where it stands';
COMMENT ON COLUMN wawp.stuck.outcome IS 'what the latest attempt showed';
COMMENT ON COLUMN wawp.stuck.since IS 'when it last changed';
COMMENT ON COLUMN wawp.stuck.why IS 'the hold''s reason, or what the API said';

CREATE VIEW wawp.funnel WITH (security_invoker) AS
	SELECT f.instance, f.group_jid, f.batch_id, f.asked, f.added, f.already, f.invited, f.joined_by_invite,
		f.waiting, f.refused
	FROM (
		SELECT i.instance, i.group_jid, i.batch_id, count(*) AS asked,
			count(*) FILTER (WHERE i.state = 'done' AND i.outcome IN ('added', 'accepted')) AS added,
			count(*) FILTER (WHERE i.outcome = 'already_member') AS already,
			count(*) FILTER (WHERE i.outcome IN ('invited', 'joined_by_invite')) AS invited,
			count(*) FILTER (WHERE i.outcome = 'joined_by_invite') AS joined_by_invite,
			count(*) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')) AS waiting,
			(SELECT pg_catalog.jsonb_object_agg(r.outcome, r.n) FROM (
				SELECT coalesce(x.outcome::text, 'unknown') AS outcome, count(*) AS n
				FROM wawp.membership_intent x
				WHERE x.state = 'failed' AND x.action IN ('add', 'invite') AND x.instance = i.instance
					AND x.group_jid = i.group_jid AND x.batch_id IS NOT DISTINCT FROM i.batch_id
				GROUP BY 1) r) AS refused
		FROM wawp.membership_intent i
		WHERE i.action IN ('add', 'invite') AND NOT (SELECT wawp._is_monitor())
		GROUP BY i.instance, i.group_jid, i.batch_id
		UNION ALL
		SELECT m.instance, m.group_jid, m.batch_id, m.asked, m.added, m.already, m.invited, m.joined_by_invite,
			m.waiting, m.refused
		FROM wawp._funnel_figures() m) f;
COMMENT ON VIEW wawp.funnel IS
	'results of adds and invitations in each group, by batch; refused counts the failed by reason';
COMMENT ON COLUMN wawp.funnel.instance IS 'the instance';
COMMENT ON COLUMN wawp.funnel.group_jid IS 'the group';
COMMENT ON COLUMN wawp.funnel.batch_id IS 'the batch; NULL for what belongs to none';
COMMENT ON COLUMN wawp.funnel.asked IS 'people to be added or invited';
COMMENT ON COLUMN wawp.funnel.added IS 'those added';
COMMENT ON COLUMN wawp.funnel.already IS 'those who were members already';
COMMENT ON COLUMN wawp.funnel.invited IS 'those who were sent the invite link';
COMMENT ON COLUMN wawp.funnel.joined_by_invite IS 'those who joined by it';
COMMENT ON COLUMN wawp.funnel.waiting IS 'those not settled yet';
COMMENT ON COLUMN wawp.funnel.refused IS 'those who failed, counted by outcome';

CREATE VIEW wawp.budget WITH (security_invoker) AS
	SELECT s.srvname AS instance, b.adds_left_minute, b.adds_left_day, b.next_at
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp',
	LATERAL wawp._budget(s.srvname) b
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON VIEW wawp.budget IS
	'how many adds each instance has left; NULL means no limit, or on a standby that only the primary knows';
COMMENT ON COLUMN wawp.budget.instance IS 'the instance';
COMMENT ON COLUMN wawp.budget.adds_left_minute IS 'adds that may leave within a minute; NULL means no limit';
COMMENT ON COLUMN wawp.budget.adds_left_day IS 'adds left of adds_per_day; NULL means no limit';
COMMENT ON COLUMN wawp.budget.next_at IS 'when the next add may leave';

CREATE VIEW wawp.instance WITH (security_invoker) AS
	SELECT s.srvname AS name,
		coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'base_url'), 'https://api.wawp.net') AS base_url,
		(SELECT pg_catalog.jsonb_object_agg(o.option_name, o.option_value)
			FROM pg_catalog.pg_options_to_table(s.srvoptions) o) AS options,
		wawp._worker_pid() AS worker_pid,
		(SELECT CASE WHEN h.reason OPERATOR(pg_catalog.=) 'restored copy' THEN 'copy' ELSE h.reason END
			FROM (SELECT x.reason FROM wawp.hold x
				WHERE x.instance OPERATOR(pg_catalog.=) s.srvname AND x.group_jid IS NULL
					AND (x.until IS NULL OR x.until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())
				UNION ALL
				SELECT f.held_by FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname AND f.held_by IS NOT NULL) h
			LIMIT 1) AS held_by,
		COALESCE((SELECT w.why FROM wawp._worker_status() w),
			(SELECT h.reason FROM wawp.hold h WHERE h.instance OPERATOR(pg_catalog.=) s.srvname
				ORDER BY h.since DESC LIMIT 1),
			(SELECT f.last_reason FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname)) AS last_error
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp'
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON VIEW wawp.instance IS
	'the Wawp accounts that the role may use, with their state; an error of the worker is every account''s last_error';
COMMENT ON COLUMN wawp.instance.name IS 'the foreign server';
COMMENT ON COLUMN wawp.instance.base_url IS 'address of the API';
COMMENT ON COLUMN wawp.instance.options IS 'options of the server; no secrets are among them';
COMMENT ON COLUMN wawp.instance.worker_pid IS 'process of this database''s worker; NULL when none runs';
COMMENT ON COLUMN wawp.instance.held_by IS 'why the whole instance is held; NULL when it is not';
COMMENT ON COLUMN wawp.instance.last_error IS 'what the worker fails with, or the reason of the latest hold of the instance or one of its groups';

CREATE VIEW wawp.worker_status WITH (security_invoker) AS
	SELECT w.pid, w.started_at, w.last_cycle_at, w.in_flight,
		CASE WHEN wawp._is_monitor() THEN wawp._oldest_due()
			ELSE (SELECT pg_catalog.min(GREATEST(i.created_at, i.not_before, i.next_attempt_at))
				FROM wawp.membership_intent i
				WHERE i.state OPERATOR(pg_catalog.=) 'queued'
					AND GREATEST(i.created_at, i.not_before, i.next_attempt_at)
						OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) END AS oldest_due_at,
		w.errors_in_a_row, w.sqlstate, w.last_error, w.state
	FROM wawp._worker_status() w;
COMMENT ON VIEW wawp.worker_status IS
	'state of this database''s worker: serving, off, failing, none or copy, and its latest error while it lasts';
COMMENT ON COLUMN wawp.worker_status.pid IS 'the process; NULL when none runs';
COMMENT ON COLUMN wawp.worker_status.started_at IS 'since when it runs';
COMMENT ON COLUMN wawp.worker_status.last_cycle_at IS 'when it last committed a cycle';
COMMENT ON COLUMN wawp.worker_status.in_flight IS 'requests claimed or under way';
COMMENT ON COLUMN wawp.worker_status.oldest_due_at IS 'since when the oldest that is due, of those the role may count, has been';
COMMENT ON COLUMN wawp.worker_status.errors_in_a_row IS 'transactions of the worker that failed since it last succeeded';
COMMENT ON COLUMN wawp.worker_status.sqlstate IS 'SQLSTATE of last_error';
COMMENT ON COLUMN wawp.worker_status.last_error IS 'what the worker fails with, or why there is none; long numbers are masked';
COMMENT ON COLUMN wawp.worker_status.state IS 'serving, off (wawp.worker), failing, none (no worker) or copy (held until wawp_resume())';

-- ---- privileges of PUBLIC
-- Functions are PUBLIC's by default: each checks USAGE on the server it is to use.

GRANT USAGE ON SCHEMA wawp TO PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION wawp._intent_fill(), wawp._audit_refuse(), wawp._text_limits(), wawp._worker_start() FROM PUBLIC;

GRANT SELECT ON wawp.membership_intent, wawp.hold, wawp.queue, wawp.progress, wawp.stuck,
	wawp.funnel, wawp.budget, wawp.instance, wawp.worker_status, wawp.outcome_info TO PUBLIC;
-- On all columns: many clients name each of them.  The trigger decides what may be set.
GRANT INSERT ON wawp.membership_intent TO PUBLIC;

-- A worker starts when this commits.
SELECT wawp._worker_start();
