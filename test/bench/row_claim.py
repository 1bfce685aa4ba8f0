"""row_claim.py -- row 2: what a claim costs while nearly all of a long queue has to wait.

Two databases of one cluster, each with a paced instance that holds 990 lanes and an unpaced one with 10.
In one 1,000,000 people are queued, in the other 10,000; all but a portion of 5,000 belong to the paced
instance.  The portion is drained, again and again, by turns in either database.

The cost is what pg_stat_statements counts for the statements that touch the queue, by request served:
claiming, looking for what is next, settling; not the audit, not HTTP.  The time that a whole drain takes
is shown as well.

Then a snapshot is opened beside the million and held.  Meanwhile 5,000 people are queued and drained
every 15 s (333 a second, twice what 1,000 accounts at 10 a minute send), so that dead rows pile up that
nobody may remove; at the end of the time, with the snapshot still open, the portions are measured.
"""

import time

from filling import drain, enqueue_sql, people_sql
from report import Finding, median, spread
from servers import unpaced

TITLE = "claim cost with 990 of 1,000 lanes throttled"
TARGET = "<= 1.2 x"
PORTION = 5000
FREE_LANES = 10
LANES = 1000
EVERY_S = 15

# Only the worker's statements; ours carry a comment, or are the INSERT.
COST = ("SELECT sum(total_exec_time + total_plan_time) * 1000 / {count} FROM pg_stat_statements"
        " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND query LIKE '%membership_intent%' AND query NOT LIKE '%/* bench */%'"
        " AND query NOT LIKE 'INSERT INTO wawp.membership_intent (group_jid%'")


class Queue:
    """A database with so many queued, and a portion to drain."""

    def __init__(self, bench, cluster, name, queued, portion):
        self.bench, self.name, self.portion = bench, name, portion
        url = bench.nginx.base_url
        self.session = cluster.database(
            name, ("unpaced", unpaced(url, instance_id=f"FREE{name}")),
            ("paced", {"instance_id": f"PACED{name}", "base_url": url, "adds_per_minute": 6}))
        self.session.ask("CREATE EXTENSION pg_stat_statements")
        self.session.ask("SELECT wawp_pause('unpaced')")
        throttled = queued - portion
        people = people_sql(bench.new_people(throttled), throttled, LANES - FREE_LANES, FREE_LANES)
        took = self.session.timed(enqueue_sql("paced", people))
        bench.say(f"{name}: {throttled:,} queued in {took:.0f} s")
        self.session.ask("VACUUM (ANALYZE) wawp.membership_intent")

    def fill(self):
        people = people_sql(self.bench.new_people(self.portion), self.portion, FREE_LANES)
        self.session.ask(enqueue_sql("unpaced", people))

    def serve(self):
        """(microseconds in queue statements, microseconds in all) by request."""
        self.session.ask("SELECT wawp_pause('unpaced')")
        self.fill()
        self.session.ask("CHECKPOINT")
        self.session.ask("SELECT pg_stat_statements_reset()")
        # the paced instance may send one or two meanwhile; they are in the count below
        took = drain(self.bench, self.session, "unpaced", self.portion, tolerance=30)
        cost = self.session.number(COST.format(count=self.portion))
        self.bench.say(f"{self.name}: {cost:.0f} us in queue statements, {took / self.portion * 1e6:.0f} us in all")
        return cost, took / self.portion * 1e6


def hold_snapshot(bench, cluster, queue):
    """Measures while an old snapshot is open, after the time it is to be held."""
    holder = cluster.session(queue.name)
    holder.ask("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.ask("SELECT count(*) FROM pg_class")
    end = time.monotonic() + bench.hold_minutes * 60
    before = len(bench.served)
    while time.monotonic() < end:
        next_at = time.monotonic() + EVERY_S
        bench.served.append(queue.serve())
        time.sleep(max(0, min(next_at, end) - time.monotonic()))
    portions = len(bench.served) - before
    last = [queue.serve() for _ in range(bench.runs)]
    holder.ask("COMMIT")
    return last, portions


def finding(bench, what, ours, few):
    cost = median([c for c, _ in ours]) / median([c for c, _ in few])
    whole = median([t for _, t in ours]) / median([t for _, t in few])
    return Finding(2, what, spread([c for c, _ in ours], "{:.0f}") + " us",
                   f"10,000 queued: {spread([c for c, _ in few], '{:.0f}')} us", f"{cost:.2f} x", TARGET, cost <= 1.2,
                   [f"The whole drain, by request: {spread([t for _, t in ours], '{:.0f}')} us against"
                    f" {spread([t for _, t in few], '{:.0f}')} us, {whole:.2f} x ({what})."])


def measure(bench):
    queued, portion = bench.scaled(1000000, 100000), bench.scaled(PORTION, 2000)
    cluster = bench.other_cluster("claims", preload=("wawp", "pg_stat_statements"),
                                  settings="pg_stat_statements.track = all\npg_stat_statements.track_planning = on")
    bench.served = []
    few = Queue(bench, cluster, "few", 10000, portion)
    many = Queue(bench, cluster, "many", queued, portion)
    for queue in (few, many):       # plans, contacts, caches
        queue.serve()
    cost_few, cost_many = [], []
    for _ in range(bench.runs):
        cost_few.append(few.serve())
        cost_many.append(many.serve())
    held, portions = hold_snapshot(bench, cluster, many)
    cluster.close()
    return [finding(bench, f"claim cost, {queued:,} queued, 990 of 1,000 lanes throttled", cost_many, cost_few),
            finding(bench, f"the same, an old snapshot held for {bench.hold_minutes:g} min"
                    f" and {portions * portion:,} drained meanwhile", held, cost_few)]
