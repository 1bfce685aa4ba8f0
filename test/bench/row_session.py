"""row_session.py -- row 3: a call in the session, one person, one transaction.

wawp: SELECT ... FROM wawp_add_participants(...), timed at the client.  Against libcurl_limit.c: one
request and one committed INSERT into a table like a partition of the audit log, its indexes included.
One client, one call after the other; the fewest conditions differ: same server, same bodies, same
connection kept, fsync on.
"""

import subprocess

from filling import people
from report import Finding, median, spread
from servers import PROGRAMS, BenchError, unpaced

TITLE = "session call with its durable record"
TARGET = "<= 1.6 x"
GROUPS = 100

CALL = ("SELECT outcome FROM wawp_add_participants('120363' || lpad(($1::bigint % 100)::text, 12, '0') || '@g.us',"
        " ARRAY['1' || lpad(({first}::bigint + $1)::text, 10, '0') || '@c.us'], 'unpaced', 'bench')")
RECORD = ("INSERT INTO bench.sent (id, at, kind, instance, instance_id, group_jid, contact_id, action, login_role,"
          " requested_by, application_name, origin, reason, request_id) VALUES ($1::bigint + {first},"
          " clock_timestamp(), 'sent', 'unpaced', 'BENCH', '120363000000000001@g.us', $1, 'add', current_user, current_user, 'bench',"
          " 'function', 'bench', gen_random_uuid())")


def make_record_table(session):
    session.ask("CREATE TABLE bench.sent (LIKE wawp.audit_log, PRIMARY KEY (id))")
    session.ask("CREATE INDEX ON bench.sent (intent_id, id)")
    session.ask("CREATE INDEX ON bench.sent (contact_id, at)")
    session.ask("CREATE INDEX ON bench.sent USING brin (at)")


def run(command, text=""):
    done = subprocess.run([str(PROGRAMS / command[0]), *map(str, command[1:])], input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise BenchError(done.stderr)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def records_of(session):
    return session.number("SELECT count(*) FROM wawp.audit_log WHERE kind = 'sent'")


def run_wawp(cluster, first, count):
    """Median microseconds of a call."""
    return median([line[0] for line in
                   run(["stopwatch", "statement", cluster.conninfo("session"), count,
                        CALL.format(first=2000000000 + first)])])


def run_libcurl(bench, cluster, first, count):
    """Median microseconds of a request and its INSERT, and of the request."""
    lines = run(["libcurl_limit", "post", bench.nginx.base_url, cluster.conninfo("session"),
                 RECORD.format(first=first)],
                "".join(f"{group} {jid}\n" for group, jid in people(first, count, GROUPS)))
    return median([sum(line) for line in lines]), median([line[0] for line in lines])


def measure(bench):
    count = bench.scaled(2000, 300)
    cluster = bench.cluster()
    session = cluster.database("session", ("unpaced", unpaced(bench.nginx.base_url)))
    ours, theirs, requests = [], [], []
    try:
        make_record_table(session)
        for _ in range(bench.runs):
            both, request = run_libcurl(bench, cluster, bench.new_people(count), count)
            theirs.append(both)
            requests.append(request)
            served = bench.nginx.status()
            ours.append(run_wawp(cluster, bench.new_people(count), count))
            if bench.nginx.status() - served != count:
                raise BenchError("not every call became a request")
            bench.say(f"request + INSERT {both:.0f} us, wawp {ours[-1]:.0f} us")
        records = records_of(session)
    finally:
        cluster.drop(session, "session")
    return [conclude(ours, theirs, requests, records, bench.runs * count)]


def conclude(ours, theirs, requests, records, calls):
    ratio = median(ours) / median(theirs)
    is_recorded = records == calls
    notes = [f"The request alone is {spread(requests, '{:.0f}')} us of it."]
    if not is_recorded:
        notes.append(f"{calls:,} calls left {records:,.0f} records: the ratio is not that of recorded calls.")
    return Finding(3, "session call, one person, with its durable record", spread(ours, "{:.0f}") + " us",
                   f"libcurl request + committed INSERT: {spread(theirs, '{:.0f}')} us", f"{ratio:.2f} x",
                   TARGET, is_recorded and ratio <= 1.6, notes)
