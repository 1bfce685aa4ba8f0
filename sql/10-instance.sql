
-- ---- instances: a foreign server is a Wawp account, its token is in the user mapping

CREATE FUNCTION @extschema@.wawp_fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE C STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_fdw_validator';
COMMENT ON FUNCTION @extschema@.wawp_fdw_validator(text[], oid) IS
	'checks the options of Wawp instances, of their user mappings and of foreign tables';

CREATE FUNCTION @extschema@.wawp_fdw_handler() RETURNS fdw_handler
	LANGUAGE C STRICT
	AS 'MODULE_PATHNAME', 'wawp_fdw_handler';
COMMENT ON FUNCTION @extschema@.wawp_fdw_handler() IS
	'groups and their members as foreign tables';

CREATE FOREIGN DATA WRAPPER wawp
	HANDLER @extschema@.wawp_fdw_handler
	VALIDATOR @extschema@.wawp_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER wawp IS
	'Wawp accounts: CREATE SERVER ... OPTIONS (instance_id ...), CREATE USER MAPPING ... OPTIONS (access_token ...), CREATE FOREIGN TABLE ... OPTIONS (object ''members'')';

CREATE FUNCTION wawp._option_info(OUT option text, OUT object text, OUT standard text, OUT lowest float8, OUT highest float8,
								  OUT text text)
	RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE ROWS 23
	AS 'MODULE_PATHNAME', 'wawp_option_info';
COMMENT ON FUNCTION wawp._option_info() IS
	'the options of Wawp instances, user mappings and foreign tables, with defaults and limits; doc/reference.md is made of it';
