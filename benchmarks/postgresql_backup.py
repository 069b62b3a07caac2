#!/usr/bin/env python3
"""Backups and restores of PostgreSQL through Slipway, beside the same by pgBackRest alone.

One cluster of pgbench, its repository on another host over TLS, compressed and encrypted. Both sides use the very same
configuration and end with the same thing: a full backup, or a server that takes writes again after a restore to the
latest state with its former data kept. Slipway's backup is what its timer runs; its restore is what `restore.yml` runs,
with the seconds that it records. The playbooks' seconds, with what Ansible needs to start, are told as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import yaml
from common import ROOT, ansible_playbook, in_container, pgbench_scale, print_table, running

NAME = "slipway-bench-backup"
LIMIT = 1.1
INVENTORY = {
    "all": {
        "vars": {
            "testbed_name": NAME,
            "ansible_connection": "community.docker.docker",
            "certificate_ca_host": "backup1",
            "certificate_list": [{"name": "pgbackrest", "names": ["{{ inventory_hostname }}"]}],
            "pgbackrest_exporter": False,
            "pgbackrest_repositories": [{"type": "host", "host": "backup1", "cipher_pass": "only-for-this-benchmark"}],
            "pgbackrest_schedule": {"full": "*-01-01 02:00", "incremental": "*-01-01 03:00", "verify": "*-01-01 05:00"},
            "postgresql_memory": "2GiB",
            "postgresql_exporter": False,
        },
        "children": {
            "postgresql": {"hosts": {"db1": {"ansible_host": f"{NAME}-db1"}}},
            "backup": {"hosts": {"backup1": {"ansible_host": f"{NAME}-backup1"}}},
        },
    }
}
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "roles": [
            "slipway.ops.certificate",
            {"role": "slipway.ops.postgresql", "when": "'postgresql' in group_names"},
        ],
    },
    {"hosts": "all", "gather_facts": False, "roles": ["slipway.ops.pgbackrest"]},
]
RAW_RESTORE = """
set -e
systemctl stop postgresql@17-main
mv /var/lib/postgresql/17/main /var/lib/postgresql/17/main.before
install -d -o postgres -g postgres -m 700 /var/lib/postgresql/17/main
runuser -u postgres -- pgbackrest --stanza=main --log-level-console=warn restore
systemctl start postgresql@17-main
until [ "$(runuser -u postgres -- psql -XAtc 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do sleep 0.1; done
"""


def on(host: str, command: str) -> None:
    in_container(f"{NAME}-{host}", command)


def as_postgres(command: str) -> str:
    return f"runuser -u postgres -- {command}"


def timed(act: Callable[[], float | None]) -> float:
    """Seconds, those that it records when it does."""
    started = time.monotonic()
    recorded = act()
    return recorded or time.monotonic() - started


class Bench:
    """What is measured, on the hosts of one inventory."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._number = 0

    def _playbook(self, name: str, *options: str) -> None:
        ansible_playbook(self._inventory, ROOT / f"playbooks/{name}.yml", *options)

    def fill(self, scale: int) -> None:
        on("db1", as_postgres(f"createdb bench && {as_postgres(f'pgbench -q -i -s {scale} bench')}"))

    def settle(self) -> None:
        """No former data, no dirty pages: each measurement begins alike."""
        on("db1", "rm -rf /var/lib/postgresql/17/main.before*")
        on("db1", as_postgres("psql -Xqc CHECKPOINT") + " && sync")

    def backup_ours(self) -> None:
        on("backup1", "slipway-backup full")

    def backup_playbook(self) -> None:
        self._playbook("backup", "-e", "type=full")

    def backup_raw(self) -> None:
        on("backup1", as_postgres("pgbackrest --stanza=main --type=full --log-level-console=warn backup"))

    def restore_ours(self) -> float:
        self._number += 1
        arguments = f"host=db1 run=bench{self._number} confirm=db1/main"
        argv = [Path(sys.executable).with_name("ansible"), "-i", self._inventory, "db1"]
        argv += ["-m", "slipway.ops.postgresql_restore", "-a", arguments]
        as_json = os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(argv, cwd=ROOT, env=as_json, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        told = json.loads(done.stdout[done.stdout.index("=> {") + 3 :])
        return float(told["results"][0]["took"])

    def restore_playbook(self) -> None:
        self._playbook("restore", "-e", "restore_confirm=db1/main", "-e", "restore_backup=none")

    def restore_raw(self) -> None:
        on("db1", RAW_RESTORE)


def measure(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Seconds of each, in turn."""
    acts = {
        "backup, pgBackRest": bench.backup_raw,
        "backup, slipway-backup": bench.backup_ours,
        "backup, backup.yml": bench.backup_playbook,
        "restore, pgBackRest": bench.restore_raw,
        "restore, postgresql_restore": bench.restore_ours,
        "restore, restore.yml": bench.restore_playbook,
    }
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds):
        for name, act in acts.items():
            bench.settle()
            seconds[name].append(timed(act))
            print(f"round {number + 1} of {rounds}: {name} {seconds[name][-1]:.1f} s", flush=True)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the data (default 1024)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        inventory, playbook = Path(place, "inventory.yml"), Path(place, "provision.yml")
        inventory.write_text(yaml.safe_dump(INVENTORY))
        playbook.write_text(yaml.safe_dump(PLAYBOOK, sort_keys=False))
        with running(inventory):
            print("provisioning two hosts (a minute)", flush=True)
            ansible_playbook(inventory, playbook)
            print(f"making {options.megabytes} MB with pgbench", flush=True)
            bench = Bench(inventory)
            bench.fill(pgbench_scale(options.megabytes))
            bench.backup_raw()  # restores need one, and caches are warm for all
            seconds = {name: median(each) for name, each in measure(bench, options.rounds).items()}
    print(f"{options.megabytes} MB, medians of {options.rounds}")
    rows = [("", "wall s", "of pgBackRest")]
    raw = {what: seconds[f"{what}, pgBackRest"] for what in ("backup", "restore")}
    rows += [(name, f"{each:.1f}", f"{each / raw[name.split(',')[0]]:.2f}") for name, each in seconds.items()]
    print_table(rows)
    ratios = seconds["backup, slipway-backup"] / raw["backup"], seconds["restore, postgresql_restore"] / raw["restore"]
    print(f"Slipway takes at most {LIMIT} times as long: {'yes' if max(ratios) <= LIMIT else 'NO'}")
    return 0 if max(ratios) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
