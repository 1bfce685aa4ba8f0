-- default.sql: what a document takes for granted: the quick start of README.md.
\ir simulated.sql
CREATE EXTENSION wawp;
CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
