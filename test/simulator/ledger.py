"""The ledger: every API request the simulator received whole, in order."""

import json
import time
from collections import deque


class Entry:
    """One request and, once its answer left, the status."""

    __slots__ = ("number", "connection", "tls", "request", "status", "answered_at", "_write")

    def __init__(self, number, connection, tls, request, write):
        self.number = number
        self.connection = connection
        self.tls = tls
        self.request = request
        self.status = None
        self.answered_at = None
        self._write = write

    def answered(self, status):
        self.status = status
        self.answered_at = time.time()
        self._write({"n": self.number, "status": status, "answered_at": self.answered_at})

    def describe(self):
        request = self.request
        return {
            "n": self.number, "at": request.at, "mono": request.mono, "conn": self.connection, "tls": self.tls,
            "method": request.method, "path": request.path, "query": request.query, "headers": request.headers,
            "body": readable(request), "status": self.status, "answered_at": self.answered_at,
        }


def readable(request):
    """The body as parsed JSON, or as text when it is not JSON."""
    try:
        return request.json()
    except ValueError:
        return request.body.decode("utf-8", "replace")


class Ledger:
    """The last `keep` entries; with `path` also a file of JSON lines, one at receipt and one at the answer."""

    def __init__(self, keep, path=None):
        self.entries = deque(maxlen=keep)
        self.total = 0
        self._file = open(path, "a", buffering=1, encoding="utf-8") if path else None

    def record(self, connection, tls, request):
        self.total += 1
        entry = Entry(self.total, connection, tls, request, self._write)
        self.entries.append(entry)
        if self._file:
            self._write(entry.describe())
        return entry

    def clear(self):
        self.entries.clear()
        self.total = 0

    def since(self, number):
        return [entry.describe() for entry in self.entries if entry.number > number]

    def count(self, pattern):
        """The number of entries whose decoded path matches the compiled pattern."""
        return sum(1 for entry in self.entries if pattern.search(entry.request.decoded_path))

    def _write(self, line):
        if self._file:
            self._file.write(json.dumps(line) + "\n")
