# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the inventory to a host's tunnels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.net import wireguard

Hostvars = Mapping[str, Mapping[str, Any]]
PORT = 51820


def wireguard_configuration(
    peers: Sequence[Mapping[str, Any]], host: str, hosts: Sequence[str], hostvars: Hostvars, keys: Mapping[str, str]
) -> str:
    """See wireguard_configuration.yml."""
    try:
        others = [
            wireguard.host_as_peer(
                name, keys.get(name, ""), _end(hostvars[name]), list(hostvars[name].get("wireguard_networks") or [])
            )
            for name in hosts
            if name != host
        ]
        own = (*others, *map(wireguard.peer_of, peers))
        return wireguard.configuration(_end(hostvars[host], own))
    except ValueError as error:
        raise AnsibleFilterError(f"wireguard_configuration: {error}") from error


def wireguard_problems(
    peers: Sequence[Mapping[str, Any]], host: str, hosts: Sequence[str], hostvars: Hostvars
) -> list[str]:
    """See wireguard_problems.yml."""
    addresses = list(map(str, hostvars[host].get("wireguard_addresses") or []))
    of_hosts = {name: list(map(str, hostvars[name].get("wireguard_addresses") or [])) for name in hosts}
    return wireguard.problems(host, addresses, [wireguard.peer_of(peer) for peer in peers], of_hosts)


def _end(variables: Mapping[str, Any], peers: tuple[wireguard.Peer, ...] = ()) -> wireguard.End:
    return wireguard.End(
        tuple(map(str, variables.get("wireguard_addresses") or [])),
        int(variables.get("wireguard_port", PORT)),
        str(variables.get("wireguard_endpoint") or ""),
        int(variables.get("wireguard_keepalive", 25)),
        peers,
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"wireguard_configuration": wireguard_configuration, "wireguard_problems": wireguard_problems}
