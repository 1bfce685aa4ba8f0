
-- ---- calls made in the session

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
	'the members of a group now; role is member, admin, owner, or NULL where the list does not tell it; a row of NULLs for each entry that is not understood';

CREATE FUNCTION @extschema@.wawp_join_requests(group_jid text, instance name DEFAULT NULL,
								   OUT jid text, OUT requested_at timestamptz, OUT method text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_join_requests';
COMMENT ON FUNCTION @extschema@.wawp_join_requests(text, name) IS
	'who waits for an admin''s approval to join a group; jid is NULL where an entry names nobody that is understood, and with method non_admin_add may be the one who proposed';

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
	'makes a group''s invite link void and returns the new one; an error if it changed nothing';

CREATE FUNCTION @extschema@.wawp_send_text(chat_jid text, message text, instance name DEFAULT NULL) RETURNS text
	LANGUAGE C VOLATILE COST 10000
	AS 'MODULE_PATHNAME', 'wawp_send_text';
COMMENT ON FUNCTION @extschema@.wawp_send_text(text, text, name) IS
	'sends a message to a person or a group and returns its id, if the API tells it; an error while the instance is held or the group is paused';

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
