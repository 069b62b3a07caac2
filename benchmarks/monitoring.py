#!/usr/bin/env python3
"""What watching costs: all monitoring of one host beside a bare Prometheus, on the same targets in the same minutes.

Targets are simulated, each with 1,000 series of a real node exporter and filler. Ours are the roles `node_exporter`,
`prometheus` with the rules of every card, `alertmanager` and `blackbox_exporter`; bare is Debian's Prometheus with the
same targets and interval, and no rule. Then 7 days of 100 hosts are made up, and a report of them is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from common import ROOT, ansible_playbook, containers, empty_play, in_container, print_table, write_in_container
from simulated_targets import PORT

NAME = "slipway-bench-monitoring"
OURS, BARE, TARGETS = "monitor1", "bare1", "targets1"
ROLES = ("node_exporter", "prometheus", "alertmanager", "blackbox_exporter")
UNITS = {
    OURS: (
        "prometheus",
        "prometheus-alertmanager",
        "prometheus-node-exporter",
        "prometheus-blackbox-exporter",
    ),
    BARE: ("prometheus",),
}
SERIES, INTERVAL = 1000, "15s"
MOST, REPORT = 1.3, 10.0
HOSTS, DAYS, STEP = 100, 7, 60  # of the made-up history; the step in seconds
DATA = "/var/lib/prometheus/metrics2"


def on(host: str, command: str) -> str:
    return in_container(f"{NAME}-{host}", command)


def scrape_config(address: str, count: int) -> list[dict[str, Any]]:
    """Targets by their paths."""
    every = [
        {
            "targets": [f"{address}:{PORT}"],
            "labels": {
                "job": "node",
                "host": f"h{number}",
                "instance": f"h{number}:9100",
                "__metrics_path__": f"/{number}/metrics",
            },
        }
        for number in range(count)
    ]
    return [{"job_name": "simulated", "static_configs": every}]


def write_playbook(path: Path, address: str, count: int) -> Path:
    """The host that watches, with so many targets."""
    receiver = f"http://{address}:{PORT}"
    variables = {
        "prometheus_interval": INTERVAL,
        "prometheus_scrape_configs": scrape_config(address, count),
        "alertmanager_channels": [
            {"name": name, "kind": "webhook", "url": f"{receiver}/{name}"} for name in ("first", "second")
        ],
        "alertmanager_deadman_url": f"{receiver}/deadman",
        "evidence_host": "localhost",
    }
    roles = [f"slipway.ops.{role}" for role in ROLES]
    play = {"hosts": OURS, "gather_subset": ["min", "network"], "vars": variables, "roles": roles}
    path.write_text(yaml.safe_dump([play]))
    return path


def bare(address: str, count: int) -> None:
    """Debian's Prometheus with the same targets and nothing else."""
    configuration = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "scrape_configs": scrape_config(address, count),
    }
    write(BARE, "/etc/prometheus/prometheus.yml", yaml.safe_dump(configuration))
    on(BARE, "systemctl restart prometheus")


def write(host: str, path: str, content: str) -> None:
    write_in_container(f"{NAME}-{host}", path, content)


def source(program: str) -> str:
    return Path(__file__).with_name(f"{program}.py").read_text(encoding="utf-8")


def serve_targets() -> str:
    """Starts them; answers their address."""
    write(TARGETS, "/srv/targets.py", source("simulated_targets"))
    write(TARGETS, "/srv/exported", on(OURS, "curl -s http://127.0.0.1:9100/metrics"))
    on(TARGETS, f"systemd-run --quiet --unit=targets python3 /srv/targets.py /srv/exported {SERIES}")
    return on(TARGETS, "hostname -I").split()[0]


