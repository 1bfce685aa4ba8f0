#!/usr/bin/env python3
"""latency.py -- how many are added at an API that answers late, with how many reads, in how many groups.

Called by test/latency/run inside the sandbox.  Contract: a row is one instance with a database, a worker and a simulator
of its own; what is counted arrived at the simulator in a window that begins with the first addition.  A row that
cannot be measured says so in the table and makes the exit status 1; a target that is missed does not.
"""

import argparse
import collections
import datetime
import itertools
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import updates
from api import READS_AN_ADD, Simulator, database, enqueue
from row_width import cpu_seconds
from servers import BenchError, Cluster, SANDBOX, until

LATENCIES = (0, 0.3, 1)
GROUPS = (100, 10000)
PACES = (60, 0)             # adds a minute; 0: unpaced
QUEUED = {60: 20000, 0: 100000}
LEAST = 0.95                # of what pace and latency allow
MOST_READS = 1.1            # a group and round: before an addition, at the look after it
CHECKS = 30                 # numbers looked up a minute, as by default
CASES = [(*case, 0) for case in itertools.product(LATENCIES, GROUPS, PACES)] + [(1, 100, 60, CHECKS)]
ROWS = [(*case, number) for number, case in enumerate(CASES, 1)]


@dataclass
class Window:
    """What arrived: seconds, additions by group, member lists and of them those that were looks at who had been added, share of
    additions followed by one; CPU seconds of the worker."""

    seconds: float
    adds: collections.Counter
    reads: int
    looks: int
    looked_for: float
    cpu: float


def allowed(latency, pace, checks):
    """Additions a second that pace and latency allow, as in test/t/112_latency.pl; infinite if neither bounds them."""
    options = instance_numbers(pace)
    bounds = [options["adds"] / 60, options["reads"] / 60 / READS_AN_ADD,
              options["concurrency"] / (latency * (1 + READS_AN_ADD + (checks > 0))) if latency else math.inf]
    return min(bound if bound > 0 else math.inf for bound in bounds)


def instance_numbers(pace):
    return {"adds": pace, "reads": 60 if pace else 0, "concurrency": 1 if pace else 8}


