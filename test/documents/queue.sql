-- queue.sql: the tables that doc/queue.md speaks of.
\ir default.sql
CREATE TABLE enrolment (course text, group_jid text, phone text);
INSERT INTO enrolment VALUES ('pottery', '120363012345678901@g.us', '+1 555 200 0011');
CREATE TABLE shift (region text, group_jid text, phone text);
