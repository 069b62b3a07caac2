"""The two hosts, and what the tests ask of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import testinfra
from machine import until

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-pgbackrest-"
KEY = "only-for-this-scenario-not-a-secret-5fXw"  # of the inventory, as the next
REPLICATION = "copies-in-this-scenario"
REPOSITORY = "/var/lib/pgbackrest"
WAL = "/var/lib/postgresql/17/main/pg_wal"

db1, db2, backup1, lone1 = (
    testinfra.get_host(f"docker://{CONTAINER}{host}") for host in ("db1", "db2", "backup1", "lone1")
)


def sql(statement: str) -> str:
    """The answer of the database, as its superuser."""
    return db1.check_output("runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c %s postgres", statement)


def pgbackrest(host, words: str, code: int = 0) -> str:
    """Both outputs of pgBackRest as its user; it must end with the given status."""
    ran = host.run(f"runuser -u postgres -- pgbackrest --stanza=main {words}")
    assert ran.rc == code, (words, ran.rc, ran.stdout, ran.stderr)
    return ran.stdout + ran.stderr


def info() -> dict[str, Any]:
    return json.loads(pgbackrest(backup1, "info --output=json"))[0]


def kinds() -> list[str]:
    """The types of the backups that are there, the oldest first."""
    return [backup["type"] for backup in info()["backup"]]


def backup(kind: str):
    """What the timers run, to its end."""
    return backup1.run(f"slipway-backup {kind}")


def results(identifier: str) -> dict[str, Any]:
    """The last result of an id."""
    latest = json.loads(backup1.file("/var/lib/slipway/results/latest.json").content_string)
    return next(record for record in latest if record["id"] == identifier)


def files_with_key(host: str, *places: str) -> list[str]:
    """Files under these places that hold the key. Whoever looks for it does not show it either."""
    look = ["docker", "exec", "--interactive", CONTAINER + host, "grep", "-rlFf", "-", *places]
    looked = subprocess.run(look, input=KEY, stdout=subprocess.PIPE, text=True, check=False)
    assert looked.returncode in (0, 1), looked
    return looked.stdout.split()


def waiting() -> int:
    """WAL segments that PostgreSQL has not got rid of yet."""
    return int(db1.check_output(f"ls {WAL}/archive_status | grep -c ready || true"))


def service(kind: str) -> dict[str, str]:
    shown = backup1.check_output(f"systemctl show slipway-backup@{kind}.service -p ActiveState -p Result")
    return dict(line.split("=", 1) for line in shown.splitlines())


class Held:
    """A full backup under way that does not get on, until the block ends or ``release`` lets it."""

    def __enter__(self) -> Held:
        backup1.check_output("systemctl start --no-block slipway-backup@full.service")
        assert until(lambda: info()["status"]["lock"]["backup"]["held"], 120, 0.02)
        self.stop()
        return self

    def stop(self) -> None:
        backup1.check_output("kill -STOP $(pgrep -f -- '--type=full.*backup$')")

    def release(self) -> None:
        backup1.run("kill -CONT $(pgrep -f -- '--type=full.*backup$')")

    def __exit__(self, *_: object) -> None:
        self.release()
        assert until(lambda: service("full")["ActiveState"] in ("inactive", "failed"), 200)


def fill(rows: int, name: str) -> None:
    """A table of so many rows of 64 bytes that hardly compress."""
    sql(
        f"drop table if exists {name}; create table {name} as"
        f" select md5(random()::text) || md5(random()::text) as words from generate_series(1, {rows}); checkpoint"
    )
