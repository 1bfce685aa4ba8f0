/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

-- ---- the queue: who should be in which group

COMMENT ON COLUMN wawp.membership_intent.superseded IS 'true if its requester asked for the opposite while its request was on the wire';

DROP INDEX wawp.membership_intent_one_queued;
CREATE UNIQUE INDEX membership_intent_one_queued ON wawp.membership_intent
	(jid, group_jid, instance, (action IN ('promote', 'demote')), requester, not_before) NULLS NOT DISTINCT
	WHERE state = 'queued';
CREATE INDEX membership_intent_planned ON wawp.membership_intent (jid, group_jid, instance, requester)
	WHERE state = 'queued' AND not_before IS NOT NULL;
