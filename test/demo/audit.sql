\echo
\echo '== Audit records of a person who was added and of the one who was invited: when, by which rule'
\echo
\pset footer off
\pset null '-'
\set ECHO queries
SELECT to_char(at, 'HH24:MI:SS') AS at, kind, action, jid, outcome, requested_by, reason
FROM wawp.audit WHERE jid IN ('15552000010@c.us', '15552000018@c.us') ORDER BY id;

SELECT asked, added, already, invited, joined_by_invite, refused FROM wawp.funnel;

-- is the log as it was written?
SELECT ok, checked, problem FROM wawp_audit_verify();
\set ECHO none
