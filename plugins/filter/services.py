# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/service``: services of the inventory, complete, and what they need on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import (
    ServiceError,
    find_service,
    parse_service,
    read_services,
    services_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.service.tree import tree_of


def service(data: Any, name: str) -> dict[str, Any]:
    """See service.yml."""
    try:
        return find_service(data, name).without_secrets()
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def services(data: Any) -> list[dict[str, Any]]:
    """See services.yml."""
    try:
        return [found.without_secrets() for found in services_of(data)]
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def services_problems(data: Any) -> list[str]:
    """See services_problems.yml."""
    _services, problems = read_services(data)
    return [str(problem) for problem in problems]


def services_tree(data: Any, root: str) -> dict[str, list[dict[str, Any]]]:
    """See services_tree.yml."""
    try:
        return tree_of(services_of(data), root)
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def host_ports(description: Mapping[str, Any]) -> dict[str, list[int]]:
    """See host_ports.yml."""
    found = parse_service(description)
    return {colour: found.host_ports(colour) for colour in COLOURS}


def service_ports(data: Any, sources: list[str]) -> list[dict[str, Any]]:
    """See service_ports.yml."""
    try:
        found = services_of(data)
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error
    named = {
        f"{one.name}-{colour}-{number}": port
        for one in found
        for colour in COLOURS
        for number, port in enumerate(one.possible_ports(colour), 1)
    }
    named |= {f"{one.name}-bake": one.bake.port for one in found if one.bake.seconds and one.bake.port}
    return [{"name": name, "port": port, "from": sources} for name, port in named.items()]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        public = (host_ports, service, service_ports, services, services_problems, services_tree)
        return {function.__name__: function for function in public}
