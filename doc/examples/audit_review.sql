-- audit_review.sql: who added this person, by which rule, and what came of it.
--
-- Every request and decision is in wawp.audit before it is sent, whether or not the transaction that asked for it is remembered.
-- The extension's owner reads it, and whom it grants that: the view runs as who asks, so it takes the two tables below it as well.
\set ON_ERROR_STOP on

CREATE ROLE reviewer;
GRANT SELECT ON wawp.audit, wawp.audit_log, wawp.contact TO reviewer;

-- Something to look at: a request, with the business reason, by somebody who says which colleague is behind it.
SET wawp.actor = 'ana@example.com';
SELECT id, batch_id FROM wawp_request_add('120363012345678901@g.us', ARRAY['+1 555 123 7301'], 'support', 'ticket 4711') \gset
SELECT * FROM wawp_wait(:'batch_id', '1 minute');
RESET wawp.actor;

SET ROLE reviewer;

-- 1. The whole story of a person, in order.
SELECT at, kind, group_jid, action, outcome, requested_by, reason
FROM wawp.audit WHERE jid = wawp_jid('+1 555 123 7301') ORDER BY id;

-- 2. Who asked: the role, the login behind it, the colleague whom the application named, and from where.
SELECT DISTINCT ON (group_jid) group_jid, at, requested_by, login_role, actor, application_name, client_addr, origin, reason
FROM wawp.audit WHERE jid = wawp_jid('+1 555 123 7301') AND kind = 'sent' AND action = 'add' ORDER BY group_jid, id DESC;

-- 3. By which rule, counted: origin is a function, a plain INSERT, the trigger of a table, or a call by hand (session).
SELECT requested_by, origin, action, outcome, count(*)
FROM wawp.audit WHERE kind IN ('answered', 'verified') AND at > now() - interval '7 days'
GROUP BY requested_by, origin, action, outcome ORDER BY count(*) DESC;

-- 4. What was refused before anything was sent: the opt-out list and other policies.
SELECT at, jid, group_jid, outcome, reason FROM wawp.audit WHERE kind = 'policy' AND at > now() - interval '7 days' ORDER BY id;

RESET ROLE;
