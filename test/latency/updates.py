"""updates.py -- what a clean addition writes: rows by table, requests, statements.

500 people, known to nobody, are added to groups that are read for the first time and are seen in them at the first
look; in some drains it is asked whether their numbers are registered.  Written rows are those that PostgreSQL counts (pg_stat_user_tables) between the end of queueing and the end of the
drain; statements are the worker's own (pg_stat_statements).
"""

import collections
import time

from api import READS_AN_ADD, Simulator, database, enqueue
from servers import until

PEOPLE = 500
CASES = [(latency, groups, checks) for latency in (0, 0.3) for groups, checks in ((500, 0), (500, 60000), (50, 0))]
SHOWN = (0.3, 500, 60000)
RARE = 0.05             # statements below that many an addition are left out
WRITTEN = ("SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'wawp'"
           " AND n_tup_ins + n_tup_upd + n_tup_del > 0")
STATEMENTS = ("SELECT calls, rows, regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements"
              " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
              f" AND query NOT LIKE '%/* ours */%' AND calls >= {int(RARE * PEOPLE)} ORDER BY calls DESC, query")
HEAD = ("| latency | groups | numbers | UPDATEs of an intent an add | rows written otherwise an add | lists a group, halved"
        " | other requests an add |\n|---|---|---|---|---|---|---|")


def written(session):
    """Rows inserted, updated and deleted by table so far."""
    rows = (line.split("|") for line in session.ask(WRITTEN).splitlines())
    return {name: [int(number) for number in numbers] for name, *numbers in rows}


def settled(session):
    """What is written when the worker has told of all: it tells when it rests."""
    last = None
    while (now := written(session)) != last:
        last = now
        time.sleep(2)
    return now


def difference(before, after):
    return {name: [new - old for new, old in zip(numbers, before.get(name, [0, 0, 0]))] for name, numbers in after.items()}


def others_written(rows):
    """Rows written to other tables than the queue's by an addition, in words."""
    kinds = ("inserted", "updated", "deleted")
    return ", ".join(f"{name} {number / PEOPLE:.2f} {kind}" for name, numbers in sorted(rows.items())
                     if not name.startswith("membership_intent")
                     for kind, number in zip(kinds, numbers) if number >= RARE * PEOPLE)


def drain(cluster, latency, groups, checks):
    """Rows written, requests by name, and the worker's statements."""
    name = f"updates{int(latency * 1000)}x{groups}x{checks}"
    simulator = Simulator(name, latency)
    session = database(cluster, simulator, 0, checks)
    try:
        session.ask("CREATE EXTENSION pg_stat_statements")
        enqueue(session, name, PEOPLE, groups)
        before = settled(session)
        session.ask("SELECT pg_stat_statements_reset()")
        session.ask(f"SELECT wawp_resume('{name}')")
        until(lambda: session.ask("SELECT /* ours */ count(*) FROM wawp.membership_intent WHERE state = 'done'") == str(PEOPLE), 300,
              "the end of the drain", interval=0.2)
        rows = difference(before, settled(session))
        statements = [line.split("|", 2) for line in session.ask(STATEMENTS).splitlines()]
        return rows, collections.Counter(request[1] for request in simulator.requests()), statements
    finally:
        cluster.drop(session, name)
        simulator.close()


def line_of(latency, groups, checks, rows, requests):
    updates = sum(numbers[1] for name, numbers in rows.items() if name.startswith("membership_intent"))
    others = {name: number for name, number in requests.items() if name not in ("add", "list")}
    return (f"| {latency} s | {groups} | {'looked up' if checks else ''} | {updates / PEOPLE:.2f} | {others_written(rows)}"
            f" | {requests['list'] / (groups * READS_AN_ADD):.2f}"
            f" | {', '.join(f'{name} {number / PEOPLE:.2f}' for name, number in sorted(others.items()))} |")


def measure(cluster):
    lines = [HEAD]
    statements = []
    for case in CASES:
        rows, requests, found = drain(cluster, *case)
        lines.append(line_of(*case, rows, requests))
        if case == SHOWN:
            statements = found
    lines += ["", f"Statements of the drain at {SHOWN[0]} s into {SHOWN[1]} groups, numbers looked up:", "", "| an add | rows an add | statement |", "|---|---|---|"]
    lines += [f"| {int(calls) / PEOPLE:.2f} | {int(number) / PEOPLE:.2f} | {text[:200].replace('|', chr(92) + '|')} |" for calls, number, text in statements]
    return "\n".join(lines)
