"""row_claim.py -- row 2: what a claim costs while nearly all of a long queue has to wait.

Two databases of one cluster, each with a paced instance that holds 990 lanes and an unpaced one with 10.
In one 1,000,000 people are queued, in the other 10,000; all but a portion of 5,000 belong to the paced
instance.  The portion is committed and drained, again and again, by turns in either database.

The cost is what pg_stat_statements counts for the worker's statements that touch the queue, by request
served: claiming, looking for what is next, settling; not the audit, not HTTP.  The time from the commit
until all is settled is in the notes, and so is what a look at everything costs, which the worker takes
once a minute, after wawp_resume() and after a commit into many lanes.

Then a snapshot is opened beside the million and held.  Meanwhile a portion is drained every 15 s (333
a second, twice what 1,000 accounts at 10 a minute send), so that dead rows pile up which nobody may
remove; at the end of the time, with the snapshot still open, portions are measured.
"""

import time

from filling import await_drained, enqueue_sql, people_sql
from report import Finding, median, spread
from servers import BenchError, unpaced, until

TITLE = "claim cost with 990 of 1,000 lanes throttled"
TARGET = "<= 1.2 x"
PORTION = 5000
FREE_LANES = 10
LANES = 1000
EVERY_S = 15

THIS_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
# Only the worker's statements; ours carry a comment, or are the INSERT, and come before the reset.
COUNTED = (f"FROM pg_stat_statements WHERE dbid = {THIS_DATABASE} AND query LIKE '%membership_intent%'"
           " AND query NOT LIKE '%/* bench */%' AND query NOT LIKE 'INSERT INTO wawp.membership_intent (group_jid%'")
TIME = "(total_exec_time + total_plan_time) * 1000"


class Queue:
    """A database with so many queued, and a portion to drain."""

    def __init__(self, bench, cluster, name, queued, portion):
        self.bench, self.cluster, self.name, self.portion = bench, cluster, name, portion
        self.paced = queued - portion
        url = bench.nginx.base_url
        self.session = cluster.database(
            name, ("unpaced", unpaced(url, instance_id=f"FREE{name}")),
            ("paced", {"instance_id": f"PACED{name}", "base_url": url, "adds_per_minute": 6}))
        self.session.ask("CREATE EXTENSION pg_stat_statements")
        people = people_sql(bench.new_people(self.paced), self.paced, LANES - FREE_LANES, FREE_LANES)
        took = self.session.timed(enqueue_sql("paced", people))
        bench.say(f"{name}: {self.paced:,} queued in {took:.0f} s")
        self.session.ask("VACUUM (ANALYZE) wawp.membership_intent")

    def reset(self):
        self.session.ask(f"SELECT pg_stat_statements_reset(0, {THIS_DATABASE}, 0)")

    def cost(self):
        """Milliseconds in queue statements since the reset."""
        return self.session.number(f"SELECT coalesce(sum({TIME}), 0) / 1000 {COUNTED}")

    def serve(self):
        """(microseconds in queue statements, microseconds in all) by request of a portion."""
        people = people_sql(self.bench.new_people(self.portion), self.portion, FREE_LANES)
        self.session.ask("CHECKPOINT")
        self.session.ask("BEGIN")
        # lane by lane: the worker is told of these ten and need not look at the others
        self.session.ask(enqueue_sql("unpaced", people + " ORDER BY 1"))
        self.reset()
        before = self.bench.nginx.status()
        begun = time.monotonic()
        self.session.ask("COMMIT")
        await_drained(self.bench, self.session, "unpaced", before, self.portion)
        took = time.monotonic() - begun
        if self.session.number("SELECT /* bench */ count(*) FROM wawp.membership_intent WHERE instance = 'paced'"
                               " AND state = 'queued'") < self.paced * 0.9:
            raise BenchError("the paced instance is not paced")
        cost = self.cost() / self.portion * 1000
        self.bench.say(f"{self.name}: {cost:.0f} us in queue statements, {took / self.portion * 1e6:.0f} us in all")
        return cost, took / self.portion * 1e6

    def look_at_all(self):
        """Milliseconds in queue statements for one look at all lanes."""
        self.reset()
        self.session.ask("SELECT wawp_resume('paced')")
        until(lambda: self.cost() > 0, 30, "the worker's look")
        before = -1.0
        while before != (before := self.cost()):
            time.sleep(0.5)
        return before

    def say_dearest(self):
        """Where the time of the last portion went: for whoever wants to make it less."""
        for line in self.session.ask(
                f"SELECT round(({TIME} / {self.portion})::numeric, 1), calls,"
                f" left(regexp_replace(query, '\\s+', ' ', 'g'), 80) {COUNTED} ORDER BY {TIME} DESC LIMIT 3"
        ).split("\n"):
            self.bench.say("    {} us a request, {} calls: {}".format(*line.split("|", 2)))


def measure_turns(bench, few, many):
    """Portions of either by turns; ([few], [many])."""
    costs = ([], [])
    for queue in (few, many):       # plans, contacts, caches
        queue.serve()
    for _ in range(bench.runs):
        for queue, found in zip((few, many), costs):
            found.append(queue.serve())
    for queue in (few, many):
        queue.say_dearest()
    return costs


def hold_snapshot(bench, queue):
    """Measures while an old snapshot is open, after the time it is to be held; and how many were drained."""
    holder = queue.cluster.session(queue.name)
    holder.ask("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.ask("SELECT count(*) FROM pg_class")
    end = time.monotonic() + bench.hold_minutes * 60
    portions = 0
    while time.monotonic() < end:
        next_at = time.monotonic() + EVERY_S
        queue.serve()
        portions += 1
        time.sleep(max(0, min(next_at, end) - time.monotonic()))
    found = [queue.serve() for _ in range(bench.runs)]
    queue.say_dearest()
    holder.ask("COMMIT")
    return found, portions * queue.portion


def finding(what, ours, few):
    cost = median([c for c, _ in ours]) / median([c for c, _ in few])
    whole = median([t for _, t in ours]) / median([t for _, t in few])
    return Finding(2, what, spread([c for c, _ in ours], "{:.0f}") + " us",
                   f"10,000 queued: {spread([c for c, _ in few], '{:.0f}')} us", f"{cost:.2f} x", TARGET, cost <= 1.2,
                   [f"By request, from the commit until all is settled: {spread([t for _, t in ours], '{:.0f}')} us"
                    f" against {spread([t for _, t in few], '{:.0f}')} us, {whole:.2f} x ({what})."])


def measure(bench):
    queued, portion = bench.scaled(1000000, 100000), bench.scaled(PORTION, 2000)
    cluster = bench.other_cluster("claims", preload=("wawp", "pg_stat_statements"),
                                  settings="pg_stat_statements.track = all\npg_stat_statements.track_planning = on")
    few = Queue(bench, cluster, "few", 10000, portion)
    many = Queue(bench, cluster, "many", queued, portion)
    cost_few, cost_many = measure_turns(bench, few, many)
    looks = [queue.look_at_all() for queue in (few, many)]
    held, drained = hold_snapshot(bench, many)
    cluster.close()
    findings = [finding(f"claim cost, {queued:,} queued, 990 of 1,000 lanes throttled", cost_many, cost_few),
                finding(f"the same, an old snapshot held for {bench.hold_minutes:g} min and {drained:,} drained"
                        " meanwhile", held, cost_few)]
    findings[0].notes.append(f"A look at all 1,000 lanes: {looks[1]:,.0f} ms in queue statements with {queued:,}"
                             f" queued, {looks[0]:,.0f} ms with 10,000.")
    return findings
