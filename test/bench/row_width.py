"""row_width.py -- row 10: what many lanes cost that have to wait, and what each of them takes in memory.

Unpaced, one request at a time: the worker's CPU a request while 10,000 groups have people queued, beside that while 100 have.  Lists are requests, too.
Paced, 120 a minute: the worker's CPU an addition with 50,000 groups, beside that with 1,000 and with 10; each number of lanes in a
database of its own, all for the same minute, so that what else the machine does meets all.  In 10 groups each list is before one
addition what the last look found, so that an addition takes a request less than in 1,000, whatever their number.  The first seconds after
queueing are left out: each lane is looked at once when it is new.  A minute has one look at some of the lanes.

A lane at rest: what the worker has allocated itself (anonymous pages) with the 50,000 lanes, less what it has with the 10.
"""

import time

from filling import enqueue_sql, people_sql
from report import Finding, median, spread
from row_memory import memory_kb
from servers import BenchError, unpaced, until

TITLE = "width: lanes that wait"
TARGET = "<= 1.2 x"
MOST_RATIO = 1.2
MOST_BYTES = 1024           # a lane at rest
PER_MINUTE = 120
SETTLE_S = 10
UNPACED_LANES = (100, 10000)
PACED_LANES = (10, 1000, 50000)


def cpu_seconds(pid):
    """What the process was on a processor, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0]) / 1e9


class Width:
    """A database whose only instance has people queued in so many groups."""

    def __init__(self, bench, cluster, lanes, people, options):
        self.cluster, self.name, self.lanes = cluster, f"lanes{lanes}", lanes
        self.session = cluster.database(self.name, ("wide", {**options, "instance_id": f"WIDE{lanes}"}))
        self.session.ask("SELECT wawp_pause('wide')")
        self.session.ask(enqueue_sql("wide", people_sql(bench.new_people(people), people, lanes)))
        self.session.ask("VACUUM (ANALYZE) wawp.membership_intent")
        self.pid = cluster.worker_pid(self.session)

    def resume(self):
        self.session.ask("SELECT wawp_resume('wide')")

    def pause(self):
        self.session.ask("SELECT wawp_pause('wide')")

    def mark(self):
        """CPU seconds so far, and additions."""
        return cpu_seconds(self.pid), int(self.session.ask("SELECT max(id) FROM wawp.audit_log WHERE kind = 'sent'") or 0)

    def sent_since(self, number):
        return int(self.session.ask(f"SELECT count(*) FROM wawp.audit_log WHERE kind = 'sent' AND id > {number}"))

    def cost(self, mark):
        """Milliseconds of CPU an addition since the mark."""
        cpu = cpu_seconds(self.pid) - mark[0]
        sent = self.sent_since(mark[1])
        if sent == 0:
            raise BenchError(f"nobody was added with {self.lanes:,} lanes")
        return 1000 * cpu / sent

    def own_kb(self):
        return memory_kb(self.pid)[0]

    def drop(self):
        self.cluster.drop(self.session, self.name)


def finding(what, form, few, many):
    """few, many: costs with few lanes, with many."""
    ratio = median(many) / median(few)
    return Finding(10, what, spread(many, form), spread(few, form), f"{ratio:.2f} x", TARGET, ratio <= MOST_RATIO)


def measure_unpaced(bench, cluster):
    seconds = bench.scaled(10, 4)
    options = {**unpaced(bench.nginx.base_url), "concurrency": 1}
    widths = [Width(bench, cluster, lanes, bench.scaled(200000, 40000), options) for lanes in UNPACED_LANES]
    costs = [[], []]
    try:
        for width in widths:        # each lane's first turn
            width.resume()
            time.sleep(SETTLE_S)
            width.pause()
        for _ in range(bench.runs):
            for width, found in zip(widths, costs):
                width.resume()
                time.sleep(1)
                before, cpu = bench.nginx.status(), cpu_seconds(width.pid)
                time.sleep(seconds)
                found.append(1000 * (cpu_seconds(width.pid) - cpu) / (bench.nginx.status() - before))
                width.pause()
    finally:
        for width in widths:
            width.drop()
    return finding("CPU a request, one at a time, 10,000 lanes against 100", "{:.3f} ms", *costs)


def measure_paced(bench, cluster):
    options = {"base_url": bench.nginx.base_url, "adds_per_minute": PER_MINUTE, "reads_per_minute": 0, "pace_jitter": 0}
    minutes = bench.scaled(bench.runs, 1)
    widths = [Width(bench, cluster, lanes, PACED_LANES[-1], options) for lanes in PACED_LANES]
    few, many = widths[0], widths[-1]
    costs = [[] for _ in widths]
    try:
        for width in widths:
            width.resume()
        until(lambda: all(width.sent_since(0) > 0 for width in widths), 120, "the first addition")
        time.sleep(SETTLE_S)
        for _ in range(minutes):
            marks = [width.mark() for width in widths]
            time.sleep(60)
            for width, mark, found in zip(widths, marks, costs):
                found.append(width.cost(mark))
        bytes_each = (many.own_kb() - few.own_kb()) * 1024 / (many.lanes - few.lanes)
    finally:
        for width in widths:
            width.drop()
    return [finding(f"CPU an addition, {PER_MINUTE} a minute, {many.lanes:,} lanes against {width.lanes:,}", "{:.2f} ms",
                    cost, costs[-1]) for width, cost in zip(widths[:-1], costs)] + [
            Finding(10, "memory of a lane at rest", f"{bytes_each:.0f} bytes", "", "", "<= 1 kB", bytes_each <= MOST_BYTES)]


def measure(bench):
    cluster = bench.cluster()
    return [measure_unpaced(bench, cluster)] + measure_paced(bench, cluster)
