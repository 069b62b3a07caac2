"""The primary, its standby, a host for copies and the repository host, and what the tests ask of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import testinfra
from database import Database
from machine import until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-postgresql-restore-"
KEY = "only-for-this-scenario-not-a-secret-7tRm"  # of the inventory, as the next
REPLICATION = "copies-in-this-scenario"
DATA = "/var/lib/postgresql/17/main"
REPOSITORY = "/var/lib/pgbackrest"

db1, db2, copy1 = (Database(testinfra.get_host(f"docker://{CONTAINER}{host}")) for host in ("db1", "db2", "copy1"))
backup1 = testinfra.get_host(f"docker://{CONTAINER}backup1")


def restore(host: str = "db1", **variables: Any) -> Run:
    """The playbook, confirmed."""
    return play("restore", INVENTORY, restore_host=host, restore_confirm=f"{host}/main", **variables)


def backup(kind: str) -> dict[str, Any]:
    """Makes one, and tells what pgBackRest knows of it."""
    ran = backup1.run(f"slipway-backup {kind}")
    assert ran.rc == 0, ran.stdout
    return newest_backup()


def newest_backup() -> dict[str, Any]:
    told = backup1.check_output("runuser -u postgres -- pgbackrest --stanza=main --output=json info")
    return json.loads(told)[0]["backup"][-1]


def archived_timelines() -> set[str]:
    """The timelines of which there is WAL in the repository, or a history."""
    return set(
        backup1.check_output(
            f"find {REPOSITORY}/archive -type f -regextype egrep -regex '.*/[0-9A-F]{{8}}.*'"
            " -printf '%%f\\n' | cut -c 1-8 | sort -u"
        ).split()
    )


def numbers(database: Database) -> set[int]:
    return {int(number) for number in database.sql("select number from orders").split()}


def follows(seconds: float = 60) -> bool:
    """Whether the standby gets what is written on the primary, once it has caught up."""
    db1.sql("create table if not exists marks (made timestamptz)")
    mark = db1.sql("insert into marks values (clock_timestamp()) returning made")

    def arrived() -> bool:
        asked = (
            f"runuser -u postgres -- psql -XAtqc \"select pg_is_in_recovery() from marks where made = '{mark}'\" shop"
        )
        return db2.host.run(asked).stdout.strip() == "t"

    return until(arrived, seconds)
