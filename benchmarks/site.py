#!/usr/bin/env python3
"""A daily run of `site.yml` that changes nothing, on the demo's hosts, beside the same run without `config_tree`.

Both sides run the same playbook and roles and find everything in place. On the plain side each file is installed by its
own `template` or `copy` (`plain_config_tree.py`), as a role without `config_tree` would do it; that side does less: it
checks no set as a whole and removes no strays. An empty play on the same hosts is the cost that no role can avoid.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import (
    ROOT,
    Cost,
    Run,
    ansible_playbook,
    cost,
    demo_inventory,
    empty_play,
    in_turn,
    module_calls,
    print_table,
    refuse_changes,
    running,
)

NAME = "slipway-bench-site"
OURS, PLAIN, EMPTY = "site.yml", "site.yml, a task per file", "empty play"


def plain_collections(directory: Path) -> Path:
    """This collection once more, its `config_tree` replaced by one action per file."""
    place = directory / "ansible_collections/slipway/ops"
    listed = ["git", "ls-files", "--", "plugins", "roles", "playbooks", "meta", "galaxy.yml"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    shutil.copy2(ROOT / "benchmarks/plain_config_tree.py", place / "plugins/action/config_tree.py")
    return directory


def side(inventory: Path, playbook: Path, collections: Path) -> Callable[[], Run]:
    return lambda: ansible_playbook(inventory, playbook, collections=collections)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        inventory = demo_inventory(Path(place), NAME)
        hosts = inventory.read_text().count("ansible_host:")
        empty = empty_play(Path(place))
        plain = plain_collections(Path(place, "plain"))
        sides = {
            EMPTY: (empty, ROOT / "collections"),
            OURS: (ROOT / "playbooks/site.yml", ROOT / "collections"),
            PLAIN: (plain / "ansible_collections/slipway/ops/playbooks/site.yml", plain),
        }
        with running(inventory):
            print("provisioning the hosts (some minutes)", flush=True)
            for name in (OURS, PLAIN):
                playbook, collections = sides[name]
                ansible_playbook(inventory, playbook, collections=collections)  # installs, and warms up
            runs = in_turn({name: side(inventory, *one) for name, one in sides.items()}, rounds)
            calls = {name: module_calls(inventory, playbook, where) for name, (playbook, where) in sides.items()}
    refuse_changes(runs)
    report({name: cost(each) for name, each in runs.items()}, calls, rounds, hosts)
    return 0


def report(costs: dict[str, Cost], calls: dict[str, int], rounds: int, hosts: int) -> None:
    rows = [("", "wall s", "controller cpu s", "cpu s a host", "module calls a host")]
    for name, whole in costs.items():
        numbers = (f"{whole.wall:.1f}", f"{whole.cpu:.1f}", f"{whole.cpu / hosts:.2f}", f"{calls[name] / hosts:.0f}")
        rows.append((name, *numbers))
    print(f"no change, {hosts} hosts, medians of {rounds} runs each")
    print_table(rows)
    ours, plain = (costs[name].minus(costs[EMPTY]) for name in (OURS, PLAIN))
    print(f"wall: {plain.wall / ours.wall:.1f} times less, controller processor: {plain.cpu / ours.cpu:.1f} times less")


if __name__ == "__main__":
    sys.exit(main())
