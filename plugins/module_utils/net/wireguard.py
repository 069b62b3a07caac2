# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's end of WireGuard's tunnels: hosts of the inventory, and devices that are not in it, are its peers.

The host's private key is in none of this: it is made there, and read by a command of its own.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, split_host_port

KEY_FILE = "/etc/wireguard/%i.key"
AT_START = "# Addresses and routes: "  # what only a start takes up; whatever else changes is taken up without one
# What is not in the file stays as it was when peers are synchronised; so nothing is left out.
NO_KEY = "A" * 43 + "="
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,60}")
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class WireguardError(ValueError):
    """Tunnels that cannot be; the message says what to do."""


@dataclass(frozen=True)
class Peer:
    """Who comes by the tunnel: with which key, and from which addresses and networks."""

    name: str
    public_key: str
    allowed: tuple[str, ...]
    endpoint: str = ""
    preshared_key: str = ""


@dataclass(frozen=True)
class End:
    """This host's. ``keepalive`` is for one that peers cannot call, and keeps its way to them open."""

    addresses: tuple[str, ...]
    port: int
    endpoint: str = ""
    keepalive: int = 0
    peers: tuple[Peer, ...] = field(default=())


def peer_of(entry: Mapping[str, Any]) -> Peer:
    """Of an entry of ``wireguard_peers``."""
    allowed = (*entry.get("addresses", []), *entry.get("networks", []))
    return Peer(
        str(entry.get("name", "")),
        str(entry.get("public_key", "")),
        tuple(map(str, allowed)),
        str(entry.get("endpoint") or ""),
        str(entry.get("preshared_key") or ""),
    )


def host_as_peer(name: str, key: str, end: End, networks: Sequence[str]) -> Peer:
    """Another host of the inventory: it is at its own addresses, and leads to its networks."""
    if not key:
        raise WireguardError(
            f"the public key of {name} is not known, and to leave {name} out would cut it off. Bring it up and run "
            "again, or take it out of group wireguard"
        )
    own = [str(ipaddress.ip_interface(address).ip) for address in end.addresses]
    endpoint = f"{_bracketed(end.endpoint)}:{end.port}" if end.endpoint else ""
    return Peer(name, key, (*own, *networks), endpoint)


def configuration(end: End) -> str:
    """A file for ``wg-quick``."""
    lines = [
        "# Written by the role slipway.ops.wireguard; changes here are lost.",
        "[Interface]",
        *(f"Address = {address}" for address in end.addresses),
        f"ListenPort = {end.port}",
        f"PostUp = wg set %i private-key {KEY_FILE}",
        AT_START + " ".join([*end.addresses, *_routes(end)]),
    ]
    for peer in end.peers:
        lines += ["", "[Peer]", f"# {peer.name}", f"PublicKey = {peer.public_key}"]
        lines += [f"PresharedKey = {peer.preshared_key or NO_KEY}"]
        lines += [f"AllowedIPs = {', '.join(map(str, _networks(peer)))}"]
        lines += [f"Endpoint = {peer.endpoint}"] if peer.endpoint else []
        lines += [f"PersistentKeepalive = {end.keepalive if peer.endpoint and not end.endpoint else 0}"]
    return "\n".join([*lines, ""])


def problems(
    host: str, addresses: Sequence[str], peers: Sequence[Peer], hosts: Mapping[str, Sequence[str]]
) -> list[str]:
    """What cannot be meant, a sentence each. ``hosts`` are all of the group with their addresses and networks."""
    found = list(_of_addresses(host, addresses))
    for peer in peers:
        found += _of_peer(peer)
    if not found:
        found += _of_all(host, peers, hosts)
    return found


def _of_addresses(host: str, addresses: Sequence[str]) -> Iterator[str]:
    if not addresses:
        yield f"{host} has no wireguard_addresses. Give it one with the tunnel's network, such as [10.99.0.1/24]."
    for address in addresses:
        interface = _interface(address)
        if interface is None or interface.network.num_addresses == 1:
            yield (
                f"wireguard_addresses of {host} has {address!r}: write an address with the tunnel's network, "
                "such as 10.99.0.1/24"
            )


def _of_peer(peer: Peer) -> Iterator[str]:
    where = f"peer {peer.name!r} of wireguard_peers"
    if not _NAME.fullmatch(peer.name):
        yield f"{where}: a name has letters, digits, spaces, dots, dashes, at most 60"
    if not _is_key(peer.public_key):
        yield f"{where}: {peer.public_key!r} is no public key; `wg pubkey` on the device prints it"
    if peer.preshared_key and not _is_key(peer.preshared_key):
        yield f"{where}: its preshared_key is none; `wg genpsk` makes one"
    if not peer.allowed:
        yield f"{where}: it needs addresses, those that it has in the tunnel"
    for text in peer.allowed:
        if _network(text) is None:
            yield f"{where}: {text!r} is neither an address nor a network such as 10.50.0.0/16"
    if peer.endpoint:
        try:
            split_host_port(peer.endpoint)
        except AddressError as error:
            yield f"{where}: endpoint {error}"


def _of_all(host: str, peers: Sequence[Peer], hosts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Of two peers with one address WireGuard silently takes it from the first; of two with one key it keeps one."""
    keys: dict[str, str] = {}
    for peer in peers:
        if peer.public_key in keys:
            yield f"{keys[peer.public_key]} and {peer.name} of wireguard_peers have the same public key"
        keys[peer.public_key] = peer.name
    owners: dict[Network, str] = {}
    for name, texts in [*hosts.items(), *((peer.name, peer.allowed) for peer in peers)]:
        for text in texts:
            interface = _interface(text)
            network = None if interface is None else _own(interface, name in hosts)
            if network is None:
                continue  # the other host's own run says it
            if network in owners and owners[network] != name:
                yield f"{owners[network]} and {name} both have {network} in the tunnel of {host}; give each its own"
            owners[network] = name


def _own(interface: Interface, of_host: bool) -> Network:
    return ipaddress.ip_network(interface.ip) if of_host else interface.network


def _routes(end: End) -> list[str]:
    """Networks behind peers, for which there is no route by the tunnel's own address."""
    own = [ipaddress.ip_interface(address).network for address in end.addresses]
    found = {
        network
        for peer in end.peers
        for network in _networks(peer)
        if not any(network.version == one.version and network.subnet_of(one) for one in own)  # type: ignore[arg-type]
    }
    return sorted(map(str, found))


def _networks(peer: Peer) -> list[Network]:
    return [ipaddress.ip_network(text, strict=False) for text in peer.allowed]


def _interface(text: str) -> Interface | None:
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_key(text: str) -> bool:
    try:
        return len(text) == 44 and len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
