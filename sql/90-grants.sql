
-- ---- what PUBLIC may do
-- Functions are PUBLIC's by default: each checks USAGE on the server it is to use.

GRANT USAGE ON SCHEMA wawp TO PUBLIC;
REVOKE ALL ON FUNCTION wawp_fdw_validator(text[], oid) FROM PUBLIC;
