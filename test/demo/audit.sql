\echo
\echo '== Who was added, when, by which rule: the audit trail (three records per person)'
\echo
\pset footer off
\set ECHO queries
SELECT to_char(at, 'HH24:MI:SS') AS at, kind, jid, outcome, requested_by, origin, reason
FROM wawp.audit WHERE reason LIKE 'enrolled%' ORDER BY intent_id, id LIMIT 6;
\set ECHO none
