# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From cards and the inventory to the rules of a host's firewall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.net import firewall

Entries = Sequence[Mapping[str, Any]]


def firewall_ruleset(
    entries: Entries,
    host: str,
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> str:
    """See firewall_ruleset.yml."""
    inventory = _inventory(groups, hostvars)
    elsewhere = settings.get("elsewhere")
    try:
        doors = firewall.doors_of(entries, settings.get("others"))
        ways = None
        if elsewhere is not None:
            ways = firewall.ways_of(host, _by_host(elsewhere), settings.get("outbound", []), inventory)
        return firewall.ruleset(host, doors, ways, inventory, settings.get("inside", []))
    except firewall.FirewallError as error:
        raise AnsibleFilterError(f"firewall_ruleset: {error}") from error


def firewall_tcp_ports(entries: Entries) -> list[int]:
    """See firewall_tcp_ports.yml."""
    try:
        return firewall.tcp_ports(firewall.doors_of(entries))
    except firewall.FirewallError as error:
        raise AnsibleFilterError(f"firewall_tcp_ports: {error}") from error


def firewall_problems(
    entries: Entries,
    groups: Mapping[str, Sequence[str]],
    own: Entries = (),
    others: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """See firewall_problems.yml."""
    return list(firewall.problems(entries, own, others or {}, _inventory(groups, {})))


def _inventory(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]) -> firewall.Inventory:
    def addresses(host: str) -> Sequence[str]:
        theirs = hostvars[host]
        given: Sequence[str] = theirs.get("firewall_addresses") or []
        found = given or firewall.addresses_of(theirs.get("ansible_facts") or {})
        moving = set(map(str, theirs.get("keepalived_addresses") or []))  # whoever holds one comes by its own
        return [address for address in found if address not in moving]

    return firewall.Inventory({str(name): list(map(str, hosts)) for name, hosts in groups.items()}, addresses)


def _by_host(entries: Entries) -> dict[str, list[firewall.Door]]:
    hosts = dict.fromkeys(str(entry["host"]) for entry in entries)
    return {host: firewall.doors_of([entry for entry in entries if entry["host"] == host]) for host in hosts}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        public = (firewall_problems, firewall_ruleset, firewall_tcp_ports)
        return {function.__name__: function for function in public}
