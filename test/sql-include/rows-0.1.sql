-- rows-0.1.sql: a row in every table of wawp 0.1, as its library left them; the library of today does not work on them.
-- The identity has its own since CREATE EXTENSION.  For the session of a superuser; one row of intents is served later.
SET session_replication_role = replica;
ALTER TABLE wawp.membership_intent DISABLE TRIGGER fill;
CREATE TABLE wawp.audit_old PARTITION OF wawp.audit_log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO wawp.audit_log (id, at, kind, instance, group_jid, contact_id, intent_id, action, outcome, reason, detail)
	SELECT n, '2026-01-02', 'sent', 'support', '120363077430000002@g.us', 7001, n, 'add', 'accepted', 'course', '{"jid": "x"}' FROM generate_series(1, 3) n;
INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requester, requested_by, origin, home)
	SELECT '120363077430000001@g.us', '15557430001@c.us', 'support', 'ABC123', current_user::regrole, current_user, 'insert', home FROM wawp.identity;
INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requester, requested_by, origin, home, state, outcome, code, detail, batch_id,
		context, attempts, settled_at)
	SELECT '120363077430000002@g.us', '15557430009@c.us', 'support', 'ABC123', current_user::regrole, current_user, 'insert', home, 'failed', 'privacy_blocked', 403, 'no',
		'course', '{"order": 7}', 2, '2026-11-28' FROM wawp.identity;
INSERT INTO wawp.contact (contact_id, jid, registered, known_as, checked_at) VALUES (7001, '15557430009@c.us', true, '15557430009@c.us', '2026-01-02');
INSERT INTO wawp.membership (instance, group_jid, contact_id, added_by_us, added_at, seen_at, until, requested_by, home)
	SELECT 'support', '120363077430000002@g.us', 7001, true, '2026-01-02', '2026-01-03', '2099-01-01', current_user, home FROM wawp.identity;
INSERT INTO wawp.suppression (jid, group_jid, reason) VALUES ('15557430010@c.us', NULL, 'asked us to'), ('15557430010@c.us', '120363077430000002@g.us', 'left');
INSERT INTO wawp.group_settings (instance, group_jid, adds_per_minute, welcome_text) VALUES ('support', '120363077430000002@g.us', 2, 'Hello {names}');
INSERT INTO wawp.audit_note (kind, instance, instance_id, group_jid, jid, intent_id, role, requested_from)
	VALUES ('cancelled', 'support', 'ABC123', '120363077430000002@g.us', '15557430009@c.us', 1, current_user, '{}');
INSERT INTO wawp.hold (instance, group_jid, reason, since, failures) VALUES ('support', '120363077430000003@g.us', 'paused: moving', '2026-01-02', 1);
ALTER TABLE wawp.membership_intent ENABLE ALWAYS TRIGGER fill;
RESET session_replication_role;
