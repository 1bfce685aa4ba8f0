-- ---- groups that follow a list of people

CREATE FUNCTION @extschema@.wawp_sync_group(group_jid text, jids text[], instance name DEFAULT NULL, reason text DEFAULT NULL,
								mode text DEFAULT 'plan', managed_only bool DEFAULT true, max_remove_pct int DEFAULT 20,
								OUT jid text, OUT action wawp.action, OUT why text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'wawp_sync_group';
COMMENT ON FUNCTION @extschema@.wawp_sync_group(text, text[], name, text, text, bool, int) IS
	'what has to change so that just these people are in a group, and with mode apply requests it; one row per difference; action is NULL where nothing is done about it, jid where the row is about the whole group; nobody is removed where more than max_remove_pct per cent of the members would go';

CREATE FUNCTION @extschema@.wawp_sync_groups(source regclass, group_column name, jid_column name, instance name DEFAULT NULL,
								 reason text DEFAULT NULL, mode text DEFAULT 'plan', managed_only bool DEFAULT true,
								 max_remove_pct int DEFAULT 20,
								 OUT group_jid text, OUT jid text, OUT action wawp.action, OUT why text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE ROWS 100 COST 1000000
	AS 'MODULE_PATHNAME', 'wawp_sync_groups';
COMMENT ON FUNCTION @extschema@.wawp_sync_groups(regclass, name, name, name, text, text, bool, int) IS
	'wawp_sync_group() for each group in a table or view, which is read as the calling role; waits its turn in reads_per_minute; a group that cannot be read is a row';
