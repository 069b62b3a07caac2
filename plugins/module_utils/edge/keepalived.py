# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the inventory and its hosts' facts to one VRRP instance: the interface of each address, and the peers.

All addresses move as one. VRRP itself speaks the family of the first; those of the other family go along.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class KeepalivedError(ValueError):
    """An instance that cannot be; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Where a host meets the network of a virtual address: by which interface, and by which address of its own."""

    interface: str
    address: Address


def plan(host: str, virtual: Sequence[str], facts: Mapping[str, Facts]) -> dict[str, Any]:
    """The instance of ``host`` among all the hosts that ``facts`` are of."""
    addresses = [ipaddress.ip_address(text) for text in virtual]
    found = {name: _places(name, addresses, its) for name, its in facts.items()}
    first = addresses[0]
    same = [one for one in addresses if one.version == first.version]
    moving = {one: {"address": str(one), "interface": found[host][one].interface} for one in addresses}
    return {
        "interface": found[host][first].interface,
        "own": str(found[host][first].address),
        "peers": [str(found[name][first].address) for name in facts if name != host],
        "addresses": [moving[one] for one in same],
        "along": [moving[one] for one in addresses if one not in same],
    }


def problems(host: str, virtual: Sequence[str], facts: Mapping[str, Facts]) -> Iterator[str]:
    """What cannot be meant, a sentence each. A host without facts is not known yet and is not judged."""
    addresses = []
    for text in virtual:
        try:
            addresses.append(ipaddress.ip_address(text))
        except ValueError:
            yield f"keepalived_addresses has {text!r}, which is no address; write such as 192.0.2.10 or 2001:db8::10"
    if not virtual:
        yield "keepalived_addresses is empty. Name the address that moves between the edges, such as [192.0.2.10]."
    if len(set(addresses)) < len(addresses):
        yield f"keepalived_addresses names an address twice: {', '.join(virtual)}."
    if len(facts) < 2:
        yield (
            f"{host} shares {', '.join(virtual)} with no other edge. Give two hosts or more of group edge the same "
            "keepalived_addresses."
        )
    for name in sorted(name for name, its in facts.items() if its.get("interfaces")):
        for address in addresses:
            yield from _of_host(name, address, addresses, facts[name])


def _of_host(name: str, address: Address, virtual: Sequence[Address], facts: Facts) -> Iterator[str]:
    if any(one.ip == address and one.network.num_addresses > 1 for _, one in _interfaces(facts)):
        yield f"keepalived_addresses has {address}, which is {name}'s own. Take one that no host has."
    elif _place(address, virtual, facts) is None:
        yield (
            f"{name} has no interface in a network with {address}: it has {_networks(facts, address.version)}. "
            "Take an address of a network that all edges are in."
        )


def _places(name: str, addresses: Sequence[Address], facts: Facts) -> dict[Address, Place]:
    found = {}
    for address in addresses:
        place = _place(address, addresses, facts)
        if place is None:
            raise KeepalivedError(
                f"no interface of {name} is known in a network with {address}. Bring the host up, so that its facts "
                "can be read, or take another address"
            )
        found[address] = place
    return found


def _place(address: Address, virtual: Sequence[Address], facts: Facts) -> Place | None:
    for name, one in _interfaces(facts):
        if one.version == address.version and address in one.network and one.ip not in virtual:
            return Place(name, one.ip)
    return None


def _interfaces(facts: Facts) -> Iterator[tuple[str, Interface]]:
    """Every address of a host with its network; what is of a link or of the host alone has none."""
    for name in sorted(set(facts.get("interfaces") or []) - {"lo"}):
        its = facts.get(re.sub("[^A-Za-z0-9_]", "_", name), {})
        for four in [its.get("ipv4", {}), *its.get("ipv4_secondaries", [])]:
            if four.get("address"):
                yield name, ipaddress.ip_interface(f"{four['address']}/{four.get('netmask') or 32}")
        for six in its.get("ipv6", []):
            if six.get("scope") != "link":
                yield name, ipaddress.ip_interface(f"{six['address']}/{six.get('prefix') or 128}")


def _networks(facts: Facts, version: int) -> str:
    found = {str(one.network) for _, one in _interfaces(facts) if one.version == version}
    return ", ".join(sorted(found)) or f"none of IPv{version}"
