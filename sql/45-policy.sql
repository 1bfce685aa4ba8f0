-- ---- memberships, opt-out list and policy: all of it visible, and the owner's to change

CREATE TABLE wawp.membership (
	instance		name NOT NULL,
	group_jid		text COLLATE "C" NOT NULL,
	contact_id		bigint NOT NULL,
	added_by_us		bool NOT NULL DEFAULT false,
	added_at		timestamptz,
	seen_at			timestamptz,
	until			timestamptz,
	invited_at		timestamptz,
	welcomed_at		timestamptz,
	left_at			timestamptz,
	requester		oid,
	requested_by	text COLLATE "C",
	home			uuid,
	reason			text COLLATE "C",
	instance_id		text COLLATE "C",
	CONSTRAINT membership_pkey PRIMARY KEY (instance, group_jid, contact_id)
);
CREATE INDEX membership_until ON wawp.membership (home, until) WHERE until IS NOT NULL;
CREATE TRIGGER arrived BEFORE INSERT ON wawp.membership
	FOR EACH ROW EXECUTE FUNCTION wawp._row_arrived();
ALTER TABLE wawp.membership ENABLE ALWAYS TRIGGER arrived;
CREATE TRIGGER arrived_again BEFORE UPDATE ON wawp.membership
	FOR EACH ROW EXECUTE FUNCTION wawp._row_arrived();
ALTER TABLE wawp.membership ENABLE REPLICA TRIGGER arrived_again;
COMMENT ON TABLE wawp.membership IS 'what is known about a person in a group, until it is erased';
COMMENT ON COLUMN wawp.membership.instance IS 'the instance';
COMMENT ON COLUMN wawp.membership.group_jid IS 'the group';
COMMENT ON COLUMN wawp.membership.contact_id IS 'the person; wawp.contact has the number';
COMMENT ON COLUMN wawp.membership.added_by_us IS 'true if we added the person, so that we may remove them (managed_only)';
COMMENT ON COLUMN wawp.membership.added_at IS 'when we added the person last';
COMMENT ON COLUMN wawp.membership.seen_at IS 'when a member list last showed the person; NULL since we removed them';
COMMENT ON COLUMN wawp.membership.until IS 'when the removal is queued';
COMMENT ON COLUMN wawp.membership.invited_at IS 'when the invite link was last sent';
COMMENT ON COLUMN wawp.membership.welcomed_at IS 'when the group welcomed the person';
COMMENT ON COLUMN wawp.membership.left_at IS 'when the person was found to be gone, or was removed by us';
COMMENT ON COLUMN wawp.membership.requester IS 'the role that requested the membership, by oid; it requests the removal due at "until", too';
COMMENT ON COLUMN wawp.membership.requested_by IS 'the name that role had when it asked';
COMMENT ON COLUMN wawp.membership.home IS 'the database it was noted in, the only one that acts on it; zero in a row that was restored or replicated';
COMMENT ON COLUMN wawp.membership.reason IS 'the reason given with the request';
COMMENT ON COLUMN wawp.membership.instance_id IS 'the Wawp id of the instance that serves it; another account neither welcomes nor removes the person';

CREATE TABLE wawp.suppression (
	jid			text COLLATE "C" NOT NULL,
	group_jid	text COLLATE "C",
	reason		text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	until		timestamptz,
	CONSTRAINT suppression_key UNIQUE NULLS NOT DISTINCT (jid, group_jid)
);
-- No primary key, since group_jid may be NULL: publications would keep rows from being changed.
ALTER TABLE wawp.suppression REPLICA IDENTITY FULL;
CREATE TRIGGER limits BEFORE INSERT OR UPDATE OF jid, group_jid, reason ON wawp.suppression
	FOR EACH ROW EXECUTE FUNCTION wawp._text_limits('jid', 'group_jid', 'reason');
COMMENT ON TABLE wawp.suppression IS 'people who are not added or invited: they left, were removed by others, refused or opted out';
COMMENT ON COLUMN wawp.suppression.jid IS 'the person; of one who was erased "hmac:" and a keyed hash of the number: see wawp.erasure_key';
COMMENT ON COLUMN wawp.suppression.group_jid IS 'the group; NULL means all groups';
COMMENT ON COLUMN wawp.suppression.reason IS 'why: an outcome''s text, or what wawp_suppress() was told';
COMMENT ON COLUMN wawp.suppression.since IS 'when it began';
COMMENT ON COLUMN wawp.suppression.until IS 'until when; NULL means until wawp_unsuppress()';

-- Empty until somebody is erased.  It is dumped, as the opt-out list is: a restored copy obeys it, too (doc/erasure.md).
CREATE TABLE wawp.erasure_key (
	key			text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	CONSTRAINT erasure_key_pkey PRIMARY KEY (key)
);
COMMENT ON TABLE wawp.erasure_key IS 'the key by which people who were erased are recognised in wawp.suppression; who has both can find their numbers by trying all';
COMMENT ON COLUMN wawp.erasure_key.key IS 'random; several if databases were merged, and all count';
COMMENT ON COLUMN wawp.erasure_key.since IS 'when it was drawn';

