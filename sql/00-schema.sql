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
