# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the firewall has let through and dropped, as a node-exporter textfile. A timer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import Sample, family, publish

TABLE = ("nft", "--json", "list", "table", "inet", "slipway")
FILE = "slipway_firewall.prom"
MARK = Path("/var/lib/slipway/guard/firewall/taken_back")
Counts = tuple[int, int]


def counts(listed: Mapping[str, Any]) -> dict[str, Counts]:
    """Packets and bytes by the rules' comments; rules with one comment, for two families say, are one."""
    found: dict[str, Counts] = {}
    for comment, counter in _counters(listed):
        packets, size = found.get(comment, (0, 0))
        found[comment] = packets + counter["packets"], size + counter["bytes"]
    return found


def exposition(found: Mapping[str, Counts] | None, *, taken_back: bool) -> str:
    """The metrics in Prometheus' text format. None is a table that is not there."""
    rules = [({"rule": name}, *one) for name, one in (found or {}).items()]
    told: dict[str, tuple[str, str, list[Sample]]] = {
        "loaded": ("gauge", "Whether the firewall's rules are in effect.", [({}, int(found is not None))]),
        "taken_back": ("gauge", "Whether the last change was taken back.", [({}, int(taken_back))]),
        "packets_total": ("counter", "Packets, by rule.", [(labels, packets) for labels, packets, _ in rules]),
        "bytes_total": ("counter", "Bytes, by rule.", [(labels, size) for labels, _, size in rules]),
    }
    return "".join(family(f"slipway_firewall_{name}", *one) for name, one in told.items())


def main() -> int:
    place = Path(sys.argv[1])
    if not place.is_dir():
        return 0
    listed = subprocess.run(TABLE, capture_output=True, text=True, check=False)
    found = None if listed.returncode else counts(json.loads(listed.stdout))
    publish(place, FILE, [exposition(found, taken_back=MARK.exists())])
    return 0


def _counters(listed: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, int]]]:
    for item in listed["nftables"]:
        rule = item.get("rule", {})
        for expression in rule.get("expr", []):
            if "counter" in expression and "comment" in rule:
                yield rule["comment"], expression["counter"]


if __name__ == "__main__":
    sys.exit(main())
