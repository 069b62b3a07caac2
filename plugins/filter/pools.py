# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From services to HAProxy's pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.plan import pools_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, services_of


def pools(services: list[dict[str, Any]], hosts: list[str], hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See pools.yml."""
    try:
        return pools_of(services_of(services), hosts, hostvars)
    except (AddressError, HaproxyError, ServiceError) as error:
        raise AnsibleFilterError(str(error)) from error


def pool_ports(written: list[dict[str, Any]], sources: list[str]) -> list[dict[str, Any]]:
    """See pool_ports.yml."""
    try:
        served = [(pool["name"], *split_host_port(pool["bind"])) for pool in written]
    except AddressError as error:
        raise AnsibleFilterError(f"pool_ports: {error}") from error
    return [{"name": name, "port": port, "address": address, "from": sources} for name, address, port in served]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pools": pools, "pool_ports": pool_ports}
