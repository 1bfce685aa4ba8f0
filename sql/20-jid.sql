
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
	'true if this is exactly the JID of a group';

CREATE FUNCTION @extschema@.wawp_is_person_jid(identifier text) RETURNS bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_is_person_jid';
COMMENT ON FUNCTION @extschema@.wawp_is_person_jid(text) IS
	'true if this is exactly the JID of a person';

CREATE FUNCTION @extschema@.wawp_classify(operation text, http_status int, body text,
							  OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'wawp_classify';
COMMENT ON FUNCTION @extschema@.wawp_classify(text, int, text) IS
	'reads an answer of the API to add, remove, promote, demote or send, without sending anything';

CREATE FUNCTION wawp._outcome_info(OUT outcome wawp.outcome, OUT about text, OUT final bool, OUT next_step text,
								   OUT text text, OUT hint text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 34
	AS 'MODULE_PATHNAME', 'wawp_outcome_info';
COMMENT ON FUNCTION wawp._outcome_info() IS 'the rows of wawp.outcome_info, in the order of the type';

CREATE VIEW wawp.outcome_info WITH (security_invoker) AS
	SELECT o.outcome, o.about, o.final, o.next_step, o.text, o.hint FROM wawp._outcome_info() o;
COMMENT ON VIEW wawp.outcome_info IS 'what each outcome means and what the worker does next; the same on every server';
COMMENT ON COLUMN wawp.outcome_info.outcome IS 'the outcome';
COMMENT ON COLUMN wawp.outcome_info.about IS
	'the cause lies with: person, group, instance (its account, pace or session) or api (no usable answer)';
COMMENT ON COLUMN wawp.outcome_info.final IS 'true if it settles an intent: done or failed, nothing more is sent';
COMMENT ON COLUMN wawp.outcome_info.next_step IS
	'what the worker does about the intent: nothing, verify, invite, wait, fail, retry, slow down, hold the group or hold the instance';
COMMENT ON COLUMN wawp.outcome_info.text IS 'what it means';
COMMENT ON COLUMN wawp.outcome_info.hint IS 'the way out; NULL when there is none or none is needed';
