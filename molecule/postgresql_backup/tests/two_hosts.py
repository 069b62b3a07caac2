"""The database host and the repository host, and what the tests ask of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import testinfra
from machine import until
from playbook import Run

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-postgresql-backup-"
KEY = "only-for-this-scenario-not-a-secret-8kQd"  # of the inventory
REPOSITORY = "/var/lib/pgbackrest"
DATA = "/var/lib/postgresql/17/main"
SCRATCH = "/var/lib/postgresql/slipway-drill"

db1 = testinfra.get_host(f"docker://{CONTAINER}db1")
backup1 = testinfra.get_host(f"docker://{CONTAINER}backup1")


def sql(statement: str, database: str = "shop") -> str:
    """The answer of the live database, as its superuser."""
    return db1.check_output("runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s %s", statement, database)


def info() -> dict[str, Any]:
    words = "runuser -u postgres -- pgbackrest --stanza=main --output=json info"
    return json.loads(backup1.check_output(words))[0]


def labels() -> list[str]:
    return [item["label"] for item in info()["backup"]]


def timeline() -> int:
    return int(sql("select timeline_id from pg_control_checkpoint()"))


def backup(kind: str) -> None:
    ran = backup1.run(f"slipway-backup {kind}")
    assert ran.rc == 0, ran.stdout


def drill() -> tuple[int, dict[str, Any]]:
    """What the timer runs, to its end: its exit status and the results by their last word."""
    ran = db1.run("slipway-drill postgresql")
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.rc, results("data.drill.postgresql.")


def results(beginning: str) -> dict[str, Any]:
    """The last results of ids that begin so, by the rest of the id."""
    latest = json.loads(db1.file("/var/lib/slipway/results/latest.json").content_string)
    return {item["id"].removeprefix(beginning): item for item in latest if item["id"].startswith(beginning)}


def leftovers() -> str:
    """Everything of a drill that is still on the host."""
    scopes = db1.check_output("systemctl list-units --all --plain --no-legend 'slipway-drill-postgresql-*.scope'")
    files = db1.check_output(f"ls -d {SCRATCH} /run/slipway-drill-postgresql 2>/dev/null || true")
    servers = db1.check_output(f"pgrep -u postgres -af -- '-D {SCRATCH}' || true")
    return "\n".join(filter(None, [scopes, files, servers]))


def archived(segment: str) -> str:
    """The path of a segment in the repository, once it is there."""
    find = f"find {REPOSITORY}/archive -name '{segment}-*'"
    assert until(lambda: backup1.check_output(find), 200), segment
    return backup1.check_output(find)


WRITER = r"""
import sys, time, psycopg2
connection = None
number = 0
while True:
    number += 1
    begin = time.time()
    try:
        connection = connection or psycopg2.connect("dbname=shop host=/var/run/postgresql user=postgres")
        connection.autocommit = True
        connection.cursor().execute("insert into orders values (%s, %s)", (number, "x" * (number % 50)))
        print(number, begin, time.time(), flush=True)
    except psycopg2.Error as error:
        if connection is not None and connection.closed:
            connection = None
        time.sleep(0.05)
    time.sleep(0.01)
"""


@contextmanager
def writer() -> Iterator[str]:
    """Somebody who writes rows into `orders` all the time, and notes those that were acknowledged in the file."""
    log = f"/tmp/writer-{time.time_ns()}"
    db1.check_output("printf %%s %s > /tmp/writer.py", WRITER)
    db1.check_output(
        f"systemd-run --quiet --unit=test-writer --uid=postgres -p StandardOutput=file:{log} python3 /tmp/writer.py"
    )
    try:
        assert until(lambda: db1.run(f"test -s {log}").rc == 0)
        yield log
    finally:
        db1.run("systemctl stop test-writer")


def acknowledged(log: str) -> list[tuple[int, float, float]]:
    """Number, begin and end of each row that was acknowledged."""
    lines = db1.file(log).content_string.splitlines()
    return [
        (int(a), float(b), float(c)) for a, b, c in (line.split() for line in lines if re.match(r"\d+ \S+ \S+$", line))
    ]


def interrupt(restoring: Run) -> None:
    """SIGKILL for a playbook that restores, its workers, which have sessions of their own, and what they run on db1."""
    listed = subprocess.run(["pgrep", "-P", str(restoring.process.pid)], capture_output=True, text=True, check=True)
    restoring.kill()
    for worker in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGKILL)
    for pattern in ("[p]ostgresql_restore", "[p]gbackrest.*restore$"):
        db1.check_output(f"for pid in $(pgrep -f '{pattern}'); do kill -9 $pid; done 2>/dev/null; true")
