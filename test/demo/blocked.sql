\echo
\echo '== One more, whose privacy setting lets nobody add her.  The API says "ok"; the worker reads the list, and invites her'
\echo
\pset footer off
\set ECHO queries
INSERT INTO enrolment VALUES ('pottery', '120363012345678901@g.us', '+1 555 200 0018');
SELECT wawp_explain(max(id)) FROM wawp.membership_intent;
\set ECHO none
