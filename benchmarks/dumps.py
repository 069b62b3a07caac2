#!/usr/bin/env python3
"""Dumps of MongoDB and backups of files through Slipway, beside mongodump and restic by themselves.

Each in turn on the same hosts and data: mongodump against FerretDB, to a gzipped archive; restic to an empty repository
of the backup host over TLS, and back beside. Slipway's side is what its timers and playbooks run there. It does more:
it encrypts a dump and reads it back to its end, lists a snapshot, and compares what it restored. So the tools are
measured twice: alone, which the aims are of, and with what they have of that themselves.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from common import ROOT, ansible_playbook, in_container, print_table, running

NAME = "slipway-bench-dumps"
LIMIT, MEMORY = 1.1, 64  # of the tool's seconds; MiB beyond it
FILES = "/srv/bench"
EMPTY_REPOSITORY = "an empty repository"
SCENARIOS = ROOT / "molecule"
REPOSITORY = "rest:https://backup1:8000/app1/"
RESTIC = "set -a; . /root/restic.env; set +a; restic --quiet"
MONGODUMP = "mongodump --config=/etc/slipway/mongodump/server.json --archive --gzip"
KEY = "/etc/slipway/mongodump/identity.age"


@dataclass(frozen=True)
class Act:
    """Something measured: where, what is there before, and the command."""

    what: str
    side: str
    host: str
    before: str
    command: str


@dataclass(frozen=True)
class Meter:
    seconds: float
    cpu: float  # the command's seconds of the processor, without the server's
    peak: float  # MiB
    own: float  # MiB of Python, which is Slipway's


def acts() -> list[Act]:
    """Each with what it is compared to before it."""
    empty, gone = "rm -f /srv/dump*", f"rm -rf {FILES}.back"
    dump, back, restore = "dump", "backup of files", "restore of files"
    again = f"{RESTIC} init && restic --quiet backup --tag bench --host app1 {FILES}"
    there = f"restore latest:{FILES} --target {FILES}.back"
    read_back = f"age --decrypt -i {KEY} /srv/dump | gzip --decompress >/dev/null"
    return [
        Act(dump, "mongodump", "db1", empty, f"{MONGODUMP} >/srv/dump && sync /srv/dump"),
        Act(
            dump,
            "mongodump, age, read back",
            "db1",
            empty,
            f"{MONGODUMP} | age --encrypt -i {KEY} >/srv/dump && sync /srv/dump && {read_back}",
        ),
        Act(dump, "slipway-backup", "db1", empty, "slipway-backup --engine mongodb full"),
        Act(back, "restic", "app1", EMPTY_REPOSITORY, again),
        Act(back, "slipway-backup", "app1", EMPTY_REPOSITORY, "slipway-backup --engine files full"),
        Act(restore, "restic", "app1", gone, f"{RESTIC} {there}"),
        Act(restore, "restic, --verify", "app1", gone, f"{RESTIC} {there} --verify"),
        Act(restore, "slipway-restore", "app1", gone, f"slipway-restore files --into bench={FILES}.back"),
    ]


def write_inventory(path: Path) -> Path:
    """The hosts of two scenarios in one, with their variables, which are public."""
    mongodb = yaml.safe_load((SCENARIOS / "mongodump/inventory.yml").read_text())["all"]["children"]["mongodb"]["vars"]
    checksum = (ROOT / ".cache/mongo/tools.tgz.sha256").read_text().strip()
    mongodb |= {"mongodump_download_checksum": f"sha256:{checksum}", "mongodump_collections": ["large.noise0"]}
    files: dict[str, Any] = {
        "restic_password": "only-for-this-benchmark-of-dumps",
        "restic_sources": [{"name": "bench", "paths": [FILES]}],
        "restic_schedule": dict.fromkeys(("backup", "weekly", "verify", "drill"), "*-01-01 02:00"),
    }
    at = {host: {"ansible_host": f"{NAME}-{host}"} for host in ("db1", "app1", "backup1")}
    at["backup1"]["certificate_list"] = [{"name": "restic", "names": ["backup1"]}]  # type: ignore[assignment]
    connection = {"testbed_name": NAME, "ansible_connection": "community.docker.docker"}
    groups = {
        "mongodb": {"hosts": {"db1": at["db1"]}, "vars": mongodb},
        "files": {"hosts": {"app1": at["app1"]}, "vars": files},
        "backup": {"hosts": {"backup1": at["backup1"]}},
    }
    hosts = {"vars": {**connection, "certificate_ca_host": "backup1"}, "children": groups}
    path.write_text(yaml.safe_dump({"all": hosts}))
    return path


def write_playbook(path: Path) -> Path:
    facts = {"gather_subset": ["min", "network"]}
    roles = ["slipway.ops.certificate", "slipway.ops.restic"]
    plays = [
        {"hosts": "mongodb", "gather_facts": False, "roles": ["slipway.ops.mongodump"]},
        {"hosts": "files:backup", **facts, "roles": roles},
    ]
    path.write_text(yaml.safe_dump(plays))
    return path


def on(host: str, command: str) -> str:
    return in_container(f"{NAME}-{host}", command)


def fill(megabytes: int) -> None:
    """Data that nothing compresses, and some thousand small files."""
    on("db1", f"python3 /root/mongo.py noise {megabytes}")
    on("app1", f"mkdir {FILES} && for n in $(seq {megabytes}); do head -c 1M /dev/urandom >{FILES}/$n; done")
    on("app1", f"cd {FILES} && seq 200000 | split -a 4 -l 100")
    environment = json.loads(on("app1", "cat /etc/slipway/restic/environment.json"))
    environment |= {"RESTIC_REPOSITORY": REPOSITORY, "RESTIC_PASSWORD_FILE": "/etc/slipway/restic/password"}
    environment["RESTIC_CACHE_DIR"] = "/var/cache/bench"
    lines = "".join(f"{name}={value}\n" for name, value in environment.items())
    argv = ["docker", "exec", "-i", f"{NAME}-app1", "install", "-m", "600", "/dev/stdin", "/root/restic.env"]
    subprocess.run(argv, input=lines, text=True, check=True)
    for host in ("db1", "app1"):
        place = f"{NAME}-{host}:/root/metered.py"
        subprocess.run(["docker", "cp", ROOT / "benchmarks/metered.py", place], check=True, capture_output=True)


def empty_repository() -> None:
    on("backup1", "rm -rf /var/lib/restic-rest-server/app1")
    on("app1", "rm -rf /var/lib/slipway/restic/* /var/cache/bench /var/cache/slipway-restic/*")


def measured(act: Act) -> Meter:
    if act.before == EMPTY_REPOSITORY:
        empty_repository()
    else:
        on(act.host, act.before)
    on(act.host, "sync")
    told = json.loads(
        on(act.host, f"python3 /root/metered.py bash -c {shlex.quote('set -o pipefail; ' + act.command)}")
    )
    if told["code"] != 0:
        raise SystemExit(f"{act.what}, {act.side} ended with {told['code']}:\n{told['said']}")
    own = sum(size for program, size in told["programs"].items() if program.startswith(("python", "slipway")))
    return Meter(told["seconds"], told["cpu"], told["peak"] / 2**20, own / 2**20)


def report(meters: dict[Act, list[Meter]]) -> bool:
    """Prints it; answers whether all aims are met."""
    rows: list[tuple[str, ...]] = [
        ("", "wall s", "of the tool", "cpu s", "memory MiB", "beyond the tool", "Slipway's own")
    ]
    met, tool = [], (0.0, 0.0)
    for act, each in meters.items():
        names = ("seconds", "cpu", "peak", "own")
        seconds, cpu, peak, own = (median(getattr(one, name) for one in each) for name in names)
        if act.side in ("mongodump", "restic"):
            tool = seconds, peak
        ratio, beyond = seconds / tool[0], peak - tool[1]
        if act.side.startswith("slipway"):
            met += [ratio <= LIMIT, beyond <= MEMORY]
        numbers = (f"{seconds:.1f}", f"{ratio:.2f}", f"{cpu:.1f}", f"{peak:.0f}", f"{beyond:.0f}", f"{own:.0f}")
        rows.append((f"{act.what}, {act.side}", *numbers))
    print_table(rows)
    print(f"at most {LIMIT} of the tool's seconds and {MEMORY} MiB beyond it: {'yes' if all(met) else 'NO'}")
    return all(met)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    parser.add_argument("--megabytes", type=int, default=256, help="size of each of the two data sets (default 256)")
    options = parser.parse_args()
    subprocess.run(["sh", "-e", SCENARIOS / "mongodump/build.sh", ROOT / ".cache/mongo"], check=True)
    meters: dict[Act, list[Meter]] = {act: [] for act in acts()}
    with tempfile.TemporaryDirectory() as place:
        inventory = write_inventory(Path(place, "inventory.yml"))
        playbook = write_playbook(Path(place, "provision.yml"))
        with running(inventory):
            print("provisioning three hosts (a minute)", flush=True)
            for each in (SCENARIOS / "mongodump/prepare.yml", SCENARIOS / "restic/prepare.yml"):
                ansible_playbook(inventory, each)
            on("app1", f"mkdir -p {FILES}")
            ansible_playbook(inventory, playbook)
            on("app1", f"rmdir {FILES}")
            print(f"making {options.megabytes} MB twice", flush=True)
            fill(options.megabytes)
            for number in range(options.rounds):
                for act, found in meters.items():
                    found.append(measured(act))
                    print(f"round {number + 1} of {options.rounds}: {act.what}, {act.side}: {found[-1]}", flush=True)
    print(f"{options.megabytes} MB, medians of {options.rounds}")
    return 0 if report(meters) else 1


if __name__ == "__main__":
    sys.exit(main())
