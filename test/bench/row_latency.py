"""row_latency.py -- row 6: from a commit to its request's first bytes at the server, the worker idle.

stopwatch.c commits one intent at a time and waits between, longer than one takes; arrivals.c notes when
each request's first bytes came.  Both read CLOCK_MONOTONIC.  The verdict is on the time from just before
COMMIT was sent, so that it contains the commit's own flush; the time from COMMIT's answer is in the
notes.  On its way each request waits for a second flush, that of its record "sent".
"""

import re

from filling import group_jid
from report import Finding, percentile
from row_session import run
from servers import Arrivals, BenchError, unpaced, until

TITLE = "commit to bytes at the server, idle worker"
TARGET = "p50 < 3 ms, p99 < 10 ms"
FEWEST_MS, MOST_MS = 30, 90

ASK = ("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify)"
       f" VALUES ('{group_jid(1)}', '1' || lpad(({{first}} + $1::bigint)::text, 10, '0') || '@c.us', 'unpaced', false)")


def arrival_times(arrivals):
    """Nanoseconds by the person's number."""
    times = {}
    for stamp, request in arrivals.additions():
        found = re.search(rb'"participants":\[\{"id":"1(\d+)@c\.us"', request)
        if not found or int(found.group(1)) in times:
            raise BenchError(f"a request that was not asked for: {request[-200:]}")
        times[int(found.group(1))] = stamp
    return times


def waits(lines, times, first):
    """Milliseconds from before, and from after, each COMMIT to its arrival."""
    before, after = [], []
    for i, (sent, answered) in enumerate(lines, start=1):
        arrived = times[first + i]
        before.append((arrived - sent) / 1e6)
        after.append((arrived - answered) / 1e6)
    return before, after


def commit_all(cluster, first, count):
    return run(["stopwatch", "commit", cluster.conninfo("latency"), count, FEWEST_MS, MOST_MS,
                ASK.format(first=first)])


def measure(bench):
    count = bench.scaled(1000, 150)
    cluster = bench.cluster()
    arrivals = Arrivals()
    try:
        session = cluster.database("latency", ("unpaced", unpaced(arrivals.base_url)))
        first = 2000000000 + bench.new_people(count + 20) + 20
        commit_all(cluster, first - 20, 20)             # plans are made, the connection is open
        until(lambda: len(arrivals.additions()) == 20, 30, "the first requests")
        lines = commit_all(cluster, first, count)
        until(lambda: len(arrivals.additions()) == count + 20, 30, "the last requests")
        before, after = waits(lines, arrival_times(arrivals), first)
        cluster.drop(session, "latency")
    finally:
        arrivals.close()
    p50, p99 = percentile(before, 0.5), percentile(before, 0.99)
    return [Finding(6, TITLE, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, {count:,} samples", "", "", TARGET,
                    p50 < 3 and p99 < 10,
                    [f"From COMMIT's answer instead: p50 {percentile(after, 0.5):.2f} ms, p99"
                     f" {percentile(after, 0.99):.2f} ms. The greatest from before COMMIT: {max(before):.2f} ms."])]
