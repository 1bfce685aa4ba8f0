"""row_pace.py -- row 7: how exactly the pace is kept, at 6, 60 and 600 adds a minute.

Three instances with pace_jitter 0, side by side for the same minutes; each has more to do than its pace
allows.  What counts is when requests arrive (arrivals.c).  The error is that of the mean interval
between the first and the last arrival.  The cap is what is promised: at most
adds_per_minute + adds_burst in any 60 s; windows begin at each arrival.  The fullest window is shown.
"""

import time

from filling import enqueue_sql, people_sql
from report import Finding
from servers import INSTANCE_ID, Arrivals, BenchError, until

TITLE = "pace error at 6, 60 and 600 a minute"
TARGET = "< 1 %, no window above the cap"
RATES = (6, 60, 600)
BURST = 4               # the standard
GROUPS = 10


def servers_for(base_url):
    return [(f"pace{rate}", {"instance_id": f"{INSTANCE_ID}{rate}", "base_url": base_url, "adds_per_minute": rate,
                             "adds_burst": BURST, "pace_jitter": 0, "concurrency": 4}) for rate in RATES]


def enqueue(bench, session, minutes):
    for rate in RATES:
        count = int(rate * minutes * 1.2) + 20
        source = people_sql(bench.new_people(count), count, GROUPS)
        session.ask(enqueue_sql(f"pace{rate}", source))


def arrivals_of(arrivals, rate):
    """Seconds at which that instance's requests came."""
    wanted = f'"instance_id":"{INSTANCE_ID}{rate}"'.encode()
    return [stamp / 1e9 for stamp, request in arrivals.requests() if wanted in request]


def fullest_window(times, span=60.0):
    fullest, end = 0, 0
    for start, at in enumerate(times):
        while end < len(times) and times[end] < at + span:
            end += 1
        fullest = max(fullest, end - start)
    return fullest


def judge(times, rate):
    """The finding of one rate."""
    interval = 60 / rate
    span = times[-1] - times[0]
    error = span / (len(times) - 1) / interval - 1
    worst = max(abs(at - times[0] - i * interval) for i, at in enumerate(times))
    fullest = fullest_window(times)
    return Finding(
        7, f"pace at {rate} a minute, {span / 60:.1f} min, {len(times):,} requests",
        f"{(len(times) - 1) / span * 60:.3f} a minute; fullest 60 s: {fullest}",
        f"schedule: {rate} a minute; cap: {rate + BURST}", f"{100 * error:+.2f} %", TARGET,
        abs(error) < 0.01 and fullest <= rate + BURST,
        [f"At {rate} a minute the farthest from the schedule was {worst:.3f} s."])


def measure(bench):
    cluster = bench.cluster()
    arrivals = Arrivals()
    try:
        session = cluster.database("pace", *servers_for(arrivals.base_url))
        enqueue(bench, session, bench.pace_minutes)
        until(lambda: all(arrivals_of(arrivals, rate) for rate in RATES), 60, "the first request of each")
        bench.say(f"waiting {bench.pace_minutes:g} min")
        time.sleep(bench.pace_minutes * 60)
        if int(session.ask("SELECT count(DISTINCT instance) FROM wawp.membership_intent"
                           " WHERE state = 'queued'")) != len(RATES):
            raise BenchError("an instance ran out of people to add")
        findings = [judge(arrivals_of(arrivals, rate), rate) for rate in RATES]
        cluster.drop(session, "pace")
        return findings
    finally:
        arrivals.close()
