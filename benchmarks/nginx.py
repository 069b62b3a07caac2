#!/usr/bin/env python3
"""A run of the role `nginx` that changes nothing, beside the same outcome by plain tasks, in one run.

Both sides render the role's own templates with the same variables and find the other's work unchanged. The plain side
does less: no check of the set as a whole, no preflight, no removal of strays. An empty play's cost is taken off both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from common import (
    ROOT,
    Cost,
    ansible_playbook,
    containers,
    cost,
    module_calls,
    print_table,
    refuse_changes,
    side_by_side,
)

ROLE = ROOT / "roles" / "nginx"
OURS, PLAIN, EMPTY = "role nginx", "plain template and copy tasks", "empty play"
SITES = [
    {
        "name": f"site{number}",
        "domains": [f"site{number}.example.test"],
        "locations": [
            {"path": "/", "pool": "127.0.0.1:18000"},
            {"path": "/login", "pool": "127.0.0.1:18000", "rate_limit": {"rate": "5/min"}},
            {"path": "/static/", "root": "/var/www"},
        ],
    }
    for number in range(2)
]


def plain_tasks() -> list[dict[str, Any]]:
    """What one would write without `config_tree`: a task per file."""

    def template(path: str, source: str, **variables: Any) -> dict[str, Any]:
        arguments = {"src": str(ROLE / "templates" / source), "dest": str(Path("/etc/nginx", path)), "mode": "0644"}
        return {"ansible.builtin.template": arguments, "vars": variables}

    def copy(name: str) -> dict[str, Any]:
        arguments = {"src": str(ROLE / "files" / name), "dest": f"/etc/nginx/errors/{name}", "mode": "0644"}
        return {"ansible.builtin.copy": arguments}

    look = {"ansible.builtin.shell": "nginx -V 2>&1; test ! -e /proc/net/if_inet6 || echo has ipv6"}
    return [
        {"ansible.builtin.apt": {"name": "{{ nginx_packages }}", "install_recommends": False}},
        {**look, "register": "__nginx_seen", "changed_when": False},
        *[copy(name) for name in ("error.html", "error.json")],
        *[template(f"slipway/{name}.conf", f"{name}.conf.j2") for name in ("tls", "log", "requests", "default")],
        *[template(f"sites/{site['name']}.conf", "site.conf.j2", site=site) for site in SITES],
        template("nginx.conf", "nginx.conf.j2"),
        template("/etc/systemd/system/nginx.service.d/slipway.conf", "unit.conf.j2"),
        template("/etc/logrotate.d/nginx", "logrotate.j2"),
        {"ansible.builtin.systemd_service": {"name": "nginx", "state": "started", "enabled": True}},
    ]


def write_playbooks(directory: Path) -> dict[str, Path]:
    sites = directory / "sites.yml"
    sites.write_text(yaml.safe_dump({"nginx_sites": SITES}))
    variables = [str(path) for path in (ROLE / "defaults/main.yml", ROLE / "vars/main.yml", sites)]
    play = {"hosts": "all", "gather_facts": False}
    plays: dict[str, dict[str, Any]] = {
        EMPTY: {},
        OURS: {"vars_files": [str(sites)], "roles": ["slipway.ops.nginx"]},
        PLAIN: {"vars_files": variables, "tasks": plain_tasks()},
    }
    playbooks = {}
    for number, (name, content) in enumerate(plays.items()):
        playbooks[name] = directory / f"{number}.yml"
        playbooks[name].write_text(yaml.safe_dump([{**play, **content}]))
    return playbooks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, medians are compared (default 5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        playbooks = write_playbooks(Path(place))
        with containers(Path(place), "slipway-bench-nginx", ["edge1"]) as inventory:
            for name in (OURS, PLAIN):
                ansible_playbook(inventory, playbooks[name])  # installs, and warms up
            runs = side_by_side(inventory, playbooks, rounds)
            calls = {name: module_calls(inventory, playbook) for name, playbook in playbooks.items()}
    refuse_changes(runs)
    report({name: cost(each) for name, each in runs.items()}, calls, rounds)
    return 0


def report(costs: dict[str, Cost], calls: dict[str, int], rounds: int) -> None:
    rows = [("", "wall s", "net wall s", "controller cpu s", "net cpu s", "module calls a host")]
    for name, whole in costs.items():
        net = whole.minus(costs[EMPTY])
        seconds = (whole.wall, net.wall, whole.cpu, net.cpu)
        rows.append((name, *(f"{each:.2f}" for each in seconds), str(calls[name])))
    print(f"no change, {len(SITES)} sites, medians of {rounds} runs each")
    print_table(rows)
    ours, plain = (costs[name].minus(costs[EMPTY]) for name in (OURS, PLAIN))
    print(f"wall: {plain.wall / ours.wall:.1f} times less, controller processor: {plain.cpu / ours.cpu:.1f} times less")


if __name__ == "__main__":
    sys.exit(main())
