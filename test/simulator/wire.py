"""HTTP/1.1 over asyncio streams: requests in, answers out, and the connection between them.

This module knows nothing of WhatsApp, rules or faults.  A Connection reads one request at a time, sends whole
answers, and offers the primitives from which faults are built: raw bytes, a pause that ends when the client goes
away, and an abrupt reset.
"""

import asyncio
import json
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

HEAD_LIMIT = 1 << 16
BODY_LIMIT = 1 << 26
BACKLOG = 1024
GOODBYE_TIMEOUT = 0.05  # seconds that a TLS client has to answer ours
CLOSE_TIMEOUT = 1  # seconds to get rid of what the client has not read
LINGER_RESET = struct.pack("ii", 1, 0)
REASONS = {status.value: status.phrase for status in HTTPStatus}


class ClientGone(Exception):
    """The client closed or reset the connection while an answer was being prepared."""


class BadRequest(Exception):
    """The client sent no request that this server can read; has the HTTP status to answer."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request received whole.  `path` is raw: still percent-encoded and without the query."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes
    at: float
    mono: float

    @property
    def decoded_path(self):
        return unquote(self.path)

    def json(self):
        """The body as JSON; ValueError when it is not."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


@dataclass(slots=True)
class Answer:
    """One answer to send."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict = field(default_factory=dict)


def json_answer(value, status=200):
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Answer(status, body.encode("utf-8", "replace"))


def text_answer(text, status=200, content_type="text/plain; charset=utf-8"):
    return Answer(status, text.encode(), content_type)


def head_lines(answer, length, keep_alive):
    """Status line and headers, one bytes object per line; `length` None means chunked."""
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}"]
    if answer.content_type:
        lines.append(f"Content-Type: {answer.content_type}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    return [f"{line}\r\n".encode("latin-1", "replace") for line in lines] + [b"\r\n"]


class ClientReader(asyncio.StreamReader):
    """A StreamReader that can be asked whether, and awaited until, the client has gone."""

    def __init__(self, loop):
        super().__init__(limit=HEAD_LIMIT, loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self):
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc):
        super().set_exception(exc)
        self.gone.set()


class Connection:
    """One client connection.  `number` is its place among API connections, None before its first API request."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.tls = writer.get_extra_info("ssl_object") is not None
        self.number = None
        self.keep_alive = True

    async def read_request(self):
        """The next request, or None when the client is done with the connection."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError as error:
            raise BadRequest(431) from error
        method, target, version, headers = parse_head(head)
        self.keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        body = await self._read_body(headers)
        path, _, query = target.partition("?")
        query = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        return Request(method, path, query, headers, body, time.time(), time.monotonic())

    async def _read_body(self, headers):
        if "transfer-encoding" in headers:
            raise BadRequest(411)
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadRequest(400)
        if int(length) > BODY_LIMIT:
            raise BadRequest(413)
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self.reader.readexactly(int(length))

    async def send(self, answer):
        """Send a whole, undamaged answer in one write."""
        await self.write(b"".join(head_lines(answer, len(answer.body), self.keep_alive)) + answer.body)

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self, seconds):
        """Wait, but not for a client that has gone: then raise ClientGone."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self.reader.gone.wait(), seconds)
        except TimeoutError:
            return
        raise ClientGone

    async def wait_for(self, event):
        """Wait for an asyncio.Event, but not for a client that has gone: then raise ClientGone."""
        waits = [asyncio.create_task(end.wait()) for end in (event, self.reader.gone)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not event.is_set():
            raise ClientGone

    async def wait_until_gone(self):
        await self.reader.gone.wait()

    def reset(self):
        """End the connection with a TCP RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.writer.transport.abort()

    async def close(self):
        """End the connection in order; at the return it is closed, if the client takes what was sent."""
        self.writer.close()
        try:
            await asyncio.wait_for(self.writer.wait_closed(), CLOSE_TIMEOUT)
        except (OSError, TimeoutError):
            pass


def parse_head(head):
    """Method, target, version and headers (lower-case names) of a request head."""
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        return method, target, version, {sys.intern(name.lower()): value.strip() for name, value in pairs}
    except ValueError as error:
        raise BadRequest(400) from error


async def converse(connection, handle):
    """Answer the requests of one connection in turn; `handle(connection, request)` is false to hang up."""
    try:
        while (request := await connection.read_request()) is not None:
            if not await handle(connection, request) or not connection.keep_alive:
                break
    except BadRequest as error:
        connection.keep_alive = False
        await connection.send(text_answer(REASONS[error.status], error.status))
    except (ClientGone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        pass
    finally:
        await connection.close()


async def listen(client_connected, host, port, tls=None):
    """Start a server that calls `client_connected(reader, writer)` per connection; returns (server, port)."""
    loop = asyncio.get_running_loop()

    def protocol():
        return asyncio.StreamReaderProtocol(ClientReader(loop), client_connected, loop=loop)

    goodbye = {"ssl_shutdown_timeout": GOODBYE_TIMEOUT} if tls else {}
    server = await loop.create_server(protocol, host, port, ssl=tls, backlog=BACKLOG, **goodbye)
    return server, server.sockets[0].getsockname()[1]
