"""The three members and the host with the entry points, and what the tests ask of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import testinfra
from machine import crowding, until

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-postgresql-ha-"
MEMBERS = ("db1", "db2", "db3")
CA = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
PRESET = os.environ.get("SLIPWAY_PATRONI_PRESET", "fast")
SYNCHRONOUS = os.environ.get("SLIPWAY_PATRONI_SYNCHRONOUS", "on")
PROMISE = {"fast": 30, "normal": 45, "safe": 90}[PRESET]  # seconds until writes are accepted again
REPLICAS = {"on": ["replica", "sync_standby"], "strict": ["replica", "sync_standby"], "quorum": ["quorum_standby"] * 2}
ENTRY, POOL = 5000, 6432  # ports of the entry point for writers, and of pgBouncer in front of it
MEASURED: list[str] = []  # lines for a person, at the end of the run

hosts = {name: testinfra.get_host(f"docker://{CONTAINER}{name}") for name in MEMBERS}
proxy = testinfra.get_host(f"docker://{CONTAINER}proxy1")


def patroni(path: str, member: str) -> Any:
    """What a member's REST API answers to the proxy's host, None when it is silent."""
    ran = proxy.run(f"curl --silent --max-time 3 --cacert {CA} https://{member}:8008{path}")
    return json.loads(ran.stdout) if ran.rc == 0 and ran.stdout else None


def cluster(*asked: str) -> dict[str, dict[str, Any]]:
    """The members by name, as who knows the newest timeline sees them; one that was cut off knows an older one."""
    answers = [patroni("/cluster", member) or {} for member in asked or MEMBERS]
    newest = max(answers, key=lambda told: max((it.get("timeline", 0) for it in told.get("members", [])), default=0))
    return {entry["name"]: entry for entry in newest.get("members", [])}


def leader(*asked: str) -> str:
    """Who leads; empty when nobody does."""
    return next((name for name, entry in cluster(*asked).items() if entry["role"] == "leader"), "")


def whole(synchronous: bool = True) -> bool:
    """One leads, two stream, those synchronously that shall, all on one timeline."""
    entries = cluster()
    states = sorted((entry["role"], entry["state"]) for entry in entries.values())
    replicas = REPLICAS[SYNCHRONOUS] if synchronous else ["replica"] * 2
    wanted = [("leader", "running"), *((role, "streaming") for role in replicas)]
    return states == wanted and len({entry.get("timeline") for entry in entries.values()}) == 1


def wait_until_whole(seconds: float = 60, synchronous: bool = True) -> None:
    assert until(lambda: whole(synchronous), seconds * crowding(), pause=0.5), cluster()


def others(name: str) -> list[str]:
    return [member for member in MEMBERS if member != name]


def sql(statement: str, member: str, database: str = "shop") -> str:
    """The answer of one member's server, as its superuser."""
    return hosts[member].check_output(
        "runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s %s", statement, database
    )


def is_writable(member: str) -> bool:
    """Whether its server would accept a write by itself, whatever the others think."""
    ran = hosts[member].run("runuser -u postgres -- psql -XAtq -c 'SELECT pg_is_in_recovery()' postgres")
    return ran.rc == 0 and ran.stdout.strip() == "f"


@dataclass
class Writer:
    """Somebody who writes rows all the time."""

    log: str

    def lines(self) -> list[list[str]]:
        return [line.split(maxsplit=2) for line in proxy.file(self.log).content_string.splitlines()]

    def acknowledged(self) -> list[tuple[int, float]]:
        """Number and moment of each row that was acknowledged."""
        return [(int(words[0]), float(words[1])) for words in self.lines() if words[0].isdecimal()]

    def errors(self) -> str:
        return "\n".join(" ".join(words) for words in self.lines() if not words[0].isdecimal())

    def writes(self, after: float = 0, rows: int = 20) -> bool:
        """Whether it has had so many rows acknowledged after a moment."""
        return sum(moment > after for _, moment in self.acknowledged()) >= rows

    def gap(self) -> float:
        """The longest time without an acknowledged row, seconds."""
        moments = [moment for _, moment in self.acknowledged()]
        return max(later - earlier for earlier, later in pairwise(moments))

    def lost(self) -> set[int]:
        """Acknowledged rows that the cluster does not have."""
        there = {int(number) for number in sql("SELECT number FROM rows", leader()).split()}
        return {number for number, _ in self.acknowledged()} - there


@contextmanager
def writer(port: int = ENTRY, anew: bool = False) -> Iterator[Writer]:
    """It writes when this begins, by one connection or by a new one for each row; it is stopped at the end."""
    unit, log = f"writer-{time.time_ns()}", f"/var/tmp/writer-{time.time_ns()}"
    sql("CREATE TABLE IF NOT EXISTS rows (number bigint PRIMARY KEY)", leader())
    sql("ALTER TABLE rows OWNER TO shop_owner", leader())
    last = int(sql("SELECT coalesce(max(number), 0) FROM rows", leader()))
    words = [str(last + 1_000_000), str(port), "anew"] if anew else [str(last), str(port)]  # two have their own numbers
    program = (Path(__file__).parent / "writer.py").read_text(encoding="utf-8")
    proxy.check_output("printf %%s %s > /var/tmp/writer.py", program)
    proxy.check_output(
        f"systemd-run --quiet --unit={unit} -p StandardOutput=file:{log} python3 /var/tmp/writer.py {' '.join(words)}"
    )
    found = Writer(log)
    try:
        assert until(found.writes, 20 * crowding(), pause=0.3), proxy.file(log).content_string
        yield found
    finally:
        proxy.run(f"systemctl stop {unit}")


@contextmanager
def cut_off(member: str) -> Iterator[None]:
    """Nobody reaches it, and it reaches nobody."""
    route = hosts[member].check_output("ip route show default")
    hosts[member].check_output("ip link set eth0 down")
    try:
        yield
    finally:
        hosts[member].check_output(f"ip link set eth0 up && ip route replace {route}")


def note(what: str, found: Writer, lost: set[int]) -> None:
    """For the person who reads the run."""
    rows = len(found.acknowledged())
    MEASURED.append(f"{what}: {found.gap():.1f} s without a write, {len(lost)} of {rows} acknowledged rows lost")
