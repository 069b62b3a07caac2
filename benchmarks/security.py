#!/usr/bin/env python3
"""A run of `site.yml` that changes nothing on the demo's hosts with firewall, hardening and bans, beside one without.

Both sides find everything in place. `hardening` and `fail2ban` are on every host, the firewall is written from the map
of who talks to whom. An empty play on the same hosts is the cost that no role can avoid.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import yaml
from common import (
    ROOT,
    Cost,
    ansible_playbook,
    cost,
    demo_inventory,
    empty_play,
    in_turn,
    print_table,
    refuse_changes,
    running,
)

NAME = "slipway-bench-security"
TOPICS = ("firewall_enabled", "hardening_enabled", "fail2ban_enabled")
SECURED, BARE, EMPTY = "site.yml with them", "site.yml without", "empty play"
MOST = 1.25
"""Of the wall seconds without them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, medians are compared (default 3)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        inventory = demo_inventory(Path(place), NAME)
        said = {**dict.fromkeys(TOPICS, True), "fail2ban_trusted": ["192.0.2.0/24"], "firewall_ssh_from": ["anywhere"]}
        Path(place, "group_vars/all/security.yml").write_text(yaml.safe_dump(said))
        site = ROOT / "playbooks/site.yml"
        empty, without = empty_play(Path(place)), json.dumps(dict.fromkeys(TOPICS, False))
        sides = {
            EMPTY: lambda: ansible_playbook(inventory, empty)[0],
            SECURED: lambda: ansible_playbook(inventory, site)[0],
            BARE: lambda: ansible_playbook(inventory, site, "-e", without)[0],
        }
        with running(inventory):
            print("provisioning the hosts (some minutes)", flush=True)
            ansible_playbook(inventory, site, longest=1800)
            runs = in_turn(sides, rounds)
    refuse_changes(runs)
    return report({name: cost(each) for name, each in runs.items()}, rounds)


def report(costs: dict[str, Cost], rounds: int) -> int:
    print(f"no change, medians of {rounds} runs each")
    bare = costs[BARE]
    print_table(
        [("", "wall s", "of without", "controller cpu s", "of without")]
        + [
            (name, f"{one.wall:.1f}", f"{one.wall / bare.wall:.2f}", f"{one.cpu:.1f}", f"{one.cpu / bare.cpu:.2f}")
            for name, one in costs.items()
        ]
    )
    return int(costs[SECURED].wall / bare.wall > MOST)


if __name__ == "__main__":
    sys.exit(main())
