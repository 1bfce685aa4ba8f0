"""row_growth.py -- row 14: what grows, and what it costs then: an audit log of ten million records, a queue of a million.

The log: records of the month until an hour ago, a `sent` and an `answered` of each request, and a thousand of the last hour, written
by INSERT as a superuser into the worker's own partition with its indexes in place; not sealed, as those of 0.1 are not.  Then the server
is restarted: the first call of a session until it is answered, from the moment the server takes connections; and the memory that the
worker has allocated itself by then.  Looks at the log are made in another group, batch, request each time.

The queue: people of a plain role, which sees its own rows by row security, in 1,000 groups and in batches of 1,000, and one batch
of a tenth of all; the instance is paused.  Looks are made by the owner and by the role.  A monitoring role's whole wawp.queue is
looked at when a part is queued.

Times of looks are the server's, planning included (EXPLAIN ANALYZE without the clock of each node), without what psql makes of the rows.
"""

import json
import time

from filling import people_sql
from report import Finding, median, spread
from row_memory import memory_kb
from servers import BenchError, until

TITLE = "growth: a long log, a long queue"
TARGET = "first call <= 2 s, <= 32 MB; log <= 20 ms, queue <= 10 ms"
MOST_FIRST_CALL_S, MOST_MEMORY_MB = 2, 32
MOST_LOG_MS, MOST_QUEUE_MS, MOST_WHOLE_MS = 20, 10, 1000
GROUPS = 1000
BATCH = 1000
LAST_HOUR = 1000
LOOKS = 20
SETTINGS = "wawp.max_queued_per_role = 100000000\n"

# A request has two records, one after the other: of the i-th record it is i / 2.
RECORDS = """
INSERT INTO wawp.audit_log (id, at, kind, instance, instance_id, group_jid, contact_id, intent_id, batch_id, attempt, action, outcome,
    http_status, login_role, requested_by, application_name, origin, reason, request_id, duration_ms)
SELECT l.last + i + 1, l.since + (l.until - l.since) * (i / {count}::float8), CASE i % 2 WHEN 0 THEN 'sent' ELSE 'answered' END::wawp.audit_kind,
    'paced', 'PACED', '120363' || lpad((i / 2 % {groups})::text, 12, '0') || '@g.us', i / 2 % {people} + 1, i / 2 + 1,
    'past ' || i / 2 / {batch}, 1, 'add', CASE i % 2 WHEN 1 THEN 'added' END::wawp.outcome, CASE i % 2 WHEN 1 THEN 200 END,
    'bench', 'bench', 'bench', 'function', 'Growth', pg_catalog.md5((i / 2)::text || 'past')::uuid, CASE i % 2 WHEN 1 THEN 300 END
FROM (SELECT (SELECT max(id) FROM wawp.audit_log) AS last, {since} AS since, {until} AS until) l, generate_series(0::bigint, {count} - 1) i
"""
MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
HOUR_AGO = "now() - interval '1 hour'"


