"""row_memory.py -- row 8: the worker's memory over a million requests.

Portions are queued and drained one after the other by the same worker process; after each, idle, its
private memory is read (anonymous pages of /proc/PID/smaps_rollup: what it allocated itself; shared
buffers, which it maps in as it meets them, are not its own).  Flat: at the end no more than 1.25 times
what it was after the first 10,000 requests (pools fill for a while: connections, handles, plans), and
over the last nine tenths of the run less than one byte a request more.  PSS is shown as well.
"""

from filling import await_drained, enqueue_sql, people_sql
from report import Finding, median
from servers import BenchError, unpaced

TITLE = "memory of the worker"
PORTION = 10000
GROUPS = 1000
MOST_RATIO = 1.25
MOST_PER_REQUEST = 1.0          # bytes
TARGET = "flat: <= 1.25 x, < 1 byte a request after the first tenth"


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
    await_drained(bench, session, "unpaced", before, PORTION)


def measure(bench):
    portions = max(bench.requests // PORTION, 4)
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


def trend(own):
    """Bytes a request from the second tenth of the samples to the last."""
    tenth = max(len(own) // 10, 1)
    early, late = own[tenth:2 * tenth], own[-tenth:]
    between = (len(own) - 2 * tenth) * PORTION
    return (median(late) - median(early)) * 1024 / between if between else float("nan")


def conclude(samples, requests):
    own = [sample[0] for sample in samples]
    ratio, bytes_each = max(own[len(own) // 2:]) / own[0], trend(own)
    return Finding(8, f"worker's own memory over {requests:,} requests", f"{own[-1]:,} kB (at most {max(own):,} kB)",
                   f"after the first {PORTION:,}: {own[0]:,} kB", f"{ratio:.2f} x, {bytes_each:+.2f} bytes a request",
                   TARGET, ratio <= MOST_RATIO and bytes_each < MOST_PER_REQUEST,
                   [f"PSS, shared memory included: {samples[0][1]:,} kB then, {samples[-1][1]:,} kB at the end."])
