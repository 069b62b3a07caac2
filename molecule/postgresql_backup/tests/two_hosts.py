"""The database host and the repository host, and what the tests ask of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import testinfra
from database import Database
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
database = Database(db1)
sql, timeline, writer, acknowledged = database.sql, database.timeline, database.writer, database.acknowledged


def info() -> dict[str, Any]:
    words = "runuser -u postgres -- pgbackrest --stanza=main --output=json info"
    return json.loads(backup1.check_output(words))[0]


def labels() -> list[str]:
    return [item["label"] for item in info()["backup"]]


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


def interrupt(restoring: Run) -> None:
    """SIGKILL for a playbook that restores, its workers, which have sessions of their own, and what they run on db1."""
    listed = subprocess.run(["pgrep", "-P", str(restoring.process.pid)], capture_output=True, text=True, check=True)
    restoring.kill()
    for worker in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGKILL)
    for pattern in ("[p]ostgresql_restore", "[p]gbackrest.*restore$"):
        db1.check_output(f"for pid in $(pgrep -f '{pattern}'); do kill -9 $pid; done 2>/dev/null; true")
