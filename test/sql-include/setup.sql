-- setup.sql: how every file of test/sql begins; it leaves a transaction open, with the helpers in it, which the
-- file's ROLLBACK ends.  Paths are from the project's root.
--
-- Under pg_regress pgtap and wawp exist already; a file run by itself makes them.  The simulator
-- (test/simulator/README.md) starts each file afresh; :url is its address.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS wawp;
\set port `test/simulator/ensure`
\setenv WAWP_SIM_PORT :port
\set url http://127.0.0.1: :port
\i test/sql-include/reset_simulator.sql
BEGIN;
\i test/sql-include/helpers.sql
