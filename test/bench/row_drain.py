"""row_drain.py -- row 1: an unpaced drain, against libcurl alone and against pg_net.

wawp: intents are queued while the instance is paused; the time is from wawp_resume() until the last
one is settled.  Each has its record "sent" committed before its request leaves and "answered" after.
libcurl: libcurl_limit.c, from the first request to the last answer.
pg_net: requests are queued in one transaction; from its commit until the last response is there.
"""

import os
import resource

import pgnet
from filling import drain, enqueue_sql, people, people_sql, run_multi
from report import Finding, median, spread_rate
from servers import Arrivals, BenchError, Cluster, unpaced, until

TITLE = "unpaced drain, 64 in flight, one person per request"
TARGET = ">= 25 % of libcurl, >= 10 x pg_net"


def check_same_request(session):
    """Are libcurl_limit's requests the extension's?  Else the comparison means nothing."""
    arrivals = Arrivals()
    try:
        session.ask(f"ALTER SERVER unpaced OPTIONS (SET base_url '{arrivals.base_url}')")
        session.ask(enqueue_sql("unpaced", people_sql(0, 1, 1)))
        until(lambda: len(arrivals.additions()) == 1, 30, "the extension's request")
        run_multi(arrivals.base_url, people(0, 1, 1))
        until(lambda: len(arrivals.additions()) == 2, 30, "libcurl's request")
        first, second = (sorted(line for line in request.split(b"\r\n") if not line.startswith(b"User-Agent:"))
                         for _, request in arrivals.additions())
        if first != second:
            raise BenchError(f"libcurl_limit sends {second}, the extension {first}")
    finally:
        arrivals.close()


def check_outcome(session, count):
    found = session.ask("SELECT count(*), count(*) FILTER (WHERE state = 'done' AND outcome = 'accepted'"
                        " AND attempts = 1) FROM wawp.membership_intent")
    if found != f"{count}|{count}":
        raise BenchError(f"of {count} intents are there and done at the first attempt: {found}")


def cpu_seconds(pid):
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        words = stat.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def run_wawp(bench, session, first, count, groups):
    """(seconds, the worker's CPU seconds)."""
    session.ask("SELECT wawp_pause('unpaced')")
    session.ask("TRUNCATE wawp.membership_intent")
    session.ask(enqueue_sql("unpaced", people_sql(first, count, groups)))
    session.ask("CHECKPOINT")
    pid = Cluster.worker_pid(session)
    cpu = cpu_seconds(pid)
    took = drain(bench, session, "unpaced", count)
    cpu = cpu_seconds(pid) - cpu
    check_outcome(session, count)
    return took, cpu


def run_libcurl(bench, first, count, groups):
    """(seconds, CPU seconds)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = run_multi(bench.nginx.base_url, people(first, count, groups))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def against_libcurl(bench, count, groups):
    cluster = bench.cluster()
    session = cluster.database("drain", ("unpaced", unpaced(bench.nginx.base_url)))
    ours, theirs = [], []
    try:
        check_same_request(session)
        session.ask(f"ALTER SERVER unpaced OPTIONS (SET base_url '{bench.nginx.base_url}')")
        for _ in range(bench.runs):
            first = bench.new_people(count)
            theirs.append(run_libcurl(bench, first, count, groups))
            ours.append(run_wawp(bench, session, first, count, groups))
            bench.say(f"libcurl {count / theirs[-1][0]:,.0f}/s, wawp {count / ours[-1][0]:,.0f}/s")
    finally:
        cluster.drop(session, "drain")
    return ours, theirs


def measure(bench):
    count, groups = bench.scaled(20000, 4000), bench.scaled(1000, 200)
    both = against_libcurl(bench, count, groups)
    ours, theirs = ([seconds for seconds, _ in side] for side in both)
    cpu = [median([seconds for _, seconds in side]) / count * 1e6 for side in both]
    share = 100 * median(theirs) / median(ours)
    what = f"unpaced drain, {count:,} intents in {groups:,} groups, 64 in flight"
    rate = spread_rate(count, ours)
    findings = [Finding(1, what, rate, f"curl_multi loop, same bodies: {spread_rate(count, theirs)}",
                        f"{share:.1f} %", ">= 25 %", share >= 25,
                        [f"CPU time by request: worker {cpu[0]:.0f} us, libcurl {cpu[1]:.0f} us; a loaded machine"
                         " changes this less than the rates."])]
    return findings + pgnet.compare(bench, what, rate, count / median(ours), count, groups)
