#!/usr/bin/env python3
"""bench.py -- measures speed, memory and pace beside what they are held against, and prints a table.

Called by test/bench/run inside the sandbox.  Contract: every figure comes from this run; a row that
cannot be measured says so in the table and makes the exit status 1; a target that is missed does not.
"""

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from pathlib import Path

import report
from servers import BenchError, Cluster, Nginx, SANDBOX

# Modules by row; each has measure(bench), which returns a list of findings.
ROWS = {
    1: "row_drain",
    2: "row_claim",
    3: "row_session",
    4: "row_members",
    5: "row_enqueue",
    6: "row_latency",
    7: "row_pace",
    8: "row_memory",
    9: "row_delete",
    10: "row_width",
    11: "row_webhook",
    12: "row_shards",
    13: "row_verified",
    14: "row_growth",
}
GROUP_SIZE = 1024
FEW = 20


def members(count):
    """A member list in the API's documented shape, as the WEBJS engine gives it."""
    return json.dumps([
        {"id": {"server": "c.us", "user": f"15550{i:06d}", "_serialized": f"15550{i:06d}@c.us"},
         "isAdmin": i < 3, "isSuperAdmin": i == 0}
        for i in range(count)], separators=(",", ":"))


class Bench:
    """What rows share: options, nginx, and one cluster that is started when first asked for."""

    def __init__(self, options):
        self.runs = options.runs
        self.short = options.short
        self.hold_minutes = options.hold_minutes
        self.pace_minutes = options.pace_minutes
        self.requests = options.requests
        self.nginx = Nginx(members(GROUP_SIZE), members(FEW))
        self.people = 0
        self._cluster = None
        self._others = []

    def scaled(self, full, short):
        return short if self.short else full

    def say(self, text):
        print(f"    {text}", flush=True)

    def cluster(self):
        if self._cluster is None:
            self._cluster = Cluster("main")
        return self._cluster

    def other_cluster(self, name, **keywords):
        cluster = Cluster(name, **keywords)
        self._others.append(cluster)
        return cluster

    def new_people(self, count):
        """The first of that many numbers which no row has used."""
        first = self.people
        self.people += count
        return first

    def close(self):
        for cluster in self._others + [self._cluster]:
            if cluster:
                cluster.close()
        self.nginx.close()


def arguments():
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rows", default="")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--hold-minutes", type=float)
    parser.add_argument("--pace-minutes", type=float)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--revision", default="")
    options = parser.parse_args()
    options.rows = [int(row) for row in options.rows.replace(",", " ").split()] or list(ROWS)
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}")
    for name, full, short in (("runs", 5, 3), ("hold_minutes", 10, 0.5), ("pace_minutes", 10, 1.5),
                              ("requests", 1000000, 40000)):
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else full)
    return options


def run_row(bench, row):
    """The findings of a row; one that failed is a finding, too."""
    module = importlib.import_module(ROWS[row])
    print(f"--- row {row}: {module.TITLE}", flush=True)
    start = time.monotonic()
    try:
        findings = module.measure(bench)
    except Exception as error:      # noqa: whatever it is, the other rows are still worth measuring
        if not isinstance(error, BenchError):
            traceback.print_exc()
        findings = [report.Finding(row, module.TITLE, "", "", "", module.TARGET, None,
                                   [f"failed: {str(error)[:500]}"])]
        bench.failed = True
    for finding in findings:
        bench.say(f"{finding.what}: {finding.ours} against {finding.against}; {finding.ratio} ({finding.target})")
    bench.say(f"{time.monotonic() - start:.0f} s")
    return findings


def describe_run(options):
    words = [f"medians of {options.runs}, least and greatest in brackets"]
    if options.short:
        words.append("SHORT: everything scaled down, not the figures that are promised")
    return "- " + "; ".join(words)


def main():
    options = arguments()
    lines = report.machine(options.revision) + [describe_run(options)]
    print("\n".join(lines), flush=True)
    bench = Bench(options)
    bench.failed = False
    findings = []
    try:
        for row in options.rows:
            findings.extend(run_row(bench, row))
    finally:
        bench.close()
    text = "\n".join(lines) + "\n\n" + report.table(findings) + "\n"
    (SANDBOX / "results.md").write_text(text, encoding="utf-8")
    print("\n" + text, flush=True)
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
