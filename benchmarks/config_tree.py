#!/usr/bin/env python3
"""Ten unchanged files: one `config_tree` task beside ten `template` tasks, on one container, in one run.

The cost of an empty play is taken off both. Exits 1 when `config_tree` is not ten times faster.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from common import Cost, ansible_playbook, containers, cost, module_calls, print_table, refuse_changes, side_by_side

FILES = 10
REQUIRED = 10.0  # times
TEMPLATE = """# {{ ansible_managed }}
{% for number in range(20) %}
option_{{ number }} = {{ name }}
{% endfor %}
"""
TREE, TEMPLATES, EMPTY = "one config_tree task", "ten template tasks", "empty play"


def write_playbooks(directory: Path) -> dict[str, Path]:
    """The three playbooks; the two that work install the same files, so that each finds the other's unchanged."""
    (directory / "templates").mkdir()
    (directory / "templates/file.conf.j2").write_text(TEMPLATE)
    names = [f"file{number}.conf" for number in range(FILES)]
    files = [{"path": name, "template": "file.conf.j2", "vars": {"name": name}} for name in names]
    tree: list[dict[str, Any]] = [{"slipway.ops.config_tree": {"root": "/etc/benchmark", "files": files}}]
    templates: list[dict[str, Any]] = [
        {
            "ansible.builtin.template": {"src": "file.conf.j2", "dest": f"/etc/benchmark/{name}", "mode": "0644"},
            "vars": {"name": name},
        }
        for name in names
    ]
    playbooks = {}
    for file, name, tasks in (("empty", EMPTY, []), ("tree", TREE, tree), ("templates", TEMPLATES, templates)):
        playbooks[name] = directory / f"{file}.yml"
        playbooks[name].write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return playbooks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, medians are compared (default 5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        playbooks = write_playbooks(directory)
        with containers(directory, "slipway-bench-config-tree", ["host1"]) as inventory:
            for name in (TREE, TEMPLATES):
                ansible_playbook(inventory, playbooks[name])  # installs the files, and warms up
            runs = side_by_side(inventory, playbooks, rounds)
            calls = {name: module_calls(inventory, playbook) for name, playbook in playbooks.items()}
    refuse_changes(runs)
    return report({name: cost(each) for name, each in runs.items()}, calls, rounds)


def report(costs: dict[str, Cost], calls: dict[str, int], rounds: int) -> int:
    """Print medians and the ratio without start-up; answers the exit code."""
    net = {name: costs[name].minus(costs[EMPTY]) for name in (TREE, TEMPLATES)}
    rows = [("", "wall s", "net wall s", "controller cpu s", "module calls")]
    for name, whole in costs.items():
        without = f"{net[name].wall:.3f}" if name in net else "-"
        rows.append((name, f"{whole.wall:.3f}", without, f"{whole.cpu:.3f}", str(calls[name])))
    print(f"{FILES} unchanged files, medians of {rounds} runs each")
    print_table(rows)
    ratio = net[TEMPLATES].wall / net[TREE].wall
    print(f"config_tree is {ratio:.1f} times faster; required is {REQUIRED:g}")
    return 0 if ratio >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
