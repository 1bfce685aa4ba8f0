"""row_verified.py -- row 13: what a verified membership costs the worker, with invitations, by the length of the lists.

The simulator of test/simulator is the API: {"ok": true} for each addition, and lists that show who is in.  5,000 people are added to
100 groups, 50 each, which have 150 members then, or 1,000; a fifth of the people cannot be added and are invited.  All begins together,
64 requests in flight, without a pace; `verify_delays` are the default, so that a run takes more than a minute.  It ends when everybody is
`done` or `invited`.  The cost is the worker's time on a processor by person; the lists are counted as they arrive at the API.

Beside it an unverified drain of as many people from the same API.  Builds are compared by running the row in both checkouts.
"""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from filling import enqueue_sql, group_jid, people_sql, person_jid
from report import Finding, median, spread
from row_width import cpu_seconds
from servers import BenchError, unpaced, until

TITLE = "verified drain with invitations"
TARGET = "<= 0.15 lists a person"
MOST_LISTS = 0.15
SIMULATOR = Path(__file__).resolve().parents[1] / "simulator" / "wawp_sim.py"
GROUPS = 100
INVITED = 5                 # every fifth
FIRST_MEMBER = 15560000000  # of those who are in the groups already
ME = "15550000001"


class Api:
    """A simulator of our own, with groups and people."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, str(SIMULATOR),],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split("http=")[1].split()[0])
        self.base_url = f"http://127.0.0.1:{self.port}"

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.base_url}/_sim/{path}", data, timeout=60) as answer:
            return json.loads(answer.read())

    def fill(self, members, private):
        """Groups with so many members, and people whose privacy keeps them out."""
        self.control("reset", {})
        for i in range(GROUPS):
            present = {str(FIRST_MEMBER + i * 1000 + n): {} for n in range(members - 1)}
            self.control("world", {"groups": {group_jid(i): {
                "subject": f"Group {i}", "owner": ME, "capacity": 100000,
                "members": {ME: {"role": "superadmin"}, **present}}}})
        self.control("world", {"people": {jid.split("@")[0]: {"privacy": "nobody"} for jid in private}})

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


STATES = {"wait": "queued sending verifying inviting", "end": "done invited"}


def enqueue_verified(first, count):
    return ("INSERT INTO wawp.membership_intent (group_jid, jid, instance)"
            f" SELECT group_jid, jid, 'unpaced' FROM ({people_sql(first, count, GROUPS)}) p")


def await_end(session, count, seconds):
    listed = ", ".join(f"'{state}'" for state in STATES["end"].split())
    until(lambda: session.number(f"SELECT count(*) FROM wawp.membership_intent WHERE state IN ({listed})") >= count,
          seconds, f"the end of {count} additions", interval=1)


def serve(bench, cluster, session, enqueue, count, seconds=600):
    """The worker's CPU seconds for `count` people."""
    session.ask("SELECT wawp_pause('unpaced')")
    session.ask("TRUNCATE wawp.membership_intent")
    session.ask(enqueue)
    session.ask("VACUUM (ANALYZE) wawp.membership_intent")
    session.ask("CHECKPOINT")
    pid = cluster.worker_pid(session)
    before = cpu_seconds(pid)
    session.ask("SELECT wawp_resume('unpaced')")
    await_end(session, count, seconds)
    return cpu_seconds(pid) - before


def check(session, count):
    found = session.ask("SELECT count(*) FILTER (WHERE state = 'done' AND outcome = 'added'),"
                        " count(*) FILTER (WHERE state = 'invited') FROM wawp.membership_intent")
    if found != f"{count - count // INVITED}|{count // INVITED}":
        raise BenchError(f"of {count} people so many were added and invited: {found}")


class Lists:
    """Lists that arrive at the API, counted by its ledger."""

    def __init__(self, api):
        self.api = api

    def count(self):
        return self.api.control("count?path=participants%24")["count"]


def measure_size(bench, cluster, api, members, count):
    """([CPU us a person], [lists a person]) with so many members in the groups at the end."""
    session = cluster.database(f"verified{members}", ("unpaced", unpaced(
        api.base_url, instance_id="ABC123", invites_per_minute=0, checks_per_minute=0, reads_per_minute=0)))
    costs, lists = [], []
    try:
        for _ in range(bench.runs):
            first = bench.new_people(count)
            added = count // GROUPS
            api.fill(members - added, [person_jid(first + i) for i in range(count) if (i // GROUPS) % INVITED == 0])
            costs.append(serve(bench, cluster, session, enqueue_verified(first, count), count) / count * 1e6)
            check(session, count)
            lists.append(Lists(api).count() / count)
            bench.say(f"groups of {members:,}: {costs[-1]:.0f} us and {lists[-1]:.2f} lists a person")
    finally:
        cluster.drop(session, f"verified{members}")
    return costs, lists


def measure_unverified(bench, cluster, api, count):
    session = cluster.database("unverified", ("unpaced", unpaced(api.base_url, instance_id="ABC123")))
    costs = []
    try:
        for _ in range(bench.runs):
            first = bench.new_people(count)
            api.fill(100, [])
            costs.append(serve(bench, cluster, session, enqueue_sql("unpaced", people_sql(first, count, GROUPS)), count)
                         / count * 1e6)
    finally:
        cluster.drop(session, "unverified")
    return costs


def measure(bench):
    count = bench.scaled(5000, 1000)
    cluster = bench.cluster()
    api = Api()
    found = []
    try:
        plain = measure_unverified(bench, cluster, api, count)
        for members in (150, 1000):
            costs, lists = measure_size(bench, cluster, api, members, count)
            what = f"verified drain, {count:,} people, {GROUPS} groups of {members:,}, a fifth invited"
            found.append(Finding(13, f"{what}: CPU a membership", spread(costs, "{:.0f}") + " us",
                                 f"unverified, same API: {spread(plain, '{:.0f}')} us",
                                 f"{median(costs) / median(plain):.2f} x", "1/4, 1/8 of 3656b73's", None))
            found.append(Finding(13, f"{what}: lists a person", spread(lists), "", "", TARGET, median(lists) <= MOST_LISTS))
    finally:
        api.close()
    return found
