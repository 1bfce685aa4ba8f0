-- README.sql: nothing but where the accounts are: README.md begins with CREATE EXTENSION.
\ir simulated.sql
