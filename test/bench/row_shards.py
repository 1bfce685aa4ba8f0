"""row_shards.py -- row 12: the same queue on one shard and on two, on this machine.

Row 1's intents, queued while the instances are paused: all in one cluster, or half of them in each of two clusters, that
are resumed together; the time is from then until the last one is settled.  CPU is that of the workers, by request.  One
and two take turns, so that what else the machine does meets both.  All share the machine's cores with nginx: this shows
what a second shard costs, and what it brings as far as cores are left; each on a machine of its own has the whole of it.
"""

import time

from filling import enqueue_sql, is_drained_sql, people_sql
from report import Finding, median, spread, spread_rate
from row_drain import check_outcome, cpu_seconds
from servers import unpaced, until

TITLE = "one and two shards on one machine"
TARGET = ">= 1 x the requests, <= 1.2 x the CPU"


class Shard:
    """A cluster with a database that has the instance."""

    def __init__(self, cluster, base_url):
        self.cluster = cluster
        self.session = cluster.database("shard", ("unpaced", unpaced(base_url)))
        self.pid = cluster.worker_pid(self.session)

    def fill(self, first, count, groups):
        self.session.ask("SELECT wawp_pause('unpaced')")
        self.session.ask("TRUNCATE wawp.membership_intent")
        self.session.ask(enqueue_sql("unpaced", people_sql(first, count, groups)))
        self.session.ask("CHECKPOINT")

    def resume(self):
        self.session.ask("SELECT wawp_resume('unpaced')")

    def is_drained(self):
        return self.session.ask(is_drained_sql("unpaced")) == "t"

    def drop(self):
        self.cluster.drop(self.session, "shard")


def drain(bench, shards, count, groups):
    """(seconds, the workers' CPU seconds) until so many intents are settled, an equal part of them on each shard."""
    part = count // len(shards)
    for shard in shards:
        shard.fill(bench.new_people(part), part, groups // len(shards))
    before = bench.nginx.status()
    cpu = sum(cpu_seconds(shard.pid) for shard in shards)
    start = time.monotonic()
    for shard in shards:
        shard.resume()
    until(lambda: bench.nginx.status() - before >= count, 600, f"{count} requests")
    until(lambda: all(shard.is_drained() for shard in shards), 60, "settling the last requests", interval=0.005)
    took = time.monotonic() - start
    cpu = sum(cpu_seconds(shard.pid) for shard in shards) - cpu
    for shard in shards:
        check_outcome(shard.session, part)
    return took, cpu


def measure(bench):
    count, groups = bench.scaled(20000, 4000), bench.scaled(1000, 200)
    shards = [Shard(cluster, bench.nginx.base_url) for cluster in (bench.cluster(), bench.other_cluster("second"))]
    one, two = [], []
    try:
        for _ in range(bench.runs):
            one.append(drain(bench, shards[:1], count, groups))
            two.append(drain(bench, shards, count, groups))
            bench.say(f"one shard {count / one[-1][0]:,.0f}/s, two shards {count / two[-1][0]:,.0f}/s")
    finally:
        for shard in shards:
            shard.drop()
    rates = [[seconds for seconds, _ in side] for side in (one, two)]
    cpus = [[seconds / count * 1e6 for _, seconds in side] for side in (one, two)]
    faster = median(rates[0]) / median(rates[1])
    dearer = median(cpus[1]) / median(cpus[0])
    what = f"{count:,} intents in {groups:,} groups, 64 in flight a shard: two shards"
    return [Finding(12, f"{what}, requests a second", spread_rate(count, rates[1]), f"one shard: {spread_rate(count, rates[0])}",
                    f"{faster:.2f} x", ">= 1 x", faster >= 1),
            Finding(12, f"{what}, the workers' CPU a request", spread(cpus[1], "{:.0f} us"),
                    f"one shard: {spread(cpus[0], '{:.0f} us')}", f"{dearer:.2f} x", "<= 1.2 x", dearer <= 1.2)]
