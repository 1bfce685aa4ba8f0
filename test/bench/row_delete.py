"""row_delete.py -- row 9: deleting rows of a table with wawp_membership_trigger().

DELETE of 100 of 100,000 rows in 1,000 groups, with an index on the group's column, commit included.  Each deleted
row is in another group, or all are in one.  Against the same rows in a table that another one of 100,000 rows
references, with an index on the reference: NO ACTION, where PostgreSQL looks for another row as the trigger does;
SET NULL, where it writes a row as well, to a table with the queue's columns and indexes; CASCADE, where it deletes one
of a small table, which has no indexes to be written.  The trigger's rows are wanted by another row (it looks and
requests nothing), or by none (it looks and requests).  The same requests by wawp_request_remove() in the foreign
key's transaction are set beside it, too.  One session, where each table had a row deleted before.  The instance is
paused, so that nobody serves the queue meanwhile.
"""

from filling import group_jid
from report import Finding, median, spread
from servers import BenchError, unpaced

TITLE = "DELETE with the membership trigger"
TARGET = "<= 2 x"
ROWS, GROUPS, DELETED = 100000, 1000, 100

TRIGGER = ("CREATE TRIGGER member AFTER INSERT OR UPDATE OR DELETE ON bench.{table} FOR EACH ROW EXECUTE FUNCTION"
           " wawp_membership_trigger('group=group_jid', 'jid=phone', 'instance=unpaced')")
PEOPLE = (f"SELECT i + {{first}} AS id, '120363' || lpad((i % {GROUPS})::text, 12, '0') || '@g.us' AS group_jid,"
          f" '1' || 2000000000 + i AS phone FROM generate_series(0, {{last}}) i")


def make_table(session, name, triggered=False, twins=None):
    """A table of people in groups; those of the condition `twins` in two rows."""
    session.ask(f"CREATE TABLE bench.{name} (id int PRIMARY KEY, group_jid text, phone text)")
    session.ask(f"INSERT INTO bench.{name} {PEOPLE.format(first=0, last=ROWS - 1)}")
    if twins:
        session.ask(f"INSERT INTO bench.{name} {PEOPLE.format(first=ROWS, last=ROWS - 1)} WHERE {twins}")
    session.ask(f"CREATE INDEX ON bench.{name} (group_jid)")
    if triggered:
        session.ask(TRIGGER.format(table=name))
    session.ask(f"VACUUM ANALYZE bench.{name}")


def make_reference(session, name, action):
    make_table(session, name)
    session.ask(f"CREATE TABLE bench.of_{name} (id int PRIMARY KEY, row int REFERENCES bench.{name} {action}, note text)")
    # nobody references the rows that go where that would be refused
    session.ask(f"INSERT INTO bench.of_{name} SELECT i, CASE WHEN '{action}' <> '' THEN i END, 'note'"
                f" FROM generate_series(0, {ROWS - 1}) i")
    session.ask(f"CREATE INDEX ON bench.of_{name} (row)")
    session.ask(f"VACUUM ANALYZE bench.of_{name}")


def make_writing(session, name):
    """A table that rows like the queue's reference; deleting one of it writes one of them."""
    make_table(session, name)
    session.ask(f"CREATE TABLE bench.of_{name} (LIKE wawp.membership_intent INCLUDING ALL, row int)")
    session.ask(f"INSERT INTO bench.of_{name} (group_jid, jid, action, instance, priority, verify, invite, state, instance_id,"
                " requested_by, requested_from, origin, attempts, crashes, superseded, created_at, updated_at, home, requester, row)"
                " SELECT group_jid, phone || '@c.us', 'remove', 'unpaced', 0, true, true, 'queued', 'BENCH', current_user,"
                " '{\"pid\": 12345, \"login\": \"nobody\", \"application\": \"psql\"}', 'trigger bench.removed', 0, 0, false,"
                f" now(), now(), gen_random_uuid(), 10, id FROM bench.{name}")
    session.ask(f"CREATE INDEX ON bench.of_{name} (row)")
    session.ask(f"ALTER TABLE bench.of_{name} ADD FOREIGN KEY (row) REFERENCES bench.{name} ON DELETE SET NULL")
    session.ask(f"VACUUM ANALYZE bench.of_{name}")


