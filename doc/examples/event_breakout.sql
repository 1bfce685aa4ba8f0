-- event_breakout.sql: guests scan the code on a table and are in that table's group a moment later.
--
-- The web page behind the code inserts a row, nothing else, so that a burst of scans is answered at once; wawp adds people at the
-- pace of the account.  A guest whom the account may not add is sent the group's link, once.  When the event ends (until)
-- whoever wawp added goes.  Scanning twice is harmless.
\set ON_ERROR_STOP on

-- A group of its own for each table of the room, made when the room is set up.
CREATE TABLE room_table (
    no int PRIMARY KEY,
    group_jid text NOT NULL CHECK (wawp_is_group_jid(group_jid))
);
INSERT INTO room_table SELECT no, wawp_create_group('Break-out ' || no, ARRAY['+1 555 000 0002'], 'support') FROM generate_series(1, 2) no;

CREATE TABLE scan (
    table_no int NOT NULL REFERENCES room_table,
    phone text NOT NULL,
    scanned_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL,
    group_jid text,
    PRIMARY KEY (table_no, phone)
);
CREATE FUNCTION scan_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT group_jid INTO NEW.group_jid FROM room_table WHERE no = NEW.table_no;
    RETURN NEW;
END $$;
CREATE TRIGGER scan_fill BEFORE INSERT ON scan FOR EACH ROW EXECUTE FUNCTION scan_fill();
CREATE TRIGGER scan_joins AFTER INSERT OR UPDATE OR DELETE ON scan FOR EACH ROW
    EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'until=ends_at', 'reason=scan at table {table_no}', 'instance=support');

-- Fifty guests in a moment, one of whom lets no stranger add her to groups, and one scans twice.
INSERT INTO scan (table_no, phone, ends_at) SELECT 1 + i % 2, '+1 555 124 ' || to_char(i, 'FM0000'), now() + interval '3 hours' FROM generate_series(1, 49) i;
INSERT INTO scan (table_no, phone, ends_at) VALUES (1, '+1 555 123 0403', now() + interval '3 hours') ON CONFLICT DO NOTHING;
INSERT INTO scan (table_no, phone, ends_at) VALUES (1, '+1 555 124 0002', now() + interval '3 hours') ON CONFLICT DO NOTHING;

-- What the screen in the room shows: how many wait for each table, and the earliest time at which they are in.  (wawp.funnel has who is in.)
SELECT q.group_jid, q.queued, q.eta FROM wawp.queue q JOIN room_table t USING (group_jid);

-- The event is over early: everybody goes now.
--   DELETE FROM scan;
