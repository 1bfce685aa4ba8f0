-- examples-README.sql: the document makes its own account.
\ir simulated.sql
CREATE EXTENSION wawp;