def ids(run, is_spread):
    """The rows of a run, which no other run has: as a condition."""
    if is_spread:
        return f"id BETWEEN {run * DELETED} AND {(run + 1) * DELETED - 1}"
    # a group has as many rows as are deleted
    return f"group_jid = '{group_jid(GROUPS - 1 - run)}' AND id < {ROWS}"


def requests(run, is_spread):
    """The requests of a run by function, a statement a group, as an application would make them."""
    return (f"SELECT count(*) FROM (SELECT group_jid, array_agg(phone) AS phones FROM bench.plain WHERE {ids(run, is_spread)}"
            " GROUP BY 1) g, wawp_request_remove(g.group_jid, g.phones, 'unpaced') r")


def time_delete(session, table, condition, more=None):
    session.ask(f"DELETE FROM bench.{table} WHERE id = {ROWS // 2} + (SELECT count(*) FROM bench.warmed);"
                " INSERT INTO bench.warmed VALUES (1)")
    delete = f"DELETE FROM bench.{table} WHERE {condition}"
    before = session.number(f"SELECT count(*) FROM bench.{table}")
    took = session.timed(f"BEGIN; {delete}; {more}; COMMIT" if more else delete)
    if before - session.number(f"SELECT count(*) FROM bench.{table}") != DELETED:
        raise BenchError(f"{table} did not lose {DELETED} rows")
    return took * 1000


def measure_runs(bench, session, is_spread, first):
    """Milliseconds of each kind of table."""
    took = {"wanted": [], "removed": [], "no_action": [], "writing": [], "cascading": [], "asking": []}
    for run in range(first, first + bench.runs):
        for table, times in took.items():
            more = requests(run, is_spread) if table == "asking" else None
            times.append(time_delete(session, table, ids(run, is_spread), more))
        bench.say("; ".join(f"{table} {times[-1]:.1f} ms" for table, times in took.items()))
    return took


def finding(what, ours, theirs, against, has_target):
    ratio = median(ours) / median(theirs)
    return Finding(9, what, spread(ours) + " ms", f"{against}: {spread(theirs)} ms", f"{ratio:.1f} x",
                   TARGET if has_target else "-", ratio <= 2 if has_target else None)


def findings_of(took, where):
    what = f"DELETE {DELETED} of {ROWS:,} rows {where}"
    return [
        finding(f"{what}, all wanted by another row", took["wanted"], took["no_action"], "foreign key, NO ACTION", True),
        finding(f"{what}, each requested", took["removed"], took["writing"],
                "foreign key, SET NULL in a table with the queue's indexes", True),
        finding(f"{what}, each requested", took["removed"], took["asking"],
                "foreign key, NO ACTION, and wawp_request_remove()", True),
        finding(f"{what}, each requested", took["removed"], took["no_action"], "foreign key, NO ACTION", True),
        finding(f"{what}, each requested", took["removed"], took["cascading"], "foreign key, CASCADE", True)]


def measure(bench):
    cluster = bench.cluster()
    session = cluster.database("deleting", ("unpaced", unpaced(bench.nginx.base_url)))
    try:
        session.ask("SELECT wawp_pause('unpaced')")
        session.ask("CREATE TABLE bench.warmed (n int)")
        make_table(session, "plain")
        make_table(session, "removed", triggered=True)
        make_table(session, "wanted", triggered=True,
                   twins=f"i < {bench.runs * DELETED} OR i % {GROUPS} >= {GROUPS - bench.runs}")
        make_reference(session, "no_action", "")
        make_reference(session, "asking", "")
        make_reference(session, "cascading", "ON DELETE CASCADE")
        make_writing(session, "writing")
        spread_out = measure_runs(bench, session, True, 0)
        together = measure_runs(bench, session, False, 0)
    finally:
        cluster.drop(session, "deleting")
    return findings_of(spread_out, "of as many groups") + findings_of(together, "of one group")
