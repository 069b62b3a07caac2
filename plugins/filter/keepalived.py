# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the inventory to keepalived's instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.edge import keepalived

Hostvars = Mapping[str, Mapping[str, Any]]


def keepalived_instance(virtual: Sequence[str], host: str, edges: Sequence[str], hostvars: Hostvars) -> dict[str, Any]:
    """See keepalived_instance.yml."""
    addresses = list(map(str, virtual))
    try:
        return keepalived.plan(str(host), addresses, _facts(addresses, edges, hostvars))
    except keepalived.KeepalivedError as error:
        raise AnsibleFilterError(f"keepalived_instance: {error}") from error


def keepalived_problems(virtual: Sequence[str], host: str, edges: Sequence[str], hostvars: Hostvars) -> list[str]:
    """See keepalived_problems.yml."""
    addresses = list(map(str, virtual))
    return list(keepalived.problems(str(host), addresses, _facts(addresses, edges, hostvars)))


def _facts(virtual: Sequence[str], edges: Sequence[str], hostvars: Hostvars) -> dict[str, Mapping[str, Any]]:
    """Of the edges that share these addresses."""
    return {
        str(edge): hostvars[edge].get("ansible_facts") or {}
        for edge in edges
        if list(map(str, hostvars[edge].get("keepalived_addresses") or [])) == virtual
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"keepalived_instance": keepalived_instance, "keepalived_problems": keepalived_problems}
