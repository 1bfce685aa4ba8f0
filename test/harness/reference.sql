-- reference.sql: writes doc/reference.md from the catalog of a database with wawp in it.
--
--   psql -XAtq -d DB -f test/harness/reference.sql >doc/reference.md        (make reference does that)
--
-- Contract: reads the catalog only; what it prints is the same on every major version and whatever was set, so that
-- test/t/250_documents.pl can compare it with the file.  Nothing in it is written by hand but the sentences here: a
-- meaning that is missing belongs into a COMMENT, a GUC's description, src/protocol/outcome.c or src/client/instance.c.

SET search_path = pg_catalog, pg_temp;
SET intervalstyle = postgres;

-- A text in a table's cell has no line break and no bar; a comment as a sentence of its own begins with a capital.
CREATE FUNCTION pg_temp.cell(text) RETURNS text IMMUTABLE LANGUAGE sql AS
	$$SELECT replace(regexp_replace(coalesce($1, ''), '\s+', ' ', 'g'), '|', '\|')$$;

CREATE FUNCTION pg_temp.sentence(text) RETURNS text IMMUTABLE LANGUAGE sql AS
	$$SELECT CASE WHEN $1 LIKE 'wawp%' THEN $1 ELSE upper(left($1, 1)) || substr($1, 2) END || '.'$$;

-- As people write a type or a default.
CREATE FUNCTION pg_temp.type_name(oid, int4) RETURNS text STABLE LANGUAGE sql AS
	$$SELECT CASE t WHEN 'timestamp with time zone' THEN 'timestamptz' WHEN 'boolean' THEN 'bool' WHEN 'integer' THEN 'int'
		WHEN 'double precision' THEN 'float8' ELSE t END FROM format_type($1, $2) t$$;
CREATE FUNCTION pg_temp.default_text(text) RETURNS text IMMUTABLE LANGUAGE sql AS
	$$SELECT regexp_replace(regexp_replace($1, '::[a-z_. ]+(\[\])?', '', 'g'), 'pg_catalog\.', '', 'g')$$;

-- The arguments that go in or the columns that come out of a function, with what they are when they are left out.
CREATE FUNCTION pg_temp.arguments(f oid, is_input bool) RETURNS text STABLE LANGUAGE sql AS $$
	SELECT string_agg(a.name || ' ' || pg_temp.type_name(a.type, NULL) || CASE WHEN a.standard IS NULL THEN '' ELSE ' = ' || a.standard END,
		', ' ORDER BY a.n)
	FROM (SELECT p.n, p.name, p.type,
			pg_temp.default_text(pg_get_function_arg_default(f, p.n::int4)) AS standard, p.mode
		FROM pg_proc c,
			unnest(coalesce(c.proallargtypes, c.proargtypes::oid[]), c.proargnames, c.proargmodes)
				WITH ORDINALITY AS p (type, name, mode, n)
		WHERE c.oid = f) a
	WHERE (coalesce(a.mode, 'i') IN ('i', 'b', 'v')) = is_input $$;

