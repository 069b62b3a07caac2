# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who holds the edges' virtual addresses: asked of this host, of its keepalived, and of the wire.

``ask ADDRESS…`` says who, and fails unless exactly one does; ``publish DIRECTORY ADDRESS…`` writes a textfile for the
node exporter, which a timer does.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish

FILE = "slipway_keepalived.prom"
DAEMON = Path("/run/keepalived.pid")
DUMP = Path("/run/keepalived/keepalived.json")
PATIENCE = 3.0  # seconds in which keepalived tells its state
_HARDWARE = re.compile(r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b")
_NOBODY = "0.0.0.0"  # noqa: S104  # who asks need have no address in the network
Listed = Sequence[Mapping[str, Any]]


def here(address: str, listed: Listed) -> bool:
    """Whether this host has the address, by ``ip -json address``."""
    return any(own.ip == ipaddress.ip_address(address) for _, own in _own(listed))


def interface_of(address: str, listed: Listed) -> str:
    """Where the address is looked for; empty when no interface is in its network."""
    wanted = ipaddress.ip_address(address)
    found = (name for name, own in _own(listed) if own.version == wanted.version and wanted in own.network)
    return next(found, "")


def question(address: str, interface: str) -> list[str]:
    """The command that asks all neighbours for the address. Each who has it answers, this host not."""
    if ipaddress.ip_address(address).version == 4:
        return ["arping", "-b", "-s", _NOBODY, "-c", "4", "-w", "2", "-I", interface, address]
    return ["ndisc6", "-m", "-q", "-r", "1", "-w", "1000", address, interface]


def neighbours(answer: str) -> list[str]:
    """The hardware addresses that answered, each once."""
    return sorted({found.lower() for found in _HARDWARE.findall(answer)})


def verdict(address: str, held_here: bool, others: Sequence[str]) -> tuple[bool, str]:
    """Whether exactly one holds the address, and who does."""
    holders = (["this host"] if held_here else []) + list(others)
    if not holders:
        return False, f"{address} is held by nobody: health.yml says which edge's nginx or HAProxy does not answer"
    told = f"{address} is held by {' and by '.join(holders)}"
    if len(holders) == 1:
        return True, told
    return False, f"{told} at once: the edges do not hear each other; is VRRP (protocol 112) open between them?"


def became_holder(dumped: Any) -> int | None:
    """How often keepalived's only instance took the addresses since it was started, by its JSON; None when it is cut
    short or says nothing of it."""
    instances = dumped.get("vrrp", []) if isinstance(dumped, dict) else dumped
    try:
        return int(instances[0]["stats"]["become_master"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def exposition(held: Mapping[str, bool], became: int | None) -> Iterator[str]:
    """The metrics in Prometheus' text format. None is a keepalived that does not answer."""
    here_now = [({"address": address}, int(held_here)) for address, held_here in held.items()]
    yield family("slipway_keepalived_holds", "gauge", "Whether this host has the virtual address.", here_now)
    times = [] if became is None else [({"address": next(iter(held))}, became)]
    took = "How often this host took the virtual addresses."
    yield family("slipway_keepalived_became_holder_total", "counter", took, times)


def main() -> int:
    what, *rest = sys.argv[1:]
    listed = json.loads(_output(["ip", "-json", "address"]))
    if what == "publish":
        publish(Path(rest[0]), FILE, exposition({one: here(one, listed) for one in rest[1:]}, became_holder(_daemon())))
        return 0
    found = [_ask(address, listed) for address in rest]
    print("\n".join(told for _, told in found))
    return 0 if all(well for well, _ in found) else 1


def _ask(address: str, listed: Listed) -> tuple[bool, str]:
    interface = interface_of(address, listed)
    if not interface:
        return False, f"no interface of this host is in a network with {address}"
    return verdict(address, here(address, listed), neighbours(_output(question(address, interface))))


def _daemon() -> Any:
    """keepalived writes its state when it gets a signal, whose number its program tells."""
    try:
        process, number = int(DAEMON.read_text()), int(_output(["keepalived", "--signum=JSON"]))
        DUMP.unlink(missing_ok=True)
        os.kill(process, number)
    except (OSError, ValueError):
        return None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            return json.loads(DUMP.read_text())
        except (OSError, ValueError):  # not there yet, or half of it
            continue
    return None


def _own(listed: Listed) -> Iterator[tuple[str, ipaddress.IPv4Interface | ipaddress.IPv6Interface]]:
    for interface in listed:
        for one in interface.get("addr_info", []):
            if one.get("local") and one.get("scope") != "link":
                yield interface["ifname"], ipaddress.ip_interface(f"{one['local']}/{one['prefixlen']}")


def _output(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
