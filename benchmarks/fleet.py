#!/usr/bin/env python3
"""How `site.yml` grows with the hosts: runs that change nothing over fleets of some sizes, beside plain tasks.

Hosts of no group in particular get what every host gets, and sshd's settings. The plain side ends with the same files,
packages and units, by one `template`, `apt` or `systemd_service` task each; it checks nothing together and looks at no
unit afterwards. Counted is the controller's processor time, the connection's client programs included: wall time here
is that of the hosts, which share these processors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from common import ROOT, Run, ansible_playbook, cost, empty_play, in_container, print_table, refuse_changes, running

NAME = "slipway-bench-fleet"
IMAGE = f"{NAME}:host"
GROWTH = 1.15  # of the smallest fleet's seconds a host
OF_PLAIN = 0.5
LONGEST = 3600.0  # seconds of a run over the largest fleet
OURS, PLAIN, EMPTY = "site.yml", "plain tasks", "empty play"
PACKAGES = ("ca-certificates curl less lsof procps rsync sudo tzdata", "prometheus-node-exporter", "openssh-server")
UNITS = ("systemd-journald.service", "prometheus-node-exporter.service", "ssh.service")
# What the roles write says so itself; of the accounts' files it is a group's name.
ACCOUNTS = "--exclude='group*' --exclude='gshadow*'"
WRITTEN = f"grep -rlI -e slipway -e 'Ansible managed' /etc /usr/local/lib /usr/local/bin {ACCOUNTS} | sort"
DESCRIBE = "stat -c '%n %U %G %a' $(cat /tmp/written)"


@dataclass(frozen=True)
class Side:
    """One way to the outcome."""

    name: str
    playbook: Path


def host(number: int) -> str:
    return f"web{number:02}"


def write_inventory(directory: Path, size: int, image: str | None) -> Path:
    """A fleet of the first hosts."""
    variables = {"testbed_name": NAME, "ansible_connection": "community.docker.docker", "ssh_enabled": True}
    variables |= {"testbed_image": image} if image else {}
    hosts = {host(number): {"ansible_host": f"{NAME}-{host(number)}"} for number in range(1, size + 1)}
    path = directory / f"fleet{size}{'' if image else '-first'}.yml"
    path.write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": hosts}}))
    return path


def in_first(command: str) -> str:
    return in_container(f"{NAME}-{host(1)}", command)


def plain_playbook(directory: Path) -> Path:
    """A task for each file that the roles wrote to the first host, and for its packages and units."""
    templates = directory / "templates"
    templates.mkdir()
    in_first(f"{WRITTEN} > /tmp/written")
    tasks: list[dict[str, Any]] = [{"ansible.builtin.apt": apt(names.split())} for names in PACKAGES]
    tasks.append({"ansible.builtin.group": {"name": "slipway-metrics", "system": True}})
    for number, line in enumerate(in_first(DESCRIBE).splitlines()):
        installed, owner, group, mode = line.split()
        source = templates / f"{number}.j2"
        source.write_text(as_template(in_first(f"cat {installed}")))
        file = {"src": str(source), "dest": installed, "owner": owner, "group": group, "mode": mode.zfill(4)}
        tasks.append({"ansible.builtin.template": file})
    for unit in UNITS:
        tasks.append({"ansible.builtin.systemd_service": {"name": unit, "state": "started", "enabled": True}})
    play = {"hosts": "all", "become": True, "gather_subset": ["min", "network", "hardware"], "tasks": tasks}
    path = directory / "plain.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return path


def as_template(written: str) -> str:
    """What renders to this on the first host, and to the like on another."""
    quoted = f"{{% raw %}}{written}{{% endraw %}}" if any(mark in written for mark in ("{{", "{%", "{#")) else written
    return quoted.replace(host(1), "{{ inventory_hostname }}")


def apt(names: list[str]) -> dict[str, Any]:
    return {"name": names, "install_recommends": False, "update_cache": True, "cache_valid_time": 86400}


def tasks_of(playbook: Path) -> int:
    return len(yaml.safe_load(playbook.read_text())[0]["tasks"])


def measure(inventory: Path, sides: list[Side], rounds: int) -> dict[str, list[Run]]:
    for side in sides:
        ansible_playbook(inventory, side.playbook, longest=LONGEST)  # settles, and warms up
    runs: dict[str, list[Run]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            runs[side.name].append(ansible_playbook(inventory, side.playbook, longest=LONGEST)[0])
            print(f"{inventory.stem}, {side.name}: {runs[side.name][-1]}", flush=True)
    refuse_changes(runs)
    return runs


def report(fleets: dict[int, dict[str, list[Run]]], tasks: int) -> bool:
    """Prints it; answers whether both aims are met."""
    rows: list[tuple[str, ...]] = []
    head = ("", "hosts", "wall s", "cpu s", "cpu s a host", "of the smallest", "of plain", "without empty play")
    met = []
    smallest = min(fleets)
    for size, runs in fleets.items():
        costs = {name: cost(each) for name, each in runs.items()}
        own = {name: costs[name].minus(costs[EMPTY]) for name in (OURS, PLAIN)}
        for name, each in costs.items():
            growth = each.cpu / size / (cost(fleets[smallest][name]).cpu / smallest)
            ratio, bare = each.cpu / costs[PLAIN].cpu, own[name].cpu / own[PLAIN].cpu if name in own else 0
            numbers = [f"{each.wall:.0f}", f"{each.cpu:.1f}", f"{each.cpu / size:.2f}", f"{growth:.2f}", f"{ratio:.2f}"]
            rows.append((name, str(size), *numbers, f"{bare:.2f}" if name in own else ""))
            if name == OURS:
                met += [growth <= GROWTH, ratio <= OF_PLAIN]
    print_table([head, *rows])
    aims = f"seconds a host at most {GROWTH} of the smallest fleet's, and {OF_PLAIN} of plain's ({tasks} tasks)"
    print(f"{aims}: {'yes' if all(met) else 'NO'}")
    return all(met)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 20, 50], help="hosts of a fleet (default 5 20 50)")
    parser.add_argument("--results", type=Path, help="a file for all runs, as JSON")
    asked = parser.parse_args()
    site = ROOT / "playbooks/site.yml"
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        print("provisioning one host, which the others are copies of", flush=True)
        try:
            with running(write_inventory(directory, 1, None)):
                ansible_playbook(write_inventory(directory, 1, None), site)
                plain = plain_playbook(directory)
                subprocess.run(["docker", "commit", f"{NAME}-{host(1)}", IMAGE], check=True, capture_output=True)
            sides = [Side(EMPTY, empty_play(directory)), Side(OURS, site), Side(PLAIN, plain)]
            fleets = {}
            with running(write_inventory(directory, max(asked.sizes), IMAGE)):
                for size in sorted(asked.sizes):
                    fleets[size] = measure(write_inventory(directory, size, IMAGE), sides, asked.rounds)
        finally:
            subprocess.run(["docker", "image", "rm", IMAGE], check=False, capture_output=True)
        met = report(fleets, tasks_of(plain))
    if asked.results:
        every = {size: {name: list(map(vars, each)) for name, each in runs.items()} for size, runs in fleets.items()}
        asked.results.write_text(json.dumps(every))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