class Log:
    """A database whose log has so many records."""

    def __init__(self, bench, cluster, count):
        self.bench, self.cluster, self.count = bench, cluster, count
        self.groups, self.people = count // bench.scaled(1000, 100), count // 100
        self.calls = 0
        self.call()
        self.restart()      # the worker that has recorded something goes on from there, whatever is written beside it
        self.write()

    @property
    def session(self):
        return self.cluster.sessions[-1]

    def call(self):
        """A session's call for a person of its own, made again as long as the pace is not known yet."""
        self.calls += 1
        sql = ("SELECT outcome FROM wawp_add_participants('120363000000000001@g.us',"
               f" ARRAY['1777{self.calls:07d}@c.us'], 'calls')")
        outcome = until(lambda: (self.session.ask(sql) or "none").replace("throttled", ""), 300, "a session's call")
        if outcome != "accepted":
            raise BenchError(f"a session's call was answered with {outcome}")

    def restart(self):
        """Restarts the server; when it took connections."""
        for session in self.cluster.sessions:
            session.close()
        self.cluster.sessions.clear()
        self.cluster.stop()
        self.cluster.start()
        began = time.monotonic()
        self.cluster.session("growth")
        return began

    def write(self):
        if self.session.ask(f"SELECT {HOUR_AGO} > {MONTH}") != "t":
            raise BenchError("the month has just begun, it has no past")
        self.session.ask("INSERT INTO wawp.contact (jid) SELECT '1778' || lpad(i::text, 7, '0') || '@c.us'"
                         f" FROM generate_series(1, {self.people}) i")
        names = {"groups": self.groups, "people": self.people, "batch": BATCH}
        took = self.session.timed(RECORDS.format(count=self.count - LAST_HOUR, since=MONTH, until=HOUR_AGO, **names))
        self.session.ask(RECORDS.format(count=LAST_HOUR, since=HOUR_AGO, until="now()", **names))
        self.session.ask("ANALYZE wawp.audit_log, wawp.contact")
        self.session.ask("CHECKPOINT")
        self.bench.say(f"{self.count:,} records written in {took:.0f} s")

    def first_call(self):
        """(seconds until the first call after a restart is answered, kB of the worker then)."""
        began = self.restart()
        self.call()
        took = time.monotonic() - began
        return took, memory_kb(self.cluster.worker_pid(self.session))[0]

    def looks(self):
        """Milliseconds of looks at the log, by what is looked for."""
        requests = [self.session.ask(f"SELECT pg_catalog.md5({(self.count // 2 - LAST_HOUR) * n // LOOKS} || 'past')::uuid") for n in range(LOOKS)]
        conditions = {
            "a group": [f"group_jid = '120363{self.groups * n // LOOKS:012d}@g.us'" for n in range(LOOKS)],
            "a batch": [f"batch_id = 'past {self.count // 2 // BATCH * n // LOOKS}'" for n in range(LOOKS)],
            "a request": [f"request_id = '{request}'" for request in requests],
            "the last hour": ["at > now() - interval '1 hour'"] * LOOKS,
        }
        return {name: [look(self.session, f"SELECT * FROM wawp.audit WHERE {condition}") for condition in found]
                for name, found in conditions.items()}


