#!/usr/bin/env python3
"""A rollback to a release that is warm beside one to a release that has to be started, on the demo's hosts.

Of each it takes what is recorded as `delivery.rollback.duration`, from the start of `ansible-playbook` to the last
answer of the version that is left, and the seconds of the whole run. An empty play on the same hosts is the floor.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from common import ROOT, ansible_playbook, in_container, live_colour, print_table, provisioned_demo

NAME = "slipway-bench-rollback"
APPS = ("app1", "app2")
WARM, COLD, EMPTY = "warm rollback", "cold rollback", "empty play"


def cool(colour: str) -> None:
    """Removes the containers of a colour."""
    for app in APPS:
        in_container(f"{NAME}-{app}", f"docker compose --project-name sample-{colour} --profile live down --timeout 2")


def recorded() -> float:
    """The seconds of the last rollback on record."""
    lines = in_container(f"{NAME}-monitor1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    return [record for record in map(json.loads, lines) if record["id"] == "delivery.rollback.duration"][-1]["measured"]


class Releases:
    """Two releases of the sample service, one live and one warm."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._play("publish", "-e", "@inventories/demo/images.yml")
        for version in ("1.0.0", "2.0.0"):
            self._play("deploy", "-e", "service=sample", "-e", f"version={version}")
        self._other = "1.0.0"

    def _play(self, playbook: str, *options: str) -> float:
        return ansible_playbook(self._inventory, ROOT / f"playbooks/{playbook}.yml", *options)[0].wall

    def roll_back(self, warm: bool) -> tuple[float, float]:
        """To the one that is not live: the seconds on record, and those of the run."""
        if not warm:
            cool({"blue": "green", "green": "blue"}[live_colour(NAME)])
        to = self._other
        self._other = {"1.0.0": "2.0.0", "2.0.0": "1.0.0"}[to]
        wall = self._play("rollback", "-e", "service=sample", "-e", f"to={to}")
        return recorded(), wall


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rollbacks of each kind (default 5)")
    rounds = parser.parse_args().rounds
    backs: dict[str, list[tuple[float, float]]] = {WARM: [], COLD: []}
    floor: list[float] = []
    with provisioned_demo(NAME) as (inventory, empty):
        releases = Releases(inventory)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            backs[WARM].append(releases.roll_back(warm=True))
            backs[COLD].append(releases.roll_back(warm=False))
            floor.append(ansible_playbook(inventory, empty)[0].wall)
    report(backs, median(floor), rounds)
    return 0


def report(backs: dict[str, list[tuple[float, float]]], floor: float, rounds: int) -> None:
    medians = {name: [median(column) for column in zip(*each, strict=True)] for name, each in backs.items()}
    print(f"medians of {rounds} runs each")
    rows = [("", "recorded s", "wall s")]
    rows += [(name, f"{record:.1f}", f"{wall:.1f}") for name, (record, wall) in medians.items()]
    print_table([*rows, (EMPTY, "", f"{floor:.1f}")])
    (warm, wall), (cold, _) = medians[WARM], medians[COLD]
    print(f"recorded: warm is {cold / warm:.1f} times faster than cold; wall: warm is {wall / floor:.1f} empty plays")


if __name__ == "__main__":
    sys.exit(main())
