-- every_table.sql: a row in every table of wawp that does not come of an add that is done (contact, membership, the audit
-- log and its blocks), for instance "support": by what owners and gateways do, or by an INSERT where only a failure leaves one.
INSERT INTO wawp.group_settings (instance, group_jid, welcome_text) VALUES ('support', '120363077430000012@g.us', 'Hello {names}');
INSERT INTO wawp.opt_out_word (word) VALUES ('basta');
INSERT INTO wawp.requester_hold (instance, requester, reason, since, until)
	VALUES ('support', 'pg_monitor'::regrole, 'auth_failed', now(), now() + interval '1 day');
INSERT INTO wawp.webhook_event (instance, event, id, instance_id, body, happened_at, applied_at, detail)
	VALUES ('support', 'session.status', 'evt_1', 'ABC123', '{}', now(), now(), 'nothing to do');
INSERT INTO wawp.webhook_refusal (instance, slot, body_hash, bytes, reason) VALUES ('support', 7, sha256('x'), 1, 'not signed');
SELECT wawp_pause('support', '120363077430000013@g.us', 'moving');
SELECT wawp_suppress('15557439001', NULL, 'asked us to');
SELECT wawp_erase('15557439002', 'asked us to');
