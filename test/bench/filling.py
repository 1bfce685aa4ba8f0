"""filling.py -- people for the queue: the same ones for wawp, libcurl and pg_net."""

import subprocess
import time

from servers import PROGRAMS, BenchError, until


def group_jid(number):
    return f"120363{number:012d}@g.us"


def person_jid(number):
    return f"1{number + 2000000000:010d}@c.us"


def people(first, count, groups):
    """(group, jid) of `count` new people, in `groups` groups by turns."""
    return [(group_jid(i % groups), person_jid(first + i)) for i in range(count)]


# The same as SQL, for a generate_series i that begins with 0.
def people_sql(first, count, groups, first_group=0):
    return (f"SELECT '120363' || lpad((i % {groups} + {first_group})::text, 12, '0') || '@g.us' AS group_jid,"
            f" '1' || lpad((i + {first + 2000000000})::text, 10, '0') || '@c.us' AS jid"
            f" FROM generate_series(0::bigint, {count - 1}) i")


def enqueue_sql(instance, source):
    return ("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, invite)"
            f" SELECT group_jid, jid, '{instance}', false, false FROM ({source}) p")


def is_drained_sql(instance):
    """Is nothing of an instance queued or under way?  Two looks into an index, which disturb nobody."""
    return ("SELECT /* bench */ NOT EXISTS (SELECT FROM wawp.membership_intent"
            f" WHERE state = 'queued' AND instance = '{instance}' AND id > 0)"
            " AND NOT EXISTS (SELECT FROM wawp.membership_intent WHERE state IN"
            f" ('sending', 'verifying', 'inviting', 'invited', 'pending_approval') AND instance = '{instance}')")


def await_drained(bench, session, instance, before, count, seconds=1800):
    """Waits until nginx has served `count` requests since it had served `before`, and all is settled.

    Watches nginx while requests leave, so that the queue is not read meanwhile.  The requests are those
    of the intents and, before the first of a group, its member list.
    """
    until(lambda: bench.nginx.status() - before >= count, seconds, f"{count} requests")
    until(lambda: session.ask(is_drained_sql(instance)) == "t", 60, "settling the last requests", interval=0.005)


def drain(bench, session, instance, count):
    """Lets a paused instance go; seconds until all of `count` queued intents were settled."""
    before = bench.nginx.status()
    start = time.monotonic()
    session.ask(f"SELECT wawp_resume('{instance}')")
    await_drained(bench, session, instance, before, count)
    return time.monotonic() - start


def run_multi(base_url, pairs, in_flight=64):
    """Seconds that the curl_multi loop takes for the same people."""
    done = subprocess.run([str(PROGRAMS / "libcurl_limit"), "multi", base_url, str(in_flight)],
                          input="".join(f"{group} {jid}\n" for group, jid in pairs),
                          stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    answered, refused, seconds = done.stdout.split()
    if int(answered) != len(pairs) or int(refused) != 0:
        raise BenchError(f"libcurl alone: {answered} of {len(pairs)} requests were answered with 200")
    return float(seconds)
