# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the firewall has let through and dropped, as a node-exporter textfile. A timer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    rules = (found or {}).items()
    return "".join(
        [
            _family("loaded", "gauge", "Whether the firewall's rules are in effect.", [("", int(found is not None))]),
            _family("taken_back", "gauge", "Whether the last change was taken back.", [("", int(taken_back))]),
            _family("packets_total", "counter", "Packets, by rule.", ((_rule(name), one[0]) for name, one in rules)),
            _family("bytes_total", "counter", "Bytes, by rule.", ((_rule(name), one[1]) for name, one in rules)),
        ]
    )


def main() -> int:
    place = Path(sys.argv[1])
    if not place.is_dir():
        return 0
    listed = subprocess.run(TABLE, capture_output=True, text=True, check=False)
    found = None if listed.returncode else counts(json.loads(listed.stdout))
    handle, temporary = tempfile.mkstemp(dir=place, prefix=f".{FILE}")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(exposition(found, taken_back=MARK.exists()))
        os.fchmod(file.fileno(), 0o644)
    Path(temporary).replace(place / FILE)
    return 0


def _counters(listed: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, int]]]:
    for item in listed["nftables"]:
        rule = item.get("rule", {})
        for expression in rule.get("expr", []):
            if "counter" in expression and "comment" in rule:
                yield rule["comment"], expression["counter"]


def _family(name: str, kind: str, explanation: str, samples: Iterable[tuple[str, int]]) -> str:
    lines = [f"# HELP slipway_firewall_{name} {explanation}", f"# TYPE slipway_firewall_{name} {kind}"]
    lines += [f"slipway_firewall_{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _rule(name: str) -> str:
    return f'{{rule="{name}"}}'


if __name__ == "__main__":
    sys.exit(main())