def used(host: str) -> tuple[float, float]:
    """Processor seconds until now and MiB of the units that watch, their programs' own memory."""
    pids = on(host, f"systemctl show --property=MainPID --value {' '.join(UNITS[host])}").split()
    if "0" in pids:
        raise SystemExit(f"{host}: not all of {', '.join(UNITS[host])} run")
    ticks = sum(sum(map(int, on(host, f"cat /proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13])) for pid in pids)
    resident = sum(int(on(host, f"grep ^RssAnon /proc/{pid}/status").split()[1]) for pid in pids)
    return ticks / 100, resident / 1024


def watched(count: int, seconds: float) -> list[tuple[str, ...]]:
    """What both use for so long, once all targets have been scraped for a while."""
    time.sleep(90)
    for host in UNITS:
        seen = on(host, "curl -s 'http://127.0.0.1:9090/api/v1/query?query=count(simulated_seconds)'")
        if f'"{count}"' not in seen:
            raise SystemExit(f"{host} does not see {count} targets: {seen}")
    before = {host: used(host)[0] for host in UNITS}
    time.sleep(seconds)
    after = {host: used(host) for host in UNITS}
    cpu = {host: after[host][0] - before[host] for host in UNITS}
    memory = {host: after[host][1] for host in UNITS}
    return [
        (f"{count} targets, processor s a minute", *compared({host: cpu[host] * 60 / seconds for host in UNITS})),
        (f"{count} targets, memory MiB", *compared(memory)),
    ]


def compared(values: dict[str, float]) -> tuple[str, str, str]:
    return f"{values[OURS]:.2f}", f"{values[BARE]:.2f}", f"{values[OURS] / values[BARE]:.2f}"


def report_seconds(inventory: Path, directory: Path) -> float:
    """Of a report of the made-up days, without what an empty play takes."""
    write(OURS, "/srv/history.py", source("simulated_history"))
    on(OURS, f"python3 /srv/history.py {HOSTS} {DAYS} {STEP} > /tmp/history")
    on(OURS, "systemctl stop prometheus")
    on(OURS, f"promtool tsdb create-blocks-from --max-block-duration=168h openmetrics /tmp/history {DATA} > /dev/null")
    on(OURS, f"chown -R prometheus: {DATA} && systemctl start prometheus")
    time.sleep(20)
    seen = on(
        OURS,
        "curl -s 'http://127.0.0.1:9090/api/v1/query?query=count(count_over_time(node_memory_MemTotal_bytes%5B6d%5D)>8000)'",
    )
    if f'"{HOSTS}"' not in seen:
        raise SystemExit(f"the made-up history is not there: {seen}")
    floor = ansible_playbook(inventory, empty_play(directory), "--limit", OURS)[0].wall
    options = ("-e", "period=7d", "-e", f"report_dir={directory / 'reports'}", "-e", "evidence_host=localhost")
    return ansible_playbook(inventory, ROOT / "playbooks/report.yml", *options)[0].wall - floor


def write_inventory(directory: Path, described: Path) -> Path:
    """The same hosts, the one that watches in its groups."""
    inventory = yaml.safe_load(described.read_text())
    inventory["all"]["children"] = {group: {"hosts": {OURS: {}}} for group in ("monitor", "alertmanager")}
    path = directory / "watched.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, nargs="+", default=[10, 100], help="how many (default 10 and 100)")
    parser.add_argument("--seconds", type=float, default=180, help="of each measurement (default 180)")
    asked = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as place, containers(Path(place), NAME, [OURS, BARE, TARGETS]) as described:
        directory = Path(place)
        inventory = write_inventory(directory, described)
        on(OURS, "apt-get install -y --no-install-recommends prometheus-node-exporter curl")
        on(BARE, "apt-get install -y --no-install-recommends prometheus curl")
        address = serve_targets()
        for count in asked.targets:
            print(f"{count} targets ({90 + asked.seconds:.0f} s)", flush=True)
            ansible_playbook(inventory, write_playbook(directory / "watch.yml", address, count))
            bare(address, count)
            rows += watched(count, asked.seconds)
        print(f"a report of {DAYS} days of {HOSTS} hosts (some minutes to make them up)", flush=True)
        took = report_seconds(inventory, directory)
    print_table([("", "ours", "bare", "of bare"), *rows])
    print(f"report of {DAYS} days of {HOSTS} hosts: {took:.1f} s")
    return int(any(float(row[3]) > MOST for row in rows) or took > REPORT)


if __name__ == "__main__":
    sys.exit(main())
