-- rows.sql: what the tables of wawp hold.  pg_temp.wawp_tables() names those that exist now, by the catalog;
-- pg_temp.wawp_rows() has each row of each; pg_temp.wawp_empty() names those without any.
CREATE FUNCTION pg_temp.wawp_tables() RETURNS SETOF name LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT c.relname FROM pg_class c
	WHERE c.relnamespace = 'wawp'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname;
END;
CREATE FUNCTION pg_temp.wawp_rows() RETURNS TABLE (name text, contents jsonb) LANGUAGE plpgsql STABLE AS $$
DECLARE
	t name;
BEGIN
	FOR t IN SELECT * FROM pg_temp.wawp_tables() LOOP
		RETURN QUERY EXECUTE format('SELECT %L::text, to_jsonb(x) FROM wawp.%I x', t, t);
	END LOOP;
END
$$;
CREATE FUNCTION pg_temp.wawp_empty() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(t, ' ' ORDER BY t) FROM pg_temp.wawp_tables() t WHERE t NOT IN (SELECT r.name FROM pg_temp.wawp_rows() r)
$$;
