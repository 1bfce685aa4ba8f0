"""row_webhook.py -- row 11: an event that the gateway sends is accepted, one a transaction.

wawp: SELECT ... FROM wawp_webhook(...), timed at the client, while the worker applies what was accepted.
Against a plain INSERT of the payload into a table with a primary key.  One client, one event after the
other, fsync on; the same bodies, a message as WAHA's engine GOWS sends it and one with a thumbnail.
"""

import hashlib
import hmac
import json

from report import Finding, median, spread
from row_session import run
from servers import unpaced

TITLE = "accepting an event"
TARGET = ">= 0.5 x the rate"
SECRET = "bench"
SIZES = {"2 kB": 1200, "100 kB": 100000}

# A payload arrives as plain text: what is read from a table would be stored again as it is there, compressed.
CALL = ("SELECT w.status FROM bench.event e, wawp_webhook(e.body || '', e.signature, 'unpaced') w"
        " WHERE e.n = $1::bigint + {first}")
PLAIN = "INSERT INTO bench.plain (body) SELECT body || '' FROM bench.event WHERE n = $1::bigint + {first}"


def body(number, padding):
    return json.dumps({
        "id": f"evt_{number:026d}", "timestamp": 1796000000000, "event": "message", "session": "bench", "metadata": {},
        "me": {"id": "15550000001@c.us", "lid": "900000000000001@lid", "pushName": "Bench"}, "engine": "GOWS",
        "environment": {"version": "2026.9.2", "engine": "GOWS", "tier": "PLUS"},
        "payload": {"id": f"false_1555{number:07d}@c.us_{number:X}", "timestamp": 1795999990, "from": f"1555{number:07d}@c.us",
                    "fromMe": False, "source": "app", "to": None, "participant": None, "body": "When does it begin?",
                    "hasMedia": False, "media": None, "ack": 1, "replyTo": None,
                    "_data": {"Info": {"Sender": f"1555{number:07d}:3@s.whatsapp.net", "PushName": "Somebody"},
                              "thumbnail": hashlib.sha512(str(number).encode()).hexdigest() * (padding // 128)}}})


def fill(session, first, count, padding):
    for start in range(first, first + count, 100):
        rows = []
        for number in range(start, min(start + 100, first + count)):
            text = body(number, padding)
            rows.append(f"({number}, $b${text}$b$, '{hmac.new(SECRET.encode(), text.encode(), 'sha512').hexdigest()}')")
        session.ask("INSERT INTO bench.event VALUES " + ", ".join(rows))


def rate(cluster, sql, first, count):
    return 1e6 / median([line[0] for line in run(["stopwatch", "statement", cluster.conninfo("webhook"), count, sql.format(first=first)])])


def measure(bench):
    count = bench.scaled(2000, 300)
    cluster = bench.cluster()
    session = cluster.database("webhook", ("unpaced", unpaced(bench.nginx.base_url)))
    findings = []
    try:
        session.ask(f"ALTER USER MAPPING FOR PUBLIC SERVER unpaced OPTIONS (ADD webhook_secret '{SECRET}')")
        session.ask("CREATE TABLE bench.event (n bigint PRIMARY KEY, body text, signature text)")
        session.ask("CREATE TABLE bench.plain (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)")
        first = 1
        for name, padding in SIZES.items():
            ours, theirs = [], []
            for _ in range(bench.runs):
                fill(session, first, count, padding)
                session.ask("CHECKPOINT")
                theirs.append(rate(cluster, PLAIN, first - 1, count))
                ours.append(rate(cluster, CALL, first - 1, count))
                first += count
                bench.say(f"{name}: plain {theirs[-1]:.0f}/s, wawp {ours[-1]:.0f}/s")
            ratio = median(ours) / median(theirs)
            findings.append(Finding(11, f"accept an event of {name}", spread(ours, "{:.0f}") + "/s",
                                    f"plain INSERT of the payload: {spread(theirs, '{:.0f}')}/s",
                                    f"{ratio:.2f} x", TARGET, ratio >= 0.5))
    finally:
        cluster.drop(session, "webhook")
    return findings
