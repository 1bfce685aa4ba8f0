/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

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
	'the members of a group now; role is member, admin or owner; a row of NULLs for each entry that is not understood';

CREATE FUNCTION @extschema@.wawp_join_requests(group_jid text, instance name DEFAULT NULL,
								   OUT jid text, OUT requested_at timestamptz, OUT method text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_join_requests';
COMMENT ON FUNCTION @extschema@.wawp_join_requests(text, name) IS
	'who waits for an admin''s approval to join a group; jid is NULL where an entry names nobody that is understood, and with method non_admin_add may be the one who proposed';
