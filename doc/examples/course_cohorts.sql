-- course_cohorts.sql: who has paid for a course is in its group, who was refunded is not.
--
-- The application writes enrolments, nothing else.  Every night the groups are brought in step: wawp reads each group's member
-- list, adds who is missing, at a pace that does not get the account banned, and removes whom it added and who is not wanted any
-- more.  Nobody else is touched: not the teachers who were in the group before, not its admins.
\set ON_ERROR_STOP on

CREATE TABLE course (
    id int PRIMARY KEY,
    title text NOT NULL,
    group_jid text UNIQUE CHECK (wawp_is_group_jid(group_jid))
);
CREATE TABLE enrolment (
    course int NOT NULL REFERENCES course,
    phone text NOT NULL CHECK (wawp_jid(phone) IS NOT NULL),
    paid_at timestamptz,
    refunded_at timestamptz,
    PRIMARY KEY (course, phone)
);

-- A course of which nobody has paid is in here with a NULL: its group is one in which nobody is wanted.
CREATE VIEW course_member AS
SELECT c.group_jid, e.phone
FROM course c LEFT JOIN enrolment e ON e.course = c.id AND e.paid_at IS NOT NULL AND e.refunded_at IS NULL
WHERE c.group_jid IS NOT NULL;

INSERT INTO course VALUES (1, 'Pottery', '120363012345678901@g.us'), (2, 'Weaving', '120363012345678906@g.us'), (3, 'Glass', NULL);
INSERT INTO enrolment VALUES
    (1, '+1 555 123 7001', now(), NULL),
    (1, '+1 555 123 7002', now(), NULL),
    (1, '+1 555 123 7003', NULL, NULL),        -- has not paid
    (2, '+1 555 123 7001', now(), NULL);

-- What would change?  Without the condition there is a row for everybody else as well, whose why says the reason.
SELECT * FROM wawp_sync_groups('course_member', 'group_jid', 'phone', 'support') WHERE action IS NOT NULL;

-- Do it.  To run this again is harmless: it requests what is missing still.
SELECT group_jid, action, count(*) FROM wawp_sync_groups('course_member', 'group_jid', 'phone', 'support', 'course', mode => 'apply')
GROUP BY group_jid, action ORDER BY group_jid, action;

-- Every night.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AS has_cron \gset
\if :has_cron
SELECT cron.schedule('courses', '15 3 * * *',
    $$SELECT wawp_sync_groups('course_member', 'group_jid', 'phone', 'support', 'course', mode => 'apply', max_remove_pct => 30)$$);
\endif

-- A course is over: everybody whom wawp added goes.  Only 100 % lets an empty list do that.
--   SELECT * FROM wawp_sync_group('120363012345678901@g.us', '{}', 'support', 'end of term', 'apply', max_remove_pct => 100);
