"""pgnet.py -- pg_net at its best setting, for row 1.

Its one setting that matters is pg_net.batch_size: a batch leaves at once, one connection each, in one
transaction; then the worker rests for a second.  Larger is faster until it runs out of descriptors, so
both are swept: the batch size, and the limit of open files (Debian's service has 1,024; the other is
all this machine allows).  Best is the fastest setting with no failure.
"""

import resource
import time

from filling import people
from report import Finding, extension_version, median, spread_rate
from servers import SANDBOX, BenchError, until

BATCH_SIZES = (200, 500, 900, 2000, 5000, 10000, 20000)
SERVICE_FILES = 1024
TARGET = ">= 10 x"


def start(bench, files):
    """A cluster whose processes may open that many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        cluster = bench.other_cluster(f"pgnet{files}", preload=("pg_net",))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    session = cluster.session()
    session.ask("SET client_min_messages = warning")
    session.ask("CREATE EXTENSION pg_net")
    session.ask("CREATE TABLE person (group_jid text, jid text)")
    return cluster, session


def set_batch_size(session, size):
    session.ask(f"ALTER SYSTEM SET pg_net.batch_size = {size}")
    session.ask("SELECT net.worker_restart()")
    session.ask("SELECT net.wait_until_running()")


def load_people(session, pairs):
    path = SANDBOX / "people.txt"
    path.write_text("".join(f"{group}\t{jid}\n" for group, jid in pairs), encoding="ascii")
    session.ask("TRUNCATE person")
    session.ask(f"COPY person FROM '{path}'")


def run(bench, session, pairs, seconds):
    """Seconds from the commit to the last response; None when there was a failure."""
    load_people(session, pairs)
    session.ask("TRUNCATE net._http_response")
    session.ask("CHECKPOINT")
    session.ask(
        "SELECT count(net.http_post(url := '" + bench.nginx.base_url + "/v2/groups/' ||"
        " replace(group_jid, '@', '%40') || '/participants/add', body := jsonb_build_object("
        "'instance_id', 'BENCH', 'access_token', 'secret', 'id', group_jid,"
        " 'participants', jsonb_build_array(jsonb_build_object('id', jid))),"
        " timeout_milliseconds := 60000)) FROM person")
    begun = time.monotonic()
    count = len(pairs)
    until(lambda: session.number("SELECT count(*) FROM net._http_response") >= count, seconds,
          f"pg_net's {count} responses", interval=0.05)
    took = time.monotonic() - begun
    bad = session.number("SELECT count(*) FROM net._http_response WHERE status_code IS DISTINCT FROM 200")
    return None if bad else took


def sweep(bench, files, count, groups):
    """(seconds, size) of the settings without failures, best first; a session to go on with."""
    cluster, session = start(bench, files)
    good = []
    for size in BATCH_SIZES:
        if size > count:
            break
        set_batch_size(session, size)
        asked = min(count, 10 * size)
        took = run(bench, session, people(bench.new_people(asked), asked, groups), 600)
        bench.say(f"pg_net, {files} files, batch_size {size}: "
                  + (f"{asked / took:,.0f}/s" if took else "failures"))
        if took:
            good.append((took / asked, size))
    return cluster, session, sorted(good)


def best(bench, files, count, groups):
    """Seconds of each run at the best setting, and that setting."""
    cluster, session, good = sweep(bench, files, count, groups)
    try:
        for _, size in good:
            set_batch_size(session, size)
            took = []
            while len(took) < bench.runs:
                took.append(run(bench, session, people(bench.new_people(count), count, groups), 600))
                if took[-1] is None:
                    break
            if took[-1] is not None:
                return took, size
        raise BenchError("pg_net has no setting without failures")
    finally:
        cluster.close()


def finding(what, rate, our_rate, count, files, took, size):
    ratio = our_rate / (count / median(took))
    return Finding(1, what, rate, f"pg_net, batch_size {size}, {files:,} open files: {spread_rate(count, took)}",
                   f"{ratio:.1f} x", TARGET, ratio >= 10)


def compare(bench, what, rate, our_rate, count, groups):
    """A finding as Debian's service starts PostgreSQL, and one with all the files there may be."""
    if not extension_version("pg_net"):
        return [Finding(1, what, rate, "pg_net: skipped, not installed", "", TARGET, None)]
    findings = []
    for files in (SERVICE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        took, size = best(bench, files, count, groups)
        findings.append(finding(what, rate, our_rate, count, files, took, size))
    findings[-1].notes.append("pg_net writes to unlogged tables and keeps no record of what it is about to send;"
                              " 1,024 open files is what Debian's service gives it.")
    return findings
