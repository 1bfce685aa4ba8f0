
-- ---- instances: a foreign server is a Wawp account, its token is in the user mapping

CREATE FUNCTION @extschema@.wawp_fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE C STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_fdw_validator';
COMMENT ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) IS
	'checks the options of Wawp instances and of their user mappings';

CREATE FOREIGN DATA WRAPPER wawp
	NO HANDLER
	VALIDATOR @extschema@.wawp_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER wawp IS
	'Wawp accounts: CREATE SERVER ... OPTIONS (instance_id ...), CREATE USER MAPPING ... OPTIONS (access_token ...)';
