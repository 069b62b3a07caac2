"""The database host, its repositories on a disk and in an object store, and what the tests ask of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import testinfra
import yaml
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-pgbackrest-s3-"
KEY = "only-for-this-scenario-not-a-secret-9wLb"  # of the inventory, as the next
SECRET = "only-for-this-scenario-not-a-secret-3vTn"
DATA = "/var/lib/postgresql/17/main"
DISK = "/srv/backups"
BUCKET = "/srv/objects/backups"
STORE = "versitygw.service"

db1, objects1 = (testinfra.get_host(f"docker://{CONTAINER}{host}") for host in ("db1", "objects1"))
KEPT = {1: (db1, DISK), 2: (objects1, BUCKET)}  # the host and the directory in which each repository's files end up


def sql(statement: str) -> str:
    """The answer of the database, as its superuser."""
    return db1.check_output("runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s postgres", statement)


def switch() -> str:
    """The WAL segment that is finished, with something in it."""
    return sql("insert into words values ('more'); select pg_walfile_name(pg_switch_wal())")


def archived(segment: str, repository: int) -> bool:
    """Whether a segment is in a repository."""
    host, directory = KEPT[repository]
    return host.check_output(f"find {directory} -name '{segment}-*'") != ""


def waiting() -> int:
    """WAL segments that PostgreSQL has not got rid of yet."""
    return int(db1.check_output(f"ls {DATA}/pg_wal/archive_status | grep -c ready || true"))


def backup(kind: str):
    """What the timers run, to its end."""
    return db1.run(f"slipway-backup {kind}")


def results(identifier: str) -> dict[int, dict[str, Any]]:
    """The last result of an id for each repository."""
    latest = json.loads(db1.file("/var/lib/slipway/results/latest.json").content_string)
    found = {record["subject"]: record for record in latest if record["id"] == identifier}
    return {number: found[f"main/repo{number}"] for number in KEPT}


def verdicts(identifier: str) -> list[str]:
    return [result["verdict"] for result in results(identifier).values()]


def configure(**changes: str) -> Run:
    """Runs the role, with other options of the repository in the object store."""
    disk, store = yaml.safe_load(INVENTORY.read_text())["all"]["children"]["postgresql"]["hosts"]["db1"][
        "pgbackrest_repositories"
    ]
    return play(SCENARIO / "pgbackrest.yml", INVENTORY, pgbackrest_repositories=[disk, store | changes])