def fair_share(adds, groups, most):
    """Share of the groups that got what is theirs: an addition as long as there are enough, then as many as each other.

    Additions beyond those that are allowed, for which groups are read, are in groups that are known by chance.
    """
    total = int(min(adds.total(), most))
    if total < groups:
        return min(1, len(adds) / total)
    return sum(1 for number in adds.values() if number >= total // groups) / groups


def looks_at(requests, end):
    """How many lists were looks, and the share of the additions before that time whose group was read later."""
    waiting, looks, all_of_them, found = collections.Counter(), 0, 0, 0
    added = set()
    for at, name, group in requests:
        if name == "list":
            found += waiting.pop(group, 0)
            looks += group in added
            added.discard(group)
        elif name == "add":
            added.add(group)
        if name == "add" and at < end:
            waiting[group] += 1
            all_of_them += 1
    return looks, found / all_of_them


def watch(simulator, pid, seconds):
    """Waits for the first addition and so many seconds after it; the window."""
    until(simulator.adds, 60 + seconds, "the first addition")
    cpu = cpu_seconds(pid)
    time.sleep(seconds)
    cpu = cpu_seconds(pid) - cpu
    requests = simulator.requests()
    begin = next(at for at, name, _ in requests if name == "add")
    inside = [request for request in requests if request[0] < begin + seconds]
    names = collections.Counter(name for _, name, _ in inside)
    return Window(seconds, collections.Counter(group for _, name, group in inside if name == "add"), names["list"],
                  *looks_at(inside, begin + seconds / 2), cpu)


def measure(cluster, row, seconds):
    latency, groups, pace, checks, number = row
    name = f"row{number}"
    simulator = Simulator(name, latency)
    try:
        session = database(cluster, simulator, pace, checks)
        try:
            enqueue(session, name, QUEUED[pace], groups)
            session.ask("VACUUM (ANALYZE) wawp.membership_intent")
            session.ask(f"SELECT wawp_resume('{name}')")
            window = watch(simulator, cluster.worker_pid(session), seconds)
            if session.ask(f"SELECT EXISTS (SELECT FROM wawp.membership_intent WHERE state = 'queued'"
                           f" AND instance = '{name}' AND id > 0)") != "t":
                raise BenchError("nobody is left in the queue")
            return window
        finally:
            cluster.drop(session, name)
    finally:
        simulator.close()


HEAD = ("| row | latency | groups | pace | adds | allowed | share | >= 95 % | reads an add: before, looks | a group and round | <= 1.1"
        " | looked for | fair share | CPU an add |\n|" + "---|" * 14)


def describe(row):
    latency, groups, pace, checks, number = row
    what = f"{pace} a minute" if pace else "none, 8 at a time"
    return f"| {number} | {latency} s | {groups:,} | {what}{', numbers checked' if checks else ''} |"


def verdict(is_met):
    return "yes" if is_met else "**no**"


def judge(row, window):
    """The line of a row that was measured."""
    latency, groups, pace, checks, _ = row
    count = window.adds.total()
    most = allowed(latency, pace, checks) * window.seconds
    reads = window.reads / count
    share = f"{count / most:.0%}" if most < math.inf else ""
    met = verdict(count >= int(LEAST * most)) if most < math.inf else ""
    return (f"{describe(row)} {count:,} | {f'{most:.1f}' if most < math.inf else 'no bound'} | {share} | {met}"
            f" | {reads:.2f}: {(window.reads - window.looks) / count:.2f}, {window.looks / count:.2f}"
            f" | {reads / READS_AN_ADD:.2f} | {verdict(reads / READS_AN_ADD <= MOST_READS)} | {window.looked_for:.0%}"
            f" | {fair_share(window.adds, groups, most):.0%} | {1000 * window.cpu / count:.2f} ms |")


def machine(options):
    version = subprocess.run(["postgres", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    words = [f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M UTC}", f"wawp {options.revision}", version,
             f"{os.cpu_count()} cores, load when it began: {os.getloadavg()[0]:.2f}", f"{options.seconds} s a row"]
    if options.short:
        words.append("SHORT, not the figures that are promised")
    return "- " + "; ".join(words)


def arguments():
    parser = argparse.ArgumentParser(prog="make latency")
    parser.add_argument("--rows", default="")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--revision", default="")
    options = parser.parse_args()
    known = [str(row[-1]) for row in ROWS] + ["updates"]
    options.rows = options.rows.replace(",", " ").split() or known
    unknown = [row for row in options.rows if row not in known]
    if unknown:
        parser.error(f"there is no row {unknown[0]}")
    options.seconds = 10 if options.short else 60
    return options


def attempt(name, measurement, failed):
    """The lines of a measurement, or why there are none."""
    try:
        return measurement()
    except BenchError as error:
        failed.append(name)
        return f"{name} could not be measured: {str(error)[:500]}"


def run(options, say):
    """Says all lines; returns what failed."""
    failed = []
    cluster = Cluster("main", preload=("wawp", "pg_stat_statements"))
    rows = [row for row in ROWS if str(row[-1]) in options.rows]
    try:
        if rows:
            say(HEAD)
        for row in rows:
            say(attempt(describe(row), lambda row=row: judge(row, measure(cluster, row, options.seconds)), failed))
        if "updates" in options.rows:
            say("")
            say(attempt("updates", lambda: updates.measure(cluster), failed))
    finally:
        cluster.close()
    return failed


def main():
    options = arguments()
    with open(SANDBOX / "results.md", "w", encoding="utf-8") as results:
        def say(text):
            print(text, flush=True)
            results.write(text + "\n")
            results.flush()
        say(machine(options) + "\n")
        failed = run(options, say)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
