-- simulated.sql: from here on each Wawp instance that is made without an address is the simulator's at :url, and has no pace,
-- so that a document can show CREATE SERVER as one writes it.
SET client_min_messages = warning;
SELECT format('ALTER DATABASE %I SET simulated.url = %L', current_database(), :'url') \gexec
SELECT set_config('simulated.url', :'url', false);
CREATE SCHEMA simulated;
CREATE FUNCTION simulated.point() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	server record;
BEGIN
	FOR server IN SELECT srvname, coalesce(srvoptions, '{}')::text AS options FROM pg_foreign_server LOOP
		CONTINUE WHEN server.options LIKE '%base_url%';
		EXECUTE format('ALTER SERVER %I OPTIONS (ADD base_url %L)', server.srvname, current_setting('simulated.url'));
		CONTINUE WHEN server.options LIKE '%adds_per_minute%' OR server.options LIKE '%verify_delays%';
		EXECUTE format('ALTER SERVER %I OPTIONS (ADD adds_per_minute ''0'', ADD checks_per_minute ''0'', ADD verify_delays ''20ms,200ms,500ms'')',
			server.srvname);
	END LOOP;
END $$;
CREATE EVENT TRIGGER simulated ON ddl_command_end WHEN TAG IN ('CREATE SERVER') EXECUTE FUNCTION simulated.point();
