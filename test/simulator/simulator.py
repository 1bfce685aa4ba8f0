"""The simulator: one world, ledger and rule book behind the connections of a process."""

import asyncio
import sys
import time
import traceback

import api
import control
import faults
from rules import RuleBook
from seeds import default_state
from wire import Connection, converse, text_answer
from world import World

CONTROL_PREFIX = "/_sim/"


class Census:
    """Counts the connections that made API requests since the last reset."""

    def __init__(self):
        self.total = 0
        self.members = set()

    def number(self, connection):
        """The connection's number, given at its first API request since the reset."""
        if connection not in self.members:
            self.members.add(connection)
            self.total += 1
            connection.number = self.total
        return connection.number

    def closed(self, connection):
        self.members.discard(connection)

    def describe(self):
        return {"total": self.total, "open": len(self.members)}


class Simulator:
    """Everything one process serves."""

    def __init__(self, ledger, latency=0):
        self.ledger = ledger
        self.latency = latency      # seconds before each answer; stays over a reset
        self.rules = RuleBook()
        self.clients = set()
        self.last_active = time.monotonic()
        self.reset()

    def reset(self):
        """Back to the default world, without ledger, rules and known connections."""
        self.world = World(default_state())
        self.ledger.clear()
        self.rules.clear()
        self.census = Census()

    def client_connected(self, reader, writer):
        """Serve a new connection in a task of ours: asyncio's own would complain when it is cancelled at the end."""
        client = asyncio.create_task(self.serve(Connection(reader, writer)))
        self.clients.add(client)
        client.add_done_callback(self.clients.discard)

    async def serve(self, connection):
        try:
            await converse(connection, self.handle)
        finally:
            self.last_active = time.monotonic()
            self.census.closed(connection)

    def idle_seconds(self):
        """Seconds without a request or an open connection."""
        return 0 if self.clients else time.monotonic() - self.last_active

    async def handle(self, connection, request):
        """Answer one request; true when the connection can take another."""
        if request.path.startswith(CONTROL_PREFIX):
            await connection.send(control.answer(self, request))
            return True
        entry = self.ledger.record(self.census.number(connection), connection.tls, request)
        answer, fault = self.decide(request)
        if fault and fault.get("gate"):
            await connection.wait_for(self.rules.cleared)
        await connection.pause(self.latency)
        return await faults.deliver(connection, answer, fault, entry.answered)

    def decide(self, request):
        """The answer to an API request and the fault that befalls it, with all effects on the world."""
        rule = self.rules.choose(request)
        if rule is None or not rule.holds():
            return self.act(request), None
        if rule.effect == "none":
            return rule.answer, rule.fault
        answer = self.act(request)
        return (answer if rule.effect == "normal" else rule.answer), rule.fault

    def act(self, request):
        """The API's own answer; an error in the simulator itself is shown, not hidden as an API error."""
        try:
            return api.answer(self.world, request)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return text_answer("the simulator itself failed; see its standard error", 599)
