-- follow_the_sun.sql: the lead who is on duty is in the groups of all open cases.
--
-- At a change of shift the new lead is added to each group, and the old one removed when the new one is in: a group is never
-- without one, and if the new lead cannot be added the old one stays.
\set ON_ERROR_STOP on

CREATE TABLE shift (
    region text NOT NULL,
    lead_phone text NOT NULL,
    starts_at timestamptz NOT NULL,
    PRIMARY KEY (starts_at)
);
CREATE TABLE open_case (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_jid text NOT NULL CHECK (wawp_is_group_jid(group_jid)),
    lead_phone text                             -- who is in the group for us; NULL: nobody yet
);

-- Hand over all cases to the lead on duty.  A case that has the right lead, or is new to nobody, is left alone: to run it twice is
-- harmless, and both requests of a swap are in the transaction that changes the case.
CREATE FUNCTION hand_over() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    duty shift;
    c open_case;
    n int := 0;
BEGIN
    SELECT * INTO duty FROM shift WHERE starts_at <= now() ORDER BY starts_at DESC LIMIT 1;
    FOR c IN SELECT * FROM open_case WHERE lead_phone IS DISTINCT FROM duty.lead_phone ORDER BY id FOR UPDATE LOOP
        IF c.lead_phone IS NULL THEN
            PERFORM wawp_request_add(c.group_jid, ARRAY[duty.lead_phone], 'support', 'shift ' || duty.region, priority => 10);
        ELSE
            PERFORM wawp_request_swap(c.group_jid, c.lead_phone, duty.lead_phone, 'support', 'shift ' || duty.region, priority => 10);
        END IF;
        UPDATE open_case SET lead_phone = duty.lead_phone WHERE id = c.id;
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- Three shifts a day: at the change, and every ten minutes for cases that were opened since.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AS has_cron \gset
\if :has_cron
SELECT cron.schedule('hand over', '*/10 * * * *', 'SELECT hand_over()');
\endif

INSERT INTO open_case (group_jid) VALUES ('120363012345678901@g.us'), ('120363012345678906@g.us');
INSERT INTO shift VALUES ('Asia', '+1 555 123 7201', now() - interval '8 hours');
SELECT hand_over();

-- Eight hours later Europe is on duty.
INSERT INTO shift VALUES ('Europe', '+1 555 123 7202', now());
SELECT hand_over();

SELECT group_jid, jid, action, state, after, reason FROM wawp.membership_intent WHERE reason LIKE 'shift %' ORDER BY id;
