# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the inventory to what passes through a bastion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net import bastion

Users = Sequence[Mapping[str, Any]]


def bastion_permitted(hosts: Sequence[str], hostvars: Mapping[str, Any], more: Sequence[str] = ()) -> list[str]:
    """See bastion_permitted.yml."""
    return bastion.permitted([bastion.target_of(host, hostvars[host]) for host in hosts], more)


def bastion_client(hosts: Sequence[str], hostvars: Mapping[str, Any], way: Mapping[str, Any]) -> list[str]:
    """See bastion_client.yml."""
    gate = bastion.Target(str(way["name"]), (str(way["address"]),), int(way["port"]), str(way.get("user") or ""))
    return bastion.client_settings(gate, [bastion.target_of(host, hostvars[host]) for host in hosts])


def bastion_problems(users: Users, administrators: Sequence[str] = ()) -> list[str]:
    """See bastion_problems.yml."""
    return list(bastion.problems(users, administrators))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "bastion_client": bastion_client,
            "bastion_permitted": bastion_permitted,
            "bastion_problems": bastion_problems,
        }
