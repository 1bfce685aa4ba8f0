"""row_memory.py -- row 8: the worker's memory over a million requests.

Portions are queued and drained one after the other by the same worker process; after each, idle, its
private memory is read (anonymous pages of /proc/PID/smaps_rollup: what it allocated itself; shared
buffers, which it maps in as it meets them, are not its own).  Flat: it does not grow by more than 1 MB
from 10,000 requests to the last, which is a byte a request over a million.  PSS is shown as well.
"""

from filling import enqueue_sql, live, people_sql
from report import Finding
from servers import BenchError, unpaced, until

TITLE = "memory of the worker"
PORTION = 10000
GROUPS = 1000
ALLOWED_KB = 1024
TARGET = "flat: grows by <= 1 MB"


def memory_kb(pid):
    """(anonymous, PSS) of a process."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            words = line.split()
            if words[0] in ("Anonymous:", "Pss:"):
                found[words[0]] = int(words[1])
    return found["Anonymous:"], found["Pss:"]


def serve_portion(bench, session):
    before = bench.nginx.status()
    session.ask(enqueue_sql("unpaced", people_sql(bench.new_people(PORTION), PORTION, GROUPS)))
    until(lambda: bench.nginx.status() - before >= PORTION, 600, f"{PORTION} requests", interval=0.1)
    until(lambda: live(session, "unpaced") == 0, 60, "settling the last requests")


def measure(bench):
    portions = max(bench.requests // PORTION, 2)
    cluster = bench.cluster()
    session = cluster.database("memory", ("unpaced", unpaced(bench.nginx.base_url)))
    try:
        pid = cluster.worker_pid(session)
        samples = []
        for i in range(portions):
            serve_portion(bench, session)
            samples.append(memory_kb(pid))
            if i == 0 or (i + 1) % max(portions // 10, 1) == 0:
                bench.say(f"{(i + 1) * PORTION:,} requests: {samples[-1][0]:,} kB own, PSS {samples[-1][1]:,} kB")
        if cluster.worker_pid(session) != pid:
            raise BenchError("it is not the worker any more that it was at the beginning")
    finally:
        cluster.drop(session, "memory")
    return [conclude(samples, portions * PORTION)]


def conclude(samples, requests):
    first, last, most = samples[0][0], samples[-1][0], max(sample[0] for sample in samples)
    growth = most - first
    return Finding(8, f"worker's own memory over {requests:,} requests", f"{last:,} kB (at most {most:,} kB)",
                   f"after the first {PORTION:,}: {first:,} kB", f"{growth:+,} kB", TARGET, growth <= ALLOWED_KB,
                   [f"PSS, shared memory included: {samples[0][1]:,} kB then, {samples[-1][1]:,} kB at the end."])
