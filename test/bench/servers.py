"""servers.py -- the private servers of a bench run: PostgreSQL, nginx, arrivals.

Everything lives below $WAWP_SANDBOX (test/harness/lib.sh), listens on Unix sockets or on a free port
of 127.0.0.1, and is ended by close().  PostgreSQL runs with fsync on and its standard durability.
"""

import http.client
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

SANDBOX = Path(os.environ["WAWP_SANDBOX"])
PROGRAMS = SANDBOX / "programs"
INSTANCE_ID = "BENCH"       # as in libcurl_limit.c
TOKEN = "secret"

# Large enough that no checkpoint falls into a measurement by itself; all about durability is as it
# comes.  Full speed shall meet fsync, not the log or the statistics collector's defaults.
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
port = {port}
shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 1h
log_line_prefix = '%m [%p] %b '
"""


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


def unpaced(base_url, **more):
    """Options of an instance as fast as it goes."""
    return {"instance_id": INSTANCE_ID, "base_url": base_url, "adds_per_minute": 0, "concurrency": 64, **more}


def until(condition, seconds, what, interval=0.02):
    """Polls until condition() is true; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"{what} did not happen within {seconds} s")
        time.sleep(interval)


class Session:
    """One psql that stays connected; one statement at a time."""

    MARK = "@@bench@@"

    def __init__(self, cluster, database):
        self.errors = []
        self.psql = subprocess.Popen(
            ["psql", "-XAtq", "-F", "|", "-h", str(cluster.socket_dir), "-p", str(cluster.port), "-d", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._collect_errors, daemon=True).start()

    def _collect_errors(self):
        for line in self.psql.stderr:
            self.errors.append(line)

    def ask(self, sql):
        """Runs one statement; its rows as psql prints them.  Raises what it raises."""
        self.psql.stdin.write(f"{sql.rstrip().rstrip(';')};\n\\echo {self.MARK} :ERROR\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.startswith(self.MARK):
                if line.split()[1] == "true":
                    time.sleep(0.1)     # the error's text comes by another pipe
                    raise BenchError(f"{sql[:200]}: {''.join(self.errors[-5:])}")
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise BenchError(f"psql ended: {''.join(self.errors[-5:])}")

    def number(self, sql):
        return float(self.ask(sql))

    def timed(self, sql):
        """Seconds that a statement takes, commit included."""
        start = time.monotonic()
        self.ask(sql)
        return time.monotonic() - start

    def close(self):
        if self.psql.poll() is None:
            self.psql.stdin.close()
            self.psql.wait(timeout=60)


class Cluster:
    """A PostgreSQL server that finds wawp in the stage."""

    next_port = 5432

    def __init__(self, name, preload=("wawp",), settings=""):
        self.name = name
        self.directory = SANDBOX / name
        self.socket_dir = SANDBOX / "sock"
        self.port = Cluster.next_port
        self.sessions = []
        Cluster.next_port += 1
        self._run("initdb", "-D", str(self.directory), "-A", "trust", "--no-locale", "-E", "UTF8")
        with open(self.directory / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write((SANDBOX / "conf").read_text(encoding="utf-8"))
            conf.write(SETTINGS.format(socket_dir=self.socket_dir, port=self.port))
            conf.write(f"shared_preload_libraries = '{','.join(preload)}'\n{settings}\n")
        self.start()

    def _run(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{command[0]}: {done.stdout[-2000:]}")

    def start(self):
        # pg_ctl hands its output on to the postmaster: no pipe, which would never end
        log = self.directory.with_suffix(".log")
        done = subprocess.run(["pg_ctl", "-D", str(self.directory), "-w", "-t", "120", "-l", str(log), "start"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise BenchError(f"{self.name} did not start: {log.read_text(errors='replace')[-2000:]}")

    def stop(self):
        self._run("pg_ctl", "-D", str(self.directory), "-w", "-t", "120", "-m", "fast", "stop")

    def session(self, database="postgres"):
        session = Session(self, database)
        self.sessions.append(session)
        return session

    def conninfo(self, database):
        return f"host={self.socket_dir} port={self.port} dbname={database}"

    def database(self, name, *servers):
        """A new database with wawp and instances (name, options); a session in it."""
        control = self.session()
        control.ask(f"CREATE DATABASE {name}")
        control.close()
        session = self.session(name)
        session.ask("SET client_min_messages = warning")
        session.ask("CREATE EXTENSION wawp")
        session.ask("CREATE SCHEMA bench")
        for instance, options in servers:
            listed = ", ".join(f"{key} '{value}'" for key, value in options.items())
            session.ask(f"CREATE SERVER {instance} FOREIGN DATA WRAPPER wawp OPTIONS ({listed})")
            session.ask(f"CREATE USER MAPPING FOR PUBLIC SERVER {instance} OPTIONS (access_token '{TOKEN}')")
            # the lists do not grow, but what was added since they were read counts: no group gets full; an add is one request
            session.ask("INSERT INTO wawp.group_settings (instance, group_jid, capacity, check_exists)"
                        f" SELECT '{instance}', '120363' || lpad(i::text, 12, '0') || '@g.us', 1000000000, false"
                        " FROM generate_series(0, 999) i")
        until(lambda: self.worker_pid(session), 30, "the worker's start")
        return session

    @staticmethod
    def worker_pid(session):
        return session.ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'wawp worker'"
                           " AND datname = current_database()")

    def drop(self, session, name):
        session.close()
        self.sessions.remove(session)
        control = self.session()
        control.ask(f"DROP DATABASE {name} WITH (FORCE)")
        control.close()

    def close(self):
        for session in self.sessions:
            session.psql.kill()
        subprocess.run(["pg_ctl", "-D", str(self.directory), "-w", "-m", "immediate", "stop"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["rm", "-rf", str(self.directory)], check=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {dir}/pid;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=16384;
        root {dir};
        location = /bench/status {{ stub_status; }}
        location = /v2/groups/{full_group}/participants {{ try_files /members.json =404; }}
        location ~ ^/v2/groups/[^/]+/participants$ {{ try_files /few.json =404; }}
        location /v2/ {{ return 200 '{{"ok":true}}'; }}
    }}
}}
"""


class Nginx:
    """The API as fast as it can be answered: {"ok":true}, and lists of members: 1,024 in one group, few in others."""

    FULL_GROUP = "120363000000009999@g.us"

    def __init__(self, members, few):
        self.directory = SANDBOX / "nginx"
        self.directory.mkdir()
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._write_files(members, few)
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.directory), "-e", str(self.directory / "error.log"),
             "-c", str(self.directory / "nginx.conf")], stdin=subprocess.DEVNULL)
        until(self._answers, 20, "nginx' start")

    def _write_files(self, members, few):
        import resource
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = 65536 if files == resource.RLIM_INFINITY else min(files, 65536)
        (self.directory / "members.json").write_text(members, encoding="ascii")
        (self.directory / "few.json").write_text(few, encoding="ascii")
        (self.directory / "nginx.conf").write_text(
            NGINX.format(dir=self.directory, port=self.port, files=files, connections=files - 64,
                         full_group=self.FULL_GROUP), encoding="ascii")

    def _answers(self):
        if self.process.poll() is not None:
            raise BenchError((self.directory / "error.log").read_text()[-2000:])
        try:
            return self.status() is not None
        except OSError:
            return False

    def status(self):
        """How many requests it has answered; those of this function do not count."""
        self.asked = getattr(self, "asked", 0) + 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/bench/status")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        return int(re.search(r"^ *\d+ +\d+ +(\d+)", text, re.M).group(1)) - self.asked

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Arrivals:
    """arrivals.c: when each request came."""

    def __init__(self):
        self.file = SANDBOX / f"arrivals.{time.monotonic_ns()}"
        self.process = subprocess.Popen([str(PROGRAMS / "arrivals"), str(self.file)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.port}"

    def requests(self):
        """(nanoseconds, request's bytes) of each, in order."""
        data = self.file.read_bytes()
        at = 0
        found = []
        while at < len(data):
            line_end = data.index(b"\n", at)
            stamp, length = map(int, data[at:line_end].split())
            found.append((stamp, data[line_end + 1:line_end + 1 + length]))
            at = line_end + 1 + length + 1
        return found

    def additions(self):
        """Of these the additions; the others are by which the extension looks first."""
        return [(stamp, request) for stamp, request in self.requests() if b"/participants/add " in request.split(b"\r\n", 1)[0]]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
