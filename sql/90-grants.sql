
-- ---- privileges: all of them, whatever ALTER DEFAULT PRIVILEGES of the role that installs says

CREATE FUNCTION wawp._privileges_begin(before text[]) RETURNS void
	LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'wawp_privileges_begin';
COMMENT ON FUNCTION wawp._privileges_begin(text[]) IS
	'undoes ALTER DEFAULT PRIVILEGES on members that were not there before; for the install and upgrade scripts';
SELECT wawp._privileges_begin('{}');

-- Functions are PUBLIC's by default: each checks USAGE on the server it is to use.
GRANT USAGE ON SCHEMA wawp TO PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid), @extschema@.wawp_fdw_handler() FROM PUBLIC;
REVOKE ALL ON FUNCTION wawp._intent_fill(), wawp._audit_refuse(), wawp._audit_erased(wawp.audit_log, text[]), wawp._text_limits(), wawp._worker_start(),
	wawp._identity_begin(), wawp._row_arrived(), wawp._privileges_begin(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.wawp_suppress(text, text, text, timestamptz), @extschema@.wawp_unsuppress(text, text),
	@extschema@.wawp_note_contact(text, timestamptz), @extschema@.wawp_subject_export(text), @extschema@.wawp_erase(text, text),
	@extschema@.wawp_webhook(text, text, name) FROM PUBLIC;

GRANT SELECT ON wawp.membership_intent, wawp.hold, wawp.requester_hold, wawp.queue, wawp.progress, wawp.stuck,
	wawp.funnel, wawp.budget, wawp.instance, wawp.worker_status, wawp.outcome_info TO PUBLIC;
GRANT SELECT ON wawp.overview TO PUBLIC;
-- Figures of everybody's intents, without people: for monitoring alone.
REVOKE ALL ON FUNCTION wawp._metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wawp._metrics() TO pg_monitor;
GRANT SELECT ON wawp.metrics TO pg_monitor;
-- On all columns: many clients name each of them.  The trigger decides what may be set.
GRANT INSERT ON wawp.membership_intent TO PUBLIC;

-- A worker starts when this commits.
SELECT wawp._worker_start();
