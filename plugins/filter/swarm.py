# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services of the inventory in a swarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError
from ansible_collections.slipway.ops.plugins.module_utils.release import report
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import (
    ServiceError,
    find_service,
    parse_service,
    services_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.swarm import render

Groups = Mapping[str, Sequence[str]]


def swarm_pools(services: list[dict[str, Any]], groups: Groups, hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See swarm_pools.yml."""
    try:
        return render.pools(services_of(services), groups, hostvars)
    except (AddressError, HaproxyError, ServiceError) as error:
        raise AnsibleFilterError(str(error)) from error


def swarm_runners(groups: Groups, hostvars: Mapping[str, Any]) -> list[str]:
    """See swarm_runners.yml."""
    return render.runners(groups, hostvars)


def swarm_nodes(groups: Groups, hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See swarm_nodes.yml."""
    managers = groups.get(render.MANAGERS, [])
    return [
        {
            "host": host,
            "id": identifier,
            "role": "manager" if host in managers else "worker",
            "availability": hostvars[host].get("swarm_availability", "active"),
            "labels": hostvars[host].get("swarm_labels", {}),
        }
        for host in render.members(groups)
        if (identifier := _identifier(hostvars[host]))
    ]


def _identifier(variables: Mapping[str, Any]) -> str:
    """What it is since it joined, or was before."""
    said = [variables.get(name) or {} for name in ("__swarm_joined", "__swarm_begun", "__swarm_node")]
    return next((one["id"] for one in said if one.get("id")), "")


def swarm_services(
    service: Mapping[str, Any], version: str, root: str = "/srv/slipway", monitor: float = 5
) -> list[dict[str, Any]]:
    """See swarm_services.yml."""
    try:
        found = parse_service(service)
        problems = render.problems(found, version)
        if problems:
            raise AnsibleFilterError(f"{found.name} cannot run in a swarm: {'; '.join(problems)}.")
        return render.render(found, version, f"{root}/{found.name}", monitor)
    except (RequestError, ServiceError) as error:
        raise AnsibleFilterError(str(error)) from error


def swarm_ports(services: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See swarm_ports.yml."""
    try:
        return [
            {"name": f"{one.name}-{number}", "port": port, "from": ["edge"]}
            for one in services_of(services)
            for number, port in enumerate(one.host_ports(render.COLOUR), 1)
        ]
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def swarm_secrets(services: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """See swarm_secrets.yml."""
    try:
        return find_service(services, name).secrets
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def swarm_records(outcome: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See swarm_records.yml."""
    return report.records(report.Outcome(**outcome))


def swarm_doubts(answers: Mapping[str, Mapping[str, Any]], managers: Sequence[str]) -> list[str]:
    """See swarm_doubts.yml."""
    states = {host: answers[host]["node_state"] if host in answers else "" for host in managers}
    return [
        f"{host} is {state}" if state else f"{host} took no part in this run"
        for host, state in states.items()
        if state != "inactive"
    ]


def swarm_unreachable(result: Mapping[str, Any]) -> list[str]:
    """See swarm_unreachable.yml."""
    return [str(one["item"]) for one in result.get("results", []) if one.get("unreachable")]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        public = (
            swarm_doubts,
            swarm_nodes,
            swarm_pools,
            swarm_ports,
            swarm_records,
            swarm_runners,
            swarm_secrets,
            swarm_services,
            swarm_unreachable,
        )
        return {function.__name__: function for function in public}
