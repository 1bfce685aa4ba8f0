"""row_members.py -- row 4: reading a list of 1,024 members.

All of it inside one session, in PL/pgSQL, so that no rows travel to the client: wawp_participants();
the parse, as jsonb, of the same text; and pgsql-http with the expansion of that jsonb into rows.  The
request alone is libcurl_limit.c's; request and parse are added up.
"""

from report import Finding, extension_version, median, spread
from row_session import run
from servers import Nginx, unpaced

TITLE = "wawp_participants of 1,024 members"
TARGET = "<= 1.5 x"
GROUP = Nginx.FULL_GROUP
MEMBERS = 1024

LOOP = """
CREATE FUNCTION bench.{name}(n int) RETURNS SETOF float8 LANGUAGE plpgsql AS $f$
DECLARE
    begun timestamptz;
    found bigint;
    body text := (SELECT body || '' FROM bench.body);     -- not to be detoasted each time
BEGIN
    FOR i IN 1..n LOOP
        begun := clock_timestamp();
        {statement};
        RETURN NEXT extract(epoch FROM clock_timestamp() - begun) * 1e6;
        IF found <> {members} THEN
            RAISE 'it found % members', found;
        END IF;
    END LOOP;
END $f$"""

WAWP = f"found := (SELECT count(*) FROM wawp_participants('{GROUP}', 'unpaced'))"
PARSE = "found := jsonb_array_length(body::jsonb)"
HTTP = """found := (SELECT count(*) FROM jsonb_to_recordset((SELECT content::jsonb FROM http_get('{url}')))
            AS m(id jsonb, "isAdmin" bool, "isSuperAdmin" bool))"""


def member_url(bench):
    return f"{bench.nginx.base_url}/v2/groups/{GROUP.replace('@', '%40')}/participants"


def define(session, name, statement):
    session.ask(LOOP.format(name=name, statement=statement, members=MEMBERS))


def prepare(bench, session):
    body = (bench.nginx.directory / "members.json").read_text(encoding="ascii")
    session.ask(f"CREATE TABLE bench.body AS SELECT $j${body}$j$ AS body")
    define(session, "wawp", WAWP)
    define(session, "parse", PARSE)
    if extension_version("http"):
        session.ask("CREATE EXTENSION http")
        session.ask("SELECT http_set_curlopt('CURLOPT_TCP_KEEPALIVE', '1')")
        define(session, "http", HTTP.format(url=member_url(bench)))


def loop(session, name, count):
    return median([float(line) for line in session.ask(f"SELECT * FROM bench.{name}({count})").split("\n")])


def take(bench, session, count):
    """Median microseconds by name, each after the other in one round."""
    round_ = {"request": median([line[0] for line in run(["libcurl_limit", "get", member_url(bench), count])])}
    for name in ("parse", "wawp") + (("http",) if extension_version("http") else ()):
        round_[name] = loop(session, name, count)
    bench.say(", ".join(f"{name} {value:.0f} us" for name, value in round_.items()))
    return round_


def measure(bench):
    count = bench.scaled(300, 60)
    cluster = bench.cluster()
    session = cluster.database("members", ("unpaced", unpaced(bench.nginx.base_url)))
    try:
        prepare(bench, session)
        rounds = [take(bench, session, count) for _ in range(bench.runs)]
    finally:
        cluster.drop(session, "members")
    return conclude(rounds)


def conclude(rounds):
    def of(*names):
        return [sum(round_[name] for name in names) for round_ in rounds]

    ours = spread(of("wawp"), "{:.0f}") + " us"
    ratio = median(of("wawp")) / median(of("request", "parse"))
    findings = [Finding(4, TITLE, ours,
                        f"libcurl request {spread(of('request'), '{:.0f}')} us + parse by jsonb"
                        f" {spread(of('parse'), '{:.0f}')} us", f"{ratio:.2f} x", TARGET, ratio <= 1.5)]
    if "http" not in rounds[0]:
        return findings + [Finding(4, TITLE, ours, "pgsql-http: skipped, not installed", "", "pgsql-http slower", None)]
    ratio = median(of("http")) / median(of("wawp"))
    return findings + [Finding(4, TITLE, ours, f"pgsql-http + jsonb_to_recordset: {spread(of('http'), '{:.0f}')} us",
                               f"{ratio:.2f} x slower", "pgsql-http slower", ratio > 1)]