-- Erasures of which transactions that were open meanwhile may have missed something, until the worker has completed them.  Not dumped.
CREATE TABLE wawp.erasure (
	contact_id	bigint NOT NULL,
	jids		text[] COLLATE "C" NOT NULL,
	since		xid8 NOT NULL,
	writers		text[] COLLATE "C",
	log_id		bigint NOT NULL,
	tables		int NOT NULL DEFAULT 0,
	home		uuid DEFAULT wawp._home(),
	CONSTRAINT erasure_pkey PRIMARY KEY (contact_id)
);
COMMENT ON TABLE wawp.erasure IS 'people who are being erased, until the transactions that were open meanwhile have ended and the worker has erased what they wrote';
COMMENT ON COLUMN wawp.erasure.contact_id IS 'number of the person in the audit log';
COMMENT ON COLUMN wawp.erasure.jids IS 'what the person is known by';
COMMENT ON COLUMN wawp.erasure.since IS 'the oldest transaction that was open';
COMMENT ON COLUMN wawp.erasure.writers IS 'those that are waited for; NULL until the worker has looked';
COMMENT ON COLUMN wawp.erasure.log_id IS 'number of the last record of the audit log that was looked at';
COMMENT ON COLUMN wawp.erasure.tables IS 'how many tables were looked through since the transactions have ended';
COMMENT ON COLUMN wawp.erasure.home IS 'the database that completes it: in which the person was erased, or that took over';

CREATE TABLE wawp.group_settings (
	instance				name NOT NULL,
	group_jid				text COLLATE "C" NOT NULL,
	adds_per_minute			float8 CHECK (adds_per_minute >= 0),
	capacity				int NOT NULL DEFAULT 1024 CHECK (capacity > 0),
	invite					bool NOT NULL DEFAULT true,
	invite_text				text COLLATE "C" CHECK (invite_text LIKE '%{link}%'),
	welcome_text			text COLLATE "C",
	welcome_delay			interval NOT NULL DEFAULT '1 minute' CHECK (welcome_delay >= interval '0'),
	overflow_group			text COLLATE "C" CHECK (overflow_group <> group_jid AND @extschema@.wawp_is_group_jid(overflow_group)),
	check_exists			bool NOT NULL DEFAULT true,
	require_contact_within	interval,
	managed					bool NOT NULL DEFAULT true,
	CONSTRAINT group_settings_pkey PRIMARY KEY (instance, group_jid)
);
CREATE TRIGGER limits BEFORE INSERT OR UPDATE OF group_jid, invite_text, welcome_text ON wawp.group_settings
	FOR EACH ROW EXECUTE FUNCTION wawp._text_limits('group_jid', 'invite_text', 'welcome_text');
CREATE INDEX group_settings_welcome ON wawp.group_settings (instance, group_jid) WHERE welcome_text IS NOT NULL;
COMMENT ON TABLE wawp.group_settings IS 'policy of a group; a group without a row has the defaults';
COMMENT ON COLUMN wawp.group_settings.instance IS 'the instance';
COMMENT ON COLUMN wawp.group_settings.group_jid IS 'the group';
COMMENT ON COLUMN wawp.group_settings.adds_per_minute IS 'pace of this group beside the instance''s; NULL means none of its own';
COMMENT ON COLUMN wawp.group_settings.capacity IS 'members it may have';
COMMENT ON COLUMN wawp.group_settings.invite IS 'true if people who cannot be added may be sent the invite link';
COMMENT ON COLUMN wawp.group_settings.invite_text IS 'text of the invitation, with {link} and perhaps {group}';
COMMENT ON COLUMN wawp.group_settings.welcome_text IS 'sent to the group when people joined, with {names}; NULL means none';
COMMENT ON COLUMN wawp.group_settings.welcome_delay IS 'one welcome for all who joined in that time';
COMMENT ON COLUMN wawp.group_settings.overflow_group IS 'where people are added when this group is full';
COMMENT ON COLUMN wawp.group_settings.check_exists IS 'true if numbers of which nothing is known are checked for being on WhatsApp before they are added, as far as checks_per_minute allows';
COMMENT ON COLUMN wawp.group_settings.require_contact_within IS 'only people who wrote to us within that time are added; NULL means anybody';
COMMENT ON COLUMN wawp.group_settings.managed IS 'true if wawp_sync_group() may remove people from it';

SELECT pg_catalog.pg_extension_config_dump('wawp.membership', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.suppression', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.erasure_key', '');
SELECT pg_catalog.pg_extension_config_dump('wawp.group_settings', '');

CREATE FUNCTION @extschema@.wawp_suppress(jid text, group_jid text DEFAULT NULL, reason text DEFAULT NULL,
							  until timestamptz DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_suppress';
COMMENT ON FUNCTION @extschema@.wawp_suppress(text, text, text, timestamptz) IS
	'keeps a person from being added or invited, to one group or to all, and records it; false when that was so already';

CREATE FUNCTION @extschema@.wawp_unsuppress(jid text, group_jid text DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_unsuppress';
COMMENT ON FUNCTION @extschema@.wawp_unsuppress(text, text) IS
	'ends a suppression and records it; false when there was none';

CREATE FUNCTION @extschema@.wawp_note_contact(jid text, at timestamptz DEFAULT NULL) RETURNS bool
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_note_contact';
COMMENT ON FUNCTION @extschema@.wawp_note_contact(text, timestamptz) IS
	'notes that a person wrote to us, now or then; false when a later message is known';

-- ---- the data of one person

CREATE FUNCTION @extschema@.wawp_subject_export(jid text) RETURNS jsonb
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_subject_export';
COMMENT ON FUNCTION @extschema@.wawp_subject_export(text) IS
	'all that is held on a person, by table, and records that it was read; free texts that have the number are found, too';

CREATE FUNCTION @extschema@.wawp_erase(jid text, reason text DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_erase';
COMMENT ON FUNCTION @extschema@.wawp_erase(text, text) IS
	'removes a person''s number and privacy id from all tables, ends their intents, and keeps them from being added again until wawp_unsuppress(); returns how many rows changed';
