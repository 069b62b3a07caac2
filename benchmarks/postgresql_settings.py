#!/usr/bin/env python3
"""The settings that role `postgresql` derives, beside those of Debian's package, under pgbench.

Two clusters with the same data on the same host, one running at a time, in turn. The role's has checksums, statistics
of statements and I/O times, and its logs; the package's has none of these, and pays nothing for them. Clients come by
the local socket, so that TLS is on neither side.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from statistics import median

import yaml
from common import ansible_playbook, in_container, pgbench_scale, print_table, running

NAME = "slipway-bench-settings"
OURS, THEIRS = "role postgresql", "Debian's defaults"
CLUSTERS = {OURS: ("main", 5432), THEIRS: ("package", 5433)}
REPORTS = {
    "report": "SELECT bid, count(*), sum(abalance), max(aid) FROM pgbench_accounts JOIN pgbench_branches USING (bid)"
    " GROUP BY bid ORDER BY 3 DESC LIMIT 10;",
    # The planner has no idea how many groups there will be, and cheap random reads have it take another way.
    "report-of-expression": "SELECT word, count(*), sum(abalance) FROM (SELECT abalance, md5((aid % 200000)::text) AS"
    " word FROM pgbench_accounts) AS accounts GROUP BY word ORDER BY 3 DESC LIMIT 10;",
}
LOADS = {
    "read and write": "-b tpcb-like -c 8 -j 2",
    "read": "-b select-only -c 8 -j 2",
    **{name: f"-f /var/tmp/{name}.sql -c 1" for name in REPORTS},
}


def on(command: str) -> str:
    return in_container(f"{NAME}-db1", command)


def as_postgres(command: str) -> str:
    return on(f"runuser -u postgres -- {command}")


def inventory(memory: str) -> dict[str, object]:
    connection = {"testbed_name": NAME, "ansible_connection": "community.docker.docker"}
    role = {"postgresql_memory": memory, "postgresql_exporter": False, "postgresql_heartbeat": False}
    host = {"db1": {"ansible_host": f"{NAME}-db1"}}
    return {"all": {"vars": connection | role, "children": {"postgresql": {"hosts": host}}}}


def only(name: str) -> int:
    """That cluster runs and no other; its port."""
    for cluster, _port in CLUSTERS.values():
        on(f"systemctl stop postgresql@17-{cluster}")
    cluster, port = CLUSTERS[name]
    on(f"sync; systemctl start postgresql@17-{cluster}")
    return port


def transactions(name: str, load: str, seconds: int) -> float:
    """Transactions a second of a cluster under a load, once its caches are warm."""
    port = only(name)
    as_postgres(f"pgbench -n -p {port} {LOADS['read']} -T {max(2, seconds // 4)} bench")
    said = as_postgres(f"pgbench -n -p {port} {LOADS[load]} -T {seconds} bench")
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if not found:
        raise SystemExit(f"pgbench told no tps:\n{said}")
    return float(found[1])


def fill(megabytes: int) -> None:
    on("pg_createcluster 17 package --port 5433")
    for name, query in REPORTS.items():
        on(f"echo '{query}' > /var/tmp/{name}.sql")
    for name in CLUSTERS:
        print(f"making {megabytes} MB with pgbench: {name}", flush=True)
        port = only(name)
        as_postgres(f"createdb -p {port} bench")
        as_postgres(f"pgbench -q -i -p {port} -s {pgbench_scale(megabytes)} bench")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    parser.add_argument("--seconds", type=int, default=20, help="length of a run (default 20)")
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the data (default 1024)")
    parser.add_argument("--memory", default="2GiB", help="memory that the settings are derived from (default 2GiB)")
    options = parser.parse_args()
    seen: dict[tuple[str, str], list[float]] = {(load, name): [] for load in LOADS for name in CLUSTERS}
    with tempfile.TemporaryDirectory() as place:
        hosts, playbook = Path(place, "inventory.yml"), Path(place, "provision.yml")
        hosts.write_text(yaml.safe_dump(inventory(options.memory)))
        playbook.write_text(
            yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["slipway.ops.postgresql"]}])
        )
        with running(hosts):
            ansible_playbook(hosts, playbook)
            fill(options.megabytes)
            for number in range(options.rounds):
                for (load, name), rates in seen.items():
                    rates.append(transactions(name, load, options.seconds))
                    print(f"round {number + 1} of {options.rounds}: {load}, {name} {rates[-1]:.2f}/s", flush=True)
    rate = {key: median(values) for key, values in seen.items()}
    print(f"transactions a second, {options.megabytes} MB, memory {options.memory}, medians of {options.rounds}")
    rows = [("", OURS, THEIRS, "ratio")]
    for load in LOADS:
        ours, theirs = rate[load, OURS], rate[load, THEIRS]
        rows.append((load, f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}"))
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
