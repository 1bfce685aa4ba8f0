"""row_enqueue.py -- row 5: asking for many people by INSERT ... SELECT.

Against the same rows into a table of the same columns and indexes without the trigger; what the trigger
fills in is given there.  The instance is paused, so that nobody serves the queue meanwhile.  Commit
included; a checkpoint before each.
"""

from filling import enqueue_sql, people_sql
from report import Finding, median, spread
from servers import BenchError, unpaced

TITLE = "enqueue by INSERT ... SELECT"
TARGET = "<= 2 x"

PLAIN = (
    "INSERT INTO bench.plain (group_jid, jid, action, instance, priority, verify, invite, state, instance_id,"
    " requested_by, requested_from, origin, attempts, crashes, superseded, created_at, updated_at)"
    " SELECT group_jid, jid, 'add', 'unpaced', 0, false, false, 'queued', 'BENCH', current_user,"
    " '{{\"pid\": 12345, \"login\": \"nobody\", \"application\": \"psql\"}}', 'insert', 0, 0, false,"
    " now(), now() FROM ({source}) p")


def make_plain(session):
    """The queue's table again, without what makes it a queue."""
    session.ask("CREATE TABLE bench.plain (LIKE wawp.membership_intent INCLUDING ALL)")
    options = session.ask("SELECT array_to_string(reloptions, ', ') FROM pg_class"
                          " WHERE oid = 'wawp.membership_intent'::regclass")
    session.ask(f"ALTER TABLE bench.plain SET ({options})")
    indexes = session.ask("SELECT count(*) FILTER (WHERE indrelid = 'wawp.membership_intent'::regclass),"
                          " count(*) FILTER (WHERE indrelid = 'bench.plain'::regclass) FROM pg_index")
    if len(set(indexes.split("|"))) != 1:
        raise BenchError(f"the tables have not as many indexes as each other: {indexes}")


def time_insert(session, table, sql, count):
    session.ask(f"TRUNCATE {table}")
    session.ask("CHECKPOINT")
    took = session.timed(sql)
    if session.number(f"SELECT count(*) FROM {table} WHERE state = 'queued'") != count:
        raise BenchError(f"{table} did not get {count} rows")
    return took


def measure(bench):
    count, groups = bench.scaled(100000, 20000), 1000
    cluster = bench.cluster()
    session = cluster.database("enqueue", ("unpaced", unpaced(bench.nginx.base_url)))
    ours, theirs = [], []
    try:
        make_plain(session)
        session.ask("SELECT wawp_pause('unpaced')")
        for _ in range(bench.runs):
            source = people_sql(bench.new_people(count), count, groups)
            theirs.append(time_insert(session, "bench.plain", PLAIN.format(source=source), count))
            ours.append(time_insert(session, "wawp.membership_intent", enqueue_sql("unpaced", source), count))
            bench.say(f"plain {theirs[-1]:.2f} s, wawp {ours[-1]:.2f} s")
    finally:
        cluster.drop(session, "enqueue")
    ratio = median(ours) / median(theirs)
    return [Finding(5, f"enqueue {count:,} by INSERT ... SELECT", spread(ours) + " s",
                    f"same rows, plain table, same indexes: {spread(theirs)} s",
                    f"{ratio:.2f} x", TARGET, ratio <= 2)]
