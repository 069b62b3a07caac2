#!/usr/bin/env python3
"""`site.yml` of this checkout beside an earlier commit's, each on a demo of its own: first run, and without changes.

Both demos stand at the same time and run in turn, so that a busy moment of the machine falls on both. Each side uses
its own commit's inventory, settings and roles, with this checkout's Python environment, images and containers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import (
    ROOT,
    Run,
    ansible_playbook,
    cost,
    demo_inventory,
    in_turn,
    module_calls,
    print_table,
    refuse_changes,
    running,
)


@dataclass(frozen=True)
class Side:
    """A commit's files, and its demo."""

    root: Path
    inventory: Path

    def run(self) -> Run:
        return ansible_playbook(self.inventory, self.playbook, root=self.root)[0]

    def calls(self) -> int:
        return module_calls(self.inventory, self.playbook, root=self.root)

    @property
    def playbook(self) -> Path:
        return self.root / "playbooks/site.yml"


def checkout(commit: str, place: Path) -> Path:
    """A commit's files in a directory of their own."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(place, filter="fully_trusted")  # our own; a link points out of its directory
    return place


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier commit")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, medians are compared (default 5)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        place = Path(directory)
        roots = {asked.commit: checkout(asked.commit, place / "earlier"), "this checkout": ROOT}
        sides = {}
        for number, (name, root) in enumerate(roots.items()):
            (place / str(number)).mkdir()
            sides[name] = Side(root, demo_inventory(place / str(number), f"slipway-bench-{number}", root))
            stack.enter_context(running(sides[name].inventory))
        first, settling = {}, {}
        for name, side in sides.items():
            print(f"{name}: first run", flush=True)
            first[name] = side.run()
        for name, side in sides.items():
            settling[name] = side.run().changed
        runs = in_turn({name: side.run for name, side in sides.items()}, asked.rounds)
        calls = {name: side.calls() for name, side in sides.items()}
    report(first, settling, runs, calls)
    refuse_changes(runs)
    return 0


def report(first: dict[str, Run], settling: dict[str, int], runs: dict[str, list[Run]], calls: dict[str, int]) -> None:
    rows = [("", "first wall s", "first cpu s", "2nd changed", "wall s", "cpu s", "module calls")]
    costs = {name: cost(each) for name, each in runs.items()}
    for name, whole in costs.items():
        begun = first[name]
        numbers = (f"{begun.wall:.1f}", f"{begun.cpu:.1f}", str(settling[name]))
        rows.append((name, *numbers, f"{whole.wall:.1f}", f"{whole.cpu:.1f}", str(calls[name])))
    print_table(rows)
    (old, new), (before, after) = first.values(), costs.values()
    print(
        f"of the earlier: first run {new.wall / old.wall:.2f} of the wall time, "
        f"no change {after.wall / before.wall:.2f} of the wall and {after.cpu / before.cpu:.2f} of the processor time"
    )


if __name__ == "__main__":
    sys.exit(main())