-- A number of a parameter's unit, in the largest unit that it is a whole number of.
CREATE FUNCTION pg_temp.with_unit(value text, unit text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
	SELECT CASE WHEN unit IS NULL OR value = '0' THEN value
		ELSE (SELECT (value::int8 / u.size) || ' ' || u.name
			FROM (VALUES ('ms', 'd', 86400000), ('ms', 'h', 3600000), ('ms', 'min', 60000), ('ms', 's', 1000), ('ms', 'ms', 1),
				('s', 'd', 86400), ('s', 'h', 3600), ('s', 'min', 60), ('s', 's', 1),
				('min', 'd', 1440), ('min', 'h', 60), ('min', 'min', 1),
				('kB', 'GB', 1048576), ('kB', 'MB', 1024), ('kB', 'kB', 1)) u (unit, name, size)
			WHERE u.unit = with_unit.unit AND value::int8 % u.size = 0 ORDER BY u.size DESC LIMIT 1) END $$;

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'wawp' AND d.deptype = 'e';

CREATE TEMP VIEW routine AS
SELECT p.oid, p.proname AS name, p.prokind, p.proretset, n.nspname = 'wawp' AS is_internal,
	obj_description(p.oid, 'pg_proc') AS text, p.prorettype, p.provolatile, has_function_privilege('public', p.oid, 'EXECUTE') AS is_public
FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid JOIN pg_namespace n ON n.oid = p.pronamespace;

CREATE TEMP VIEW relation AS
SELECT c.oid, c.relname AS name, c.relkind, obj_description(c.oid, 'pg_class') AS text,
	has_table_privilege('public', c.oid, 'SELECT') OR has_table_privilege('pg_monitor', c.oid, 'SELECT') AS is_read_by_all
FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid WHERE c.relkind IN ('r', 'p', 'v');

\pset format unaligned
\pset tuples_only on

\qecho '# Reference'
\qecho ''
\qecho '<!-- Made by `make reference` from the catalog of an installed wawp: do not change it by hand. -->'
\qecho ''
\qecho 'Everything that the extension has, by name. Times are `timestamptz` unless something else is said; durations are'
\qecho 'written with their unit (`15s`, `72h`). Groups and people are written as `wawp_jid()` returns them. What each is for and'
\qecho 'how it is used: [the index](README.md).'
\qecho ''
\qecho '- [Functions](#functions)'
\qecho '- [Tables](#tables)'
\qecho '- [Views](#views)'
\qecho '- [Types](#types)'
\qecho '- [Outcomes](#outcomes)'
\qecho '- [Parameters](#parameters)'
\qecho '- [Options](#options)'
\qecho '- [Privileges of roles](#privileges-of-roles)'
\qecho ''
\qecho '## Functions'
\qecho ''
\qecho 'In the schema that the extension was created in. An argument with `=` may be left out and then has that value; `instance`'
\qecho 'left out means `wawp.instance`, else the only instance that the role may use. "Granted" stands where PUBLIC may not execute a'
\qecho 'function: the owner grants it.'

SELECT format(E'\n### %s\n\n```\n%s(%s)%s\n```\n\n%s%s', name, name, coalesce(pg_temp.arguments(oid, true), ''),
	CASE WHEN prokind = 'p' THEN '' ELSE ' -> ' || CASE WHEN pg_temp.arguments(oid, false) IS NOT NULL
		THEN CASE WHEN proretset THEN 'rows of ' ELSE '' END || '(' || pg_temp.arguments(oid, false) || ')'
		ELSE pg_temp.type_name(prorettype, NULL) END END,
	pg_temp.sentence(text),
	CASE WHEN prokind = 'p' THEN ' A procedure: `CALL`.' ELSE '' END || CASE WHEN is_public THEN '' ELSE ' Granted.' END)
FROM routine WHERE NOT is_internal ORDER BY name;

\qecho ''
\qecho 'Functions in schema `wawp` serve views, triggers and upgrade scripts, and may change with any version:'
SELECT string_agg('`' || name || '`', ', ' ORDER BY name) || '.' FROM routine WHERE is_internal;

\qecho ''
\qecho '## Tables'
\qecho ''
\qecho 'In schema `wawp`. A default is what the column has when an INSERT leaves it out; NULL where none is shown. Of the queue a'
\qecho 'role sees its own rows (row-level security), and what the system fills is overwritten; see [the queue](queue.md).'

SELECT format(E'\n### wawp.%s\n\n%s%s\n\n| column | type | default | meaning |\n|---|---|---|---|\n%s', r.name,
	pg_temp.sentence(r.text), CASE WHEN r.is_read_by_all THEN '' ELSE ' For the owner, and whom it grants SELECT.' END,
	(SELECT string_agg(format('| `%s` | `%s`%s | %s | %s |', a.attname, pg_temp.type_name(a.atttypid, a.atttypmod),
			CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
			CASE WHEN a.attidentity <> '' THEN 'consecutive' ELSE coalesce('`' || pg_temp.default_text(pg_get_expr(d.adbin, d.adrelid)) || '`', '') END,
			pg_temp.cell(col_description(r.oid, a.attnum))), E'\n' ORDER BY a.attnum)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM relation r WHERE r.relkind <> 'v' ORDER BY r.name;

\qecho ''
\qecho '## Views'
\qecho ''
\qecho 'In schema `wawp`, made for reading; each shows a role what it may see. Members of `pg_monitor` see figures of everybody''s'
\qecho 'intents, and no people.'

SELECT format(E'\n### wawp.%s\n\n%s%s\n\n| column | type | meaning |\n|---|---|---|\n%s', r.name,
	pg_temp.sentence(r.text), CASE WHEN r.is_read_by_all THEN '' ELSE ' For the owner, and whom it grants SELECT.' END,
	(SELECT string_agg(format('| `%s` | `%s` | %s |', a.attname, pg_temp.type_name(a.atttypid, a.atttypmod),
			pg_temp.cell(col_description(r.oid, a.attnum))), E'\n' ORDER BY a.attnum)
		FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM relation r WHERE r.relkind = 'v' ORDER BY r.name;

\qecho ''
\qecho '## Types'
\qecho ''
\qecho '| type | labels | meaning |'
\qecho '|---|---|---|'
SELECT format('| `wawp.%s` | %s | %s |', t.typname,
	CASE t.typname WHEN 'outcome' THEN 'see [Outcomes](#outcomes)'
		ELSE (SELECT string_agg('`' || e.enumlabel || '`', ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END,
	pg_temp.cell(obj_description(t.oid, 'pg_type')))
FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid WHERE t.typtype = 'e' ORDER BY t.typname;

\qecho ''
\qecho '## Outcomes'
\qecho ''
\qecho 'The rows of `wawp.outcome_info`: what is known about one person after an attempt. "About" says where the cause lies, "final" whether it'
\qecho 'settles an intent, "next" what the worker does.'
\qecho ''
\qecho '| outcome | about | final | next | meaning | way out |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| `%s` | %s | %s | %s | %s | %s |', outcome, about, CASE WHEN final THEN 'yes' ELSE 'no' END, next_step, pg_temp.cell(text),
	pg_temp.cell(hint))
FROM wawp.outcome_info ORDER BY outcome;

\qecho ''
\qecho '## Parameters'
\qecho ''
\qecho 'In `postgresql.conf`, by `ALTER SYSTEM`, and where the level allows it by `ALTER DATABASE`, `ALTER ROLE` or `SET`. A number that'
\qecho 'is set without a unit is in that of the third column.'
\qecho ''
\qecho '| parameter | default | unit | range | set by | meaning |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| `%s` | %s | %s | %s | %s | %s |', name,
	CASE WHEN boot_val = '' THEN 'empty' ELSE '`' || pg_temp.with_unit(boot_val, unit) || '`' END, coalesce(unit, ''),
	CASE vartype WHEN 'bool' THEN 'on, off' WHEN 'enum' THEN array_to_string(enumvals, ', ')
		WHEN 'string' THEN '' ELSE pg_temp.with_unit(min_val, unit) || ' to ' ||
			CASE WHEN max_val = '2147483647' THEN 'no limit' ELSE pg_temp.with_unit(max_val, unit) END END,
	CASE context WHEN 'user' THEN 'everybody' WHEN 'superuser' THEN 'superusers' WHEN 'sighup' THEN 'reload' WHEN 'postmaster' THEN 'restart' ELSE context END,
	pg_temp.cell(short_desc || coalesce(' ' || extra_desc, '')))
FROM pg_settings WHERE name LIKE 'wawp.%' ORDER BY name;

\qecho ''
\qecho '## Options'
\qecho ''
\qecho 'Of `CREATE SERVER … FOREIGN DATA WRAPPER wawp`, `CREATE USER MAPPING` and `CREATE FOREIGN TABLE`; all are checked when set. An option'
\qecho 'whose name is not known is an error that names the closest one.'
\qecho ''
\qecho '| option | of | default | range | meaning |'
\qecho '|---|---|---|---|---|'
SELECT format('| `%s` | %s | %s | %s | %s |', option, object, coalesce('`' || standard || '`', ''), coalesce(lowest || ' to ' || CASE WHEN highest = 2147483647 THEN 'no limit' ELSE highest::text END, ''), pg_temp.cell(text))
FROM wawp._option_info();

\qecho ''
\qecho '## Privileges of roles'
\qecho ''
\qecho 'What PUBLIC has not, and the owner may grant; INSERT, UPDATE and DELETE on a table of settings, too. Recipes: [roles](roles.md).'
\qecho ''
\qecho '| object | what is granted |'
\qecho '|---|---|'
SELECT row FROM (
	SELECT format('| `%s` | EXECUTE |', name) FROM routine WHERE NOT is_internal AND NOT is_public AND name NOT LIKE 'wawp_fdw%'
	UNION ALL
	SELECT format('| `wawp.%s` | SELECT |', name) FROM relation WHERE NOT is_read_by_all) AS granted (row)
ORDER BY row COLLATE "C";
