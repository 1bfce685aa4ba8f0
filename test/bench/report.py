"""report.py -- what a row found, the table, and the facts about the machine."""

import datetime
import math
import os
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from servers import SANDBOX


@dataclass
class Finding:
    """One line of the table."""

    row: int
    what: str
    ours: str
    against: str
    ratio: str
    target: str
    met: object             # True, False, or None: not measured
    notes: list = field(default_factory=list)


def median(values):
    return statistics.median(values)


def percentile(values, share):
    """The smallest value that at least that share of all do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)]


def spread(values, form="{:.2f}"):
    """Median and extremes, as text."""
    text = form.format(median(values))
    if len(values) > 1:
        text += f" ({form.format(min(values))}-{form.format(max(values))})"
    return text


def spread_rate(count, seconds):
    return spread([count / s for s in seconds], "{:,.0f}") + "/s"


def table(findings):
    lines = ["| row | what | wawp | against | ratio | target | met |", "|---|---|---|---|---|---|---|"]
    for f in findings:
        met = "not measured" if f.met is None else "yes" if f.met else "**no**"
        lines.append(f"| {f.row} | {f.what} | {f.ours} | {f.against} | {f.ratio} | {f.target} | {met} |")
    lines.append("")
    for f in findings:
        lines.extend(f"- Row {f.row}: {note}" for note in f.notes)
    return "\n".join(lines)


def _first_line(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip().split("\n")[0]


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb():
    with open("/proc/meminfo", encoding="utf-8") as info:
        return int(info.readline().split()[1]) / 1024 / 1024


def _fsync_ms():
    """What a commit's flush costs here: 8 kB and fdatasync, the median of 200."""
    path = SANDBOX / "fsync.probe"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    took = []
    os.pwrite(file, bytes(1 << 20), 0)
    os.fsync(file)
    for i in range(200):
        start = time.perf_counter()
        os.pwrite(file, bytes(8192), i % 128 * 8192)
        os.fdatasync(file)
        took.append((time.perf_counter() - start) * 1000)
    os.close(file)
    path.unlink()
    return median(took)


def extension_version(name):
    """The version of an extension that this PostgreSQL has; None if it has none."""
    share = _first_line("pg_config", "--sharedir")
    try:
        control = (Path(share) / "extension" / f"{name}.control").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return re.search(r"^default_version *= *'([^']*)'", control, re.M).group(1)


def _peers():
    found = [f"{shown} {extension_version(name)}" for name, shown in (("pg_net", "pg_net"), ("http", "pgsql-http"))
             if extension_version(name)]
    return "".join(f"; {peer}" for peer in found)


def machine(revision):
    """Lines about where and with what this was measured."""
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return [
        f"- {today}, wawp {revision}",
        f"- {_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, Linux {platform.release()};"
        f" load when it began: {os.getloadavg()[0]:.2f}",
        f"- fsync on; 8 kB and fdatasync: {_fsync_ms():.2f} ms"
        f" ({_first_line('stat', '-f', '-c', '%T', str(SANDBOX))} file system)",
        f"- {_first_line('postgres', '--version')}; {_first_line('curl-config', '--version')};"
        f" {_first_line('nginx', '-v')}; {platform.python_implementation()} {platform.python_version()}"
        + _peers(),
    ]
