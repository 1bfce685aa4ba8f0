
-- ---- privileges of PUBLIC
-- Functions are PUBLIC's by default: each checks USAGE on the server it is to use.

GRANT USAGE ON SCHEMA wawp TO PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION wawp._intent_fill(), wawp._audit_refuse(), wawp._audit_erased(wawp.audit_log, text[]), wawp._text_limits(), wawp._worker_start(),
	wawp._identity_begin(), wawp._row_arrived() FROM PUBLIC;

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