def look(session, query):
    """Milliseconds of the server for a query."""
    plan = json.loads(session.ask(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}"))[0]
    return plan["Planning Time"] + plan["Execution Time"]


def first_calls(bench, log):
    found = [log.first_call() for _ in range(bench.runs)]
    seconds, megabytes = [f[0] for f in found], [f[1] / 1024 for f in found]
    today = log.session.ask("SELECT count(*) FROM wawp.audit_log WHERE at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
    return [Finding(14, f"first call after a restart, {log.count:,} records in the month", spread(seconds) + " s", "", "", "<= 2 s",
                    median(seconds) <= MOST_FIRST_CALL_S, [f"{int(today):,} of the records are of today (UTC), which a start counts."]),
            Finding(14, "memory of the worker then", spread(megabytes, "{:.1f}") + " MB", "", "", "<= 32 MB", max(megabytes) <= MOST_MEMORY_MB)]


def log_looks(log):
    return [Finding(14, f"wawp.audit of {log.count:,} records, {name}", spread(took) + " ms", "", "", "<= 20 ms", median(took) <= MOST_LOG_MS)
            for name, took in log.looks().items()]


class Queue:
    """A paused instance for which a plain role has people queued."""

    def __init__(self, bench, session, cluster):
        self.bench, self.owner, self.queued = bench, session, 0
        session.ask("CREATE ROLE ann LOGIN")
        session.ask("GRANT USAGE ON FOREIGN SERVER paced TO ann")
        session.ask("CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        session.ask("SELECT wawp_pause('paced')")
        self.plain, self.watcher = (cluster.session("growth") for _ in range(2))
        self.plain.ask("SET ROLE ann")
        self.watcher.ask("SET ROLE watcher")

    def fill(self, count, batch):
        """Queues so many; batch: an expression of i."""
        source = people_sql(self.bench.new_people(count), count, GROUPS).replace(" AS jid", f" AS jid, {batch} AS batch_id")
        took = self.plain.timed("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id)"
                                f" SELECT group_jid, jid, 'paced', batch_id FROM ({source}) p")
        self.queued += count
        self.owner.ask("VACUUM (ANALYZE) wawp.membership_intent")
        self.bench.say(f"{count:,} queued in {took:.0f} s")

    def looks(self):
        last = self.owner.ask("SELECT max(id) FROM wawp.membership_intent WHERE state = 'queued'")
        queries = {
            "wawp_explain": [f"SELECT wawp_explain({last})"] * LOOKS,
            "one group of wawp.queue": [f"SELECT * FROM wawp.queue WHERE instance = 'paced' AND group_jid = '120363{n:012d}@g.us'" for n in range(LOOKS)],
            "one batch of wawp.progress": [f"SELECT * FROM wawp.progress WHERE batch_id = 'small {n}'" for n in range(LOOKS)],
            "one batch of wawp.funnel": [f"SELECT * FROM wawp.funnel WHERE batch_id = 'small {n}'" for n in range(LOOKS)],
            "a tenth of all in one batch of wawp.progress": ["SELECT * FROM wawp.progress WHERE batch_id = 'large'"] * LOOKS,
            "a tenth of all in one batch of wawp.funnel": ["SELECT * FROM wawp.funnel WHERE batch_id = 'large'"] * LOOKS,
        }
        return [self.finding(f"{name}, {who}", [look(session, query) for query in asked])
                for name, asked in queries.items() for who, session in (("the owner", self.owner), ("a plain role", self.plain))]

    def finding(self, what, took):
        return Finding(14, f"{what}, {self.queued:,} queued", spread(took) + " ms", "", "", "<= 10 ms", median(took) <= MOST_QUEUE_MS)

    def whole(self):
        took = [look(self.watcher, "SELECT * FROM wawp.queue") for _ in range(self.bench.runs)]
        return Finding(14, f"the whole wawp.queue of a monitoring role, {self.queued:,} queued", spread(took, "{:.0f}") + " ms", "", "",
                       "<= 1 s", median(took) <= MOST_WHOLE_MS)

    def stuck(self):
        rows = [int(session.ask("SELECT count(*) FROM wawp.stuck")) for session in (self.owner, self.plain, self.watcher)]
        took = [look(self.plain, "SELECT * FROM wawp.stuck") for _ in range(self.bench.runs)]
        return Finding(14, f"wawp.stuck, {self.queued:,} held", f"{max(rows):,} rows", f"{GROUPS:,} groups", "", "a row a group",
                       rows == [GROUPS] * 3, [f"wawp.stuck took a plain role {spread(took, '{:.0f}')} ms."])


def queue_looks(bench, log):
    queue = Queue(bench, log.session, log.cluster)
    count = bench.scaled(1000000, 100000)
    queue.fill(count * 3 // 10, f"'small ' || i / {BATCH}")
    findings = [queue.whole()]
    queue.fill(count * 6 // 10, f"'more ' || i / {BATCH}")
    queue.fill(count // 10, "'large'")
    return findings + queue.looks() + [queue.stuck()]


def measure(bench):
    cluster = bench.other_cluster("growth", settings=SETTINGS)
    options = {"base_url": bench.nginx.base_url, "adds_per_minute": 60, "adds_burst": 20}
    cluster.database("growth", ("calls", {**options, "instance_id": "CALLS"}), ("paced", {**options, "instance_id": "PACED"}))
    try:
        log = Log(bench, cluster, bench.scaled(10000000, 200000))
        findings = first_calls(bench, log) + log_looks(log)
        until(lambda: cluster.worker_pid(log.session), 30, "the worker's start")
        return findings + queue_looks(bench, log)
    finally:
        cluster.close()
