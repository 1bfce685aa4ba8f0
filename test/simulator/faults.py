"""Faults of answers: delayed, damaged or cut off.

A fault is a JSON object; each key below is independent and combines with the others where that makes sense:

    gate true           wait until the rules are cleared
    delay S             wait before the first byte
    slow_headers S      wait before each header line
    slow_body S         wait before each piece of the body, of `chunk` bytes (16)
    trickle N           send the body at N bytes a second
    hang true           never answer; keep the connection until the client leaves
    reset WHEN          TCP RST; WHEN is before (the request has no effect), after (it has), mid_body
    close WHEN          same with a FIN; mid_body announces more bytes than it sends
    truncate_json true  a complete HTTP message, its JSON cut in half
    big N               pad the body to N bytes of valid JSON, produced while sending
    chunked true        Transfer-Encoding: chunked instead of a length
    bad_utf8, nul true  put such bytes into the first JSON string of the body
    content_type T      send another content type
    coding C            encode the body, unasked: gzip or deflate
    big_headers N       N bytes of additional headers
    close_after true    announce keep-alive, answer, then close
    random {p, seed, status}
                        apply the rule with probability p only; with `status`, answer that
"""

import gzip
import json
import zlib
from dataclasses import replace
from itertools import chain

from wire import head_lines

PIECE = 1 << 16
HEADER_LINE = 1000
LAND = 0.05             # seconds that let half an answer arrive before the connection breaks
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}
BREAKERS = ("reset", "close")
BREAK_TIMES = ("before", "after", "mid_body")
KEYS = frozenset((
    "gate", "delay", "slow_headers", "slow_body", "chunk", "trickle", "hang", "reset", "close", "truncate_json", "big",
    "chunked", "bad_utf8", "nul", "content_type", "coding", "big_headers", "close_after", "random"))


def check(fault):
    """Raise ValueError for a fault this module would not understand."""
    unknown = set(fault) - KEYS
    if unknown:
        raise ValueError(f"unknown fault: {', '.join(sorted(unknown))}")
    if fault.get("coding", "gzip") not in CODINGS:
        raise ValueError(f"coding must be one of: {', '.join(CODINGS)}")
    for breaker in BREAKERS:
        if fault.get(breaker, "after") not in BREAK_TIMES:
            raise ValueError(f"{breaker} must be one of: {', '.join(BREAK_TIMES)}")


def break_point(fault):
    """(breaker, when) of a fault that breaks the connection, else (None, None)."""
    return next(((breaker, fault[breaker]) for breaker in BREAKERS if breaker in fault), (None, None))


async def deliver(connection, answer, fault, answered):
    """Send the answer as the fault wants it; true when the connection can take another request.

    `answered(status)` is called just before the first byte leaves, never for an answer that is not sent.
    """
    if not fault:
        answered(answer.status)
        await connection.send(answer)
        return True
    answer = damaged(answer, fault)
    breaker, when = break_point(fault)
    await connection.pause(fault.get("delay", 0))
    if fault.get("hang"):
        await connection.wait_until_gone()
        return False
    if breaker is None or when == "mid_body":
        answered(answer.status)
        await send_slowly(connection, answer, fault, cut=breaker is not None)
        if breaker is None:
            return not fault.get("close_after")
        await connection.pause(LAND)
    getattr(connection, breaker)()
    return False


def damaged(answer, fault):
    """The answer with its body and headers altered as the fault says."""
    body = answer.body
    for key, damage in DAMAGES.items():
        if fault.get(key):
            body = damage(body)
    headers = {**answer.headers, **padding_headers(fault.get("big_headers", 0))}
    if coding := fault.get("coding"):
        body, headers["Content-Encoding"] = CODINGS[coding](body), coding
    return replace(answer, body=body, content_type=fault.get("content_type", answer.content_type), headers=headers)


def put_in_first_string(junk):
    """A damage that puts `junk` behind the first quote of a body, or at the end of one without quotes."""
    def damage(body):
        before, quote, rest = body.partition(b'"')
        return before + quote + junk + rest
    return damage


DAMAGES = {
    "truncate_json": lambda body: body[:len(body) // 2],
    "bad_utf8": put_in_first_string(b"\xff\xfe"),
    "nul": put_in_first_string(b"\0"),
}


def padding_headers(size):
    """Headers of about `size` bytes together."""
    return {f"X-Padding-{n}": "x" * min(HEADER_LINE, size - start)
            for n, start in enumerate(range(0, size, HEADER_LINE))}


async def send_slowly(connection, answer, fault, cut):
    """Send an answer piece by piece; `cut` stops half-way through the body."""
    body, length = padded(answer.body, fault.get("big", 0))
    chunked = fault.get("chunked", False)
    lines = head_lines(answer, None if chunked else length, connection.keep_alive)
    await send_head(connection, lines, fault.get("slow_headers", 0))
    size, pause = pace(fault)
    for piece in pieces(body, size, length // 2 if cut else length):
        await connection.pause(pause)
        await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked and not cut:
        await connection.write(b"0\r\n\r\n")


async def send_head(connection, lines, pause):
    if not pause:
        return await connection.write(b"".join(lines))
    for line in lines:
        await connection.pause(pause)
        await connection.write(line)


def pace(fault):
    """Bytes per piece of the body and the pause before each."""
    if "trickle" in fault:
        size = max(1, int(fault["trickle"] // 10))
        return size, size / fault["trickle"]
    if "slow_body" in fault:
        return fault.get("chunk", 16), fault["slow_body"]
    return fault.get("chunk", PIECE), 0


def padded(body, size):
    """The body as an iterable of parts, padded to `size` bytes of JSON, and its length.

    An object gets one long string member, anything else blanks at its end.
    """
    if is_filled_object(body):
        head, byte, tail = b'{"padding":"', b"x", b'",' + body[1:]
    else:
        head, byte, tail = body, b" ", b""
    missing = size - len(head) - len(tail)
    if missing <= 0:
        return (body,), len(body)
    return chain((head,), filler(byte, missing), (tail,)), size


def filler(byte, size):
    """`size` times the byte, in parts of bounded size."""
    block = byte * PIECE
    for start in range(0, size, PIECE):
        yield block[:size - start]


def is_filled_object(body):
    try:
        value = json.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and bool(value)


def pieces(parts, size, limit):
    """The parts re-cut into pieces of at most `size` bytes, `limit` bytes together."""
    for part in parts:
        for start in range(0, len(part), size):
            piece = part[start:start + min(size, limit)]
            if not piece:
                return
            limit -= len(piece)
            yield piece
