
-- ---- without I/O: these work without preloading, too

CREATE FUNCTION @extschema@.wawp_jid(identifier text) RETURNS text
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_jid';
COMMENT ON FUNCTION @extschema@.wawp_jid(text) IS
	'the normal form of a phone number or JID as people and engines write them; NULL when it is none';

CREATE FUNCTION @extschema@.wawp_is_group_jid(identifier text) RETURNS bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_group_jid';
COMMENT ON FUNCTION @extschema@.wawp_is_group_jid(text) IS
	'is this, to the letter, the JID of a group';

CREATE FUNCTION @extschema@.wawp_is_person_jid(identifier text) RETURNS bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_person_jid';
COMMENT ON FUNCTION @extschema@.wawp_is_person_jid(text) IS
	'is this, to the letter, the JID of a person';

CREATE FUNCTION @extschema@.wawp_classify(operation text, http_status int, body text,
							  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_classify';
COMMENT ON FUNCTION @extschema@.wawp_classify(text, int, text) IS
	'how an answer of the API to add, remove, promote, demote or send would be read';
