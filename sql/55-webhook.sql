-- ---- events that the gateway sends

-- The key tells a repeated event; bodies are texts, since they are verified as bytes and jsonb does not hold all of them.
-- Not dumped: an event is worth something for minutes, and what it led to is in other tables.
CREATE TABLE wawp.webhook_event (
	instance	name NOT NULL,
	event		text COLLATE "C" NOT NULL,
	id			text COLLATE "C" NOT NULL,
	instance_id	text COLLATE "C",
	received_at	timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	body		text COLLATE "C",
	home		uuid DEFAULT wawp._home(),
	next_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	tries		int NOT NULL DEFAULT 0,
	happened_at	timestamptz,
	applied_at	timestamptz,
	detail		text COLLATE "C",
	progress	text COLLATE "C",
	CONSTRAINT webhook_event_pkey PRIMARY KEY (instance, event, id)
);
CREATE INDEX webhook_event_waiting ON wawp.webhook_event (home, next_at) WHERE applied_at IS NULL;
CREATE INDEX webhook_event_received ON wawp.webhook_event (received_at);
COMMENT ON TABLE wawp.webhook_event IS 'events that wawp_webhook() has accepted, each once, for wawp.retention';
COMMENT ON COLUMN wawp.webhook_event.instance IS 'the instance it was received for';
COMMENT ON COLUMN wawp.webhook_event.event IS 'its kind, as the gateway names it; empty if it is not understood';
COMMENT ON COLUMN wawp.webhook_event.id IS 'its id; without one, the SHA-256 of its body';
COMMENT ON COLUMN wawp.webhook_event.instance_id IS 'the instance''s Wawp id when it was received; it means nothing to another account';
COMMENT ON COLUMN wawp.webhook_event.received_at IS 'when it was received first';
COMMENT ON COLUMN wawp.webhook_event.body IS 'as it was received; NULL if it was too large';
COMMENT ON COLUMN wawp.webhook_event.home IS 'the database it was received in, the only one that applies it';
COMMENT ON COLUMN wawp.webhook_event.next_at IS 'when the worker applies it, or tries again';
COMMENT ON COLUMN wawp.webhook_event.tries IS 'how often applying it has failed';
COMMENT ON COLUMN wawp.webhook_event.happened_at IS 'when it happened: by WhatsApp, else by the gateway, else when it was received';
COMMENT ON COLUMN wawp.webhook_event.applied_at IS 'when the worker was through with it; NULL: not yet';
COMMENT ON COLUMN wawp.webhook_event.detail IS 'what it led to, or why it led to nothing';
COMMENT ON COLUMN wawp.webhook_event.progress IS 'of one about several people that is tried again, a letter for each: - not applied, w applied but for an answer that is waited for, d applied';

-- Bodies that were refused, by a part of their hash: a flood of them takes no more than these rows.
CREATE TABLE wawp.webhook_refusal (
	instance	name NOT NULL,
	slot		int NOT NULL,
	body_hash	bytea NOT NULL,
	bytes		int NOT NULL,
	reason		text COLLATE "C" NOT NULL,
	refused		bigint NOT NULL DEFAULT 1,
	bodies		bigint NOT NULL DEFAULT 1,
	first_at	timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_at		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT webhook_refusal_pkey PRIMARY KEY (instance, slot)
);
COMMENT ON TABLE wawp.webhook_refusal IS 'events that wawp_webhook() has refused, at most 1,024 rows an instance';
COMMENT ON COLUMN wawp.webhook_refusal.instance IS 'the instance they were sent for';
COMMENT ON COLUMN wawp.webhook_refusal.slot IS 'first bits of the hash';
COMMENT ON COLUMN wawp.webhook_refusal.body_hash IS 'SHA-256 of the body that was refused last';
COMMENT ON COLUMN wawp.webhook_refusal.bytes IS 'its length';
COMMENT ON COLUMN wawp.webhook_refusal.reason IS 'why it was refused';
COMMENT ON COLUMN wawp.webhook_refusal.refused IS 'how often a body with that slot was refused; a gateway tries each up to 16 times';
COMMENT ON COLUMN wawp.webhook_refusal.bodies IS 'how often it was another body than the time before';
COMMENT ON COLUMN wawp.webhook_refusal.first_at IS 'when that was first; a row ends a day after it was last';
COMMENT ON COLUMN wawp.webhook_refusal.last_at IS 'when it was last';

-- Words by which a person who sends nothing else to us in a message opts out of all groups.
CREATE TABLE wawp.opt_out_word (
	word		text COLLATE "C" NOT NULL,
	built_in	bool NOT NULL DEFAULT false,
	CONSTRAINT opt_out_word_pkey PRIMARY KEY (word)
);
COMMENT ON TABLE wawp.opt_out_word IS 'a person whose message is nothing but one of these words is not added or invited any more (wawp.suppression)';
COMMENT ON COLUMN wawp.opt_out_word.word IS 'a word or a few; upper and lower case, and marks around it, make no difference';
COMMENT ON COLUMN wawp.opt_out_word.built_in IS 'true if it came with the extension; such rows are not dumped';
INSERT INTO wawp.opt_out_word (word, built_in) VALUES ('stop', true), ('stop all', true), ('unsubscribe', true), ('opt out', true);

SELECT pg_catalog.pg_extension_config_dump('wawp.opt_out_word', 'WHERE NOT built_in');

-- The member whose LID an event has.
CREATE INDEX contact_lid ON wawp.contact (lid) WHERE lid IS NOT NULL;

CREATE FUNCTION @extschema@.wawp_webhook(payload text, signature text, instance name DEFAULT NULL,
							 OUT status int, OUT retry_after int, OUT detail text) RETURNS record
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_webhook';
COMMENT ON FUNCTION @extschema@.wawp_webhook(text, text, name) IS
	'stores an event of the gateway, if its signature is right, for the worker to apply; returns what to answer: the HTTP status and perhaps the seconds of Retry-After';

