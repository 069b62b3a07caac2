# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From who talks to whom on which port to the rules of nftables: one table of its own, replaced in one step.

A door is a port of a host with those who may come: groups and hosts of the inventory, networks, or anywhere. What may
leave a host that is restricted is what others have a door for, and what it is given by name.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANYWHERE = "anywhere"
MONITOR = "monitor"  # the group whose hosts scrape metrics
PROTOCOLS = ("tcp", "udp")
PORTLESS = "ip"  # a protocol that has no ports: the port is its own number, such as 112 for VRRP
FOREIGN = re.compile(r"lo|docker|br-|veth|virbr|cni|tun|tap|tailscale")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_PORT = re.compile(r"([0-9]{1,5})(-([0-9]{1,5}))?")
_FAMILIES = ((4, "ip"), (6, "ip6"))
_KNOWN = "ct state vmap { established : accept, related : accept, invalid : drop }"
_ICMP = "icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept"
_ICMP6 = (
    "icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept"
)
_NEIGHBOURS = (  # without them there is no IPv6
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, "
    "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept"
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Entry = Mapping[str, Any]


class FirewallError(ValueError):
    """A map that makes no sense, or of which something is not known; the message says what to do."""


@dataclass(frozen=True)
class Door:
    """``others`` are groups, hosts, networks or ``anywhere``; ``port`` is one, or a range such as 8000-8002."""

    name: str
    port: str
    protocol: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Others:
    """Whom names stand for."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    anywhere: bool = False


@dataclass(frozen=True)
class Inventory:
    """Groups with the names of their hosts, and the addresses of a host, empty when they are not known."""

    groups: Mapping[str, Sequence[str]]
    addresses: Callable[[str], Sequence[str]]

    def find(self, names: Iterable[str]) -> Others:
        hosts: set[str] = set()
        networks: list[Network] = []
        for name in map(str, names):
            if name in self.groups:
                hosts.update(self.groups[name])
            elif name in self.groups.get("all", ()):
                hosts.add(name)
            elif (network := as_network(name)) is not None:
                networks.append(network)
        return Others(frozenset(hosts), tuple(networks), ANYWHERE in names)

    def knows(self, name: str) -> bool:
        return (
            name == ANYWHERE
            or name in self.groups
            or name in self.groups.get("all", ())
            or as_network(name) is not None
        )

    def networks(self, others: Others, but: str) -> list[Network]:
        """Every network of others, without what another one contains; the host itself is none of them."""
        found = list(others.networks)
        for host in sorted(others.hosts - {but}):
            addresses = self.addresses(host)
            if not addresses:
                raise FirewallError(
                    f"the addresses of {host} are not known: there are no facts of it and no firewall_addresses. "
                    "It would be locked out; bring it up, or give its firewall_addresses"
                )
            found += [ipaddress.ip_network(address) for address in addresses]
        return [
            network
            for version, _ in _FAMILIES
            for network in ipaddress.collapse_addresses(one for one in found if one.version == version)  # type: ignore[type-var]
        ]


def as_network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def addresses_of(facts: Entry) -> list[str]:
    """A host's own addresses, by its facts: what containers, bridges and tunnels have is not what it comes from."""
    found: list[str] = []
    for name in facts.get("interfaces", []):
        if FOREIGN.match(name):
            continue
        interface = facts.get(re.sub("[^A-Za-z0-9_]", "_", name), {})
        four = [interface.get("ipv4", {}), *interface.get("ipv4_secondaries", [])]
        found += [one["address"] for one in four if one.get("address")]
        found += [one["address"] for one in interface.get("ipv6", []) if one.get("scope") != "link"]
    return list(dict.fromkeys(map(str, found)))


def doors_of(entries: Iterable[Entry], others: Mapping[str, Sequence[str]] | None = None) -> list[Door]:
    """The doors that ports and metrics of cards stand for, those on loopback left out.

    ``others`` are instead of the card's own, by a door's name. Where Prometheus has a door already it gets no second.
    """
    changed = others or {}
    doors: dict[Door, None] = {}
    for entry in sorted(entries, key=lambda entry: "job" in entry):
        if _loopback(str(entry.get("address") or "")):
            continue
        door = _door(entry)
        door = Door(door.name, door.port, door.protocol, tuple(map(str, changed.get(door.name, door.others))))
        served = "job" in entry and any(one.port == door.port and MONITOR in one.others for one in doors)
        if not served:
            doors[door] = None
    return list(doors)


def tcp_ports(doors: Iterable[Door]) -> list[int]:
    """Every port of TCP that doors open, ranges whole."""
    found = set()
    for door in doors:
        first, _, last = door.port.partition("-")
        found |= set(range(int(first), int(last or first) + 1)) if door.protocol == "tcp" else set()
    return sorted(found)


def ways_of(host: str, doors: Mapping[str, Iterable[Door]], own: Iterable[Entry], inventory: Inventory) -> list[Door]:
    """What may leave a host that is restricted: to the ``doors`` of other hosts that it comes to by its name or group,
    and whatever is its ``own``. That a door is for anywhere, or for a network, is no reason to need it."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for other, theirs in doors.items():
        for door in theirs:
            if other != host and host in inventory.find(door.others).hosts:
                found.setdefault((door.name, door.port, door.protocol), []).append(other)
    return [*(Door(*way, tuple(to)) for way, to in found.items()), *map(_door, own)]


def problems(entries: Iterable[Entry], own: Iterable[Entry], others: Entry, inventory: Inventory) -> Iterator[str]:
    """What cannot be meant of a host's own rules, and what would lock its administrators out."""
    doors = []
    for entry in entries:
        try:
            doors.append(_door(entry))
        except FirewallError as error:
            yield str(error)
    names = list(dict.fromkeys(door.name for door in doors))
    for name, given in others.items():
        if name not in names:
            yield f"firewall_from names {name}, and no role of this host has such a port{_nearest(name, names)}"
        yield from _unknown(f"firewall_from of {name}", given, inventory)
    for entry in own:
        yield from _unknown(f"rule {entry.get('name')}", [*entry.get("from", []), *entry.get("to", [])], inventory)
    for door in doors:
        if door.name == "firewall.ssh":
            wanted = others.get(door.name, door.others)
            yield from _unknown("firewall_ssh_from", [name for name in wanted if name != "bastion"], inventory)
            if inventory.find(wanted) == Others():
                yield (
                    f"firewall_ssh_from is {list(wanted)}, and nobody is among them: SSH would be closed to everybody. "
                    "Give the administrators' networks, such as [10.0.0.0/8], or hosts to the group bastion"
                )


def ruleset(
    host: str, doors: Sequence[Door], ways: Sequence[Door] | None, inventory: Inventory, inside: Sequence[str]
) -> str:
    """A file for ``nft -f``. Without ``ways`` everything may leave. ``inside`` are the interfaces of the host's own
    containers, which count as the host."""
    within = f"iifname {{ {', '.join(map(_quoted, inside))} }} " if inside else ""
    lines = [
        "# Written by the role slipway.ops.firewall; changes here are lost.",
        "table inet slipway",
        "delete table inet slipway",
        "table inet slipway {",
        *_chain("declared", _entrances(host, doors, inventory, within)),
        *_chain("input", _input()),
        *([] if ways is None else _chain("outbound", _exits(host, ways, inventory))),
        *_chain("forward", _forward(within, restricted=ways is not None)),
        *([] if ways is None else _chain("output", _output())),
    ]
    return "\n".join([*lines, "}", ""])


def _entrances(host: str, doors: Sequence[Door], inventory: Inventory, within: str) -> Iterator[str]:
    """The port is the one that the client has dialled: that of a container's is translated before it is forwarded."""
    for door in doors:
        others = inventory.find(door.others)
        sources = _matches(host, others, inventory, "saddr")
        if within and host in others.hosts and not others.anywhere:
            sources.append(within)
        port = "" if door.protocol == PORTLESS else f"ct original proto-dst {door.port} "
        yield from _rules(door, [port + source for source in sources])


def _exits(host: str, ways: Sequence[Door], inventory: Inventory) -> Iterator[str]:
    for way in ways:
        targets = _matches(host, inventory.find(way.others), inventory, "daddr")
        port = "" if way.protocol == PORTLESS else f"th dport {way.port} "
        yield from _rules(way, [port + target for target in targets])


def _rules(door: Door, matches: Sequence[str]) -> Iterator[str]:
    if matches:
        yield f"# {door.name}: {', '.join(door.others)}"
    protocol = door.port if door.protocol == PORTLESS else door.protocol
    for match in matches:
        yield f'meta l4proto {protocol} {match}counter accept comment "{door.name}"'


def _matches(host: str, others: Others, inventory: Inventory, side: str) -> list[str]:
    if others.anywhere:
        return [""]
    networks = inventory.networks(others, but=host)
    found = [(family, [_short(one) for one in networks if one.version == version]) for version, family in _FAMILIES]
    return [f"{family} {side} {{ {', '.join(of_family)} }} " for family, of_family in found if of_family]


def _input() -> Iterator[str]:
    yield "type filter hook input priority filter; policy drop;"
    yield 'iifname "lo" accept'
    yield _KNOWN
    yield _ICMP
    yield _ICMP6
    yield _NEIGHBOURS
    yield "udp sport 67 udp dport 68 accept"
    yield "ip6 saddr fe80::/10 udp dport 546 accept"
    yield "jump declared"
    yield 'counter drop comment "input"'


def _forward(within: str, *, restricted: bool) -> Iterator[str]:
    """What containers publish is for those whom the map names; what they begin is the host's own."""
    yield "type filter hook forward priority filter; policy drop;"
    yield _KNOWN
    yield "ct status dnat jump declared"
    yield 'ct status dnat counter drop comment "published"'
    if within:
        yield f"{within}{'jump outbound' if restricted else 'accept'}"
    yield 'counter drop comment "forward"'


def _output() -> Iterator[str]:
    yield "type filter hook output priority filter; policy drop;"
    yield 'oifname "lo" accept'
    yield _KNOWN
    yield _NEIGHBOURS
    yield "udp sport 68 udp dport 67 accept"
    yield "ip6 daddr { fe80::/10, ff02::/16 } udp dport 547 accept"
    yield "jump outbound"
    yield 'counter reject with icmpx type admin-prohibited comment "output"'


def _chain(name: str, rules: Iterable[str]) -> list[str]:
    return [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]


def _short(network: Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _door(entry: Entry) -> Door:
    """Of an entry of a card's ports or metrics, or of a rule of the inventory."""
    name = f"metrics-{entry['job']}" if "job" in entry else str(entry.get("name"))
    name = f"{entry['role']}.{name}" if "role" in entry else name
    others = [MONITOR] if "job" in entry else [*entry.get("from", []), *entry.get("to", [])]
    port, protocol = str(entry.get("port")), str(entry.get("protocol") or "tcp")
    if not _NAME.fullmatch(name):
        raise FirewallError(f"{name!r} is no name of a rule: write letters, digits, dots, dashes, at most 60")
    ends = _PORT.fullmatch(port)
    if not ends or not 0 < int(ends[1]) <= int(ends[3] or ends[1]) <= 65535:
        raise FirewallError(f"{name}: {port} is no port; write one from 1 to 65535, or a range such as 8000-8002")
    if protocol not in (*PROTOCOLS, PORTLESS):
        raise FirewallError(f"{name}: {protocol} is no protocol that has ports; write {' or '.join(PROTOCOLS)}")
    if protocol == PORTLESS and not port.isdecimal():
        raise FirewallError(f"{name}: {port} is no number of a protocol; write such as 112 for VRRP")
    return Door(name, port, protocol, tuple(map(str, others)))


def _loopback(address: str) -> bool:
    network = as_network(address)
    return address == "localhost" or (network is not None and network.is_loopback)


def _unknown(where: str, names: Iterable[Any], inventory: Inventory) -> Iterator[str]:
    for name in map(str, names):
        if not inventory.knows(name):
            near = _nearest(name, [ANYWHERE, *inventory.groups, *inventory.groups.get("all", ())])
            yield f"{where} names {name}, which is no group, no host, no network and not {ANYWHERE}{near}"


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
