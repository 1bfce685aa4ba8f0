"""api.py -- a simulator that answers late, and the instances of a database that call it."""

import json
import subprocess
import sys
import urllib.request

from servers import SANDBOX, until

# One read before an addition, one at the first look after it: everybody gets in.
READS_AN_ADD = 2
KEEP = 2000000          # requests that the simulator remembers
MOST_GROUPS = 10000


class Simulator:
    """A simulator of our own, where unknown groups are made up; the account has that instance id."""

    def __init__(self, name, latency):
        port_file = SANDBOX / f"{name}.port"
        self.name, self.instance_id = name, name.upper()
        self.process = subprocess.Popen(
            [sys.executable, "test/simulator/wawp_sim.py", "--port-file", str(port_file), "--latency", str(latency),
             "--ledger-keep", str(KEEP)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(port_file.exists, 60, "the simulator's start")
        self.base_url = f"http://127.0.0.1:{port_file.read_text(encoding='ascii').split()[0]}"
        account = self.control("GET", "world")["accounts"]["ABC123"]
        self.control("POST", "world", {"auto_groups": True, "accounts": {self.instance_id: account}})

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base_url}/_sim/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def count(self, path):
        return self.control("GET", f"count?path={path}")["count"]

    def adds(self):
        return self.count("/add%24")

    def requests(self):
        """(seconds, name, group) of each request: name is add, list or the path without the group."""
        return [(entry["mono"],) + name_of(entry) for entry in self.control("GET", "ledger")]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def name_of(entry):
    """What a request asks for, and in which group."""
    parts = entry["path"].split("?")[0].strip("/").split("/")[1:]
    group = next((part for part in parts if "g.us" in part), None)
    name = "/".join(part for part in parts if part != group)
    return {"groups/participants/add": "add", "groups/participants": "list"}.get(name, name), group


def instance(simulator, pace, checks=0):
    """Options of an instance with so many adds a minute, one request at a time; 0 is no pace and 8 at a time.

    Without jitter; so many numbers a minute are looked up, none if that is 0.
    """
    return {"instance_id": simulator.instance_id, "base_url": simulator.base_url, "adds_per_minute": pace,
            "reads_per_minute": 60 if pace else 0, "checks_per_minute": checks, "concurrency": 1 if pace else 8,
            "pace_jitter": 0}


def database(cluster, simulator, pace, checks=0):
    """A session in a new database with one instance, both called as the simulator; groups have no settings but for the checks,
    which each addition of somebody unknown takes a request for."""
    name = simulator.name
    session = cluster.database(name, (name, instance(simulator, pace, checks)))
    session.ask("TRUNCATE wawp.group_settings")
    if not checks:
        session.ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists)"
                    f" SELECT '{name}', '120363' || lpad(i::text, 12, '0') || '@g.us', false"
                    f" FROM generate_series(0, {MOST_GROUPS - 1}) i")
    session.ask(f"SELECT wawp_pause('{name}')")
    return session


def enqueue(session, name, count, groups):
    session.ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance)"
                f" SELECT '120363' || lpad((i % {groups})::text, 12, '0') || '@g.us',"
                f" '1' || lpad((i + 2000000000)::text, 10, '0') || '@c.us', '{name}'"
                f" FROM generate_series(0::bigint, {count - 1}) i")
