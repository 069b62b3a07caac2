# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What documents may know of a host; the filter's documentation is in documents_host.yml."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, services_of
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.picks import PICKS, VARIABLES


def documents_host(variables: Mapping[str, Any]) -> dict[str, Any]:
    """See documents_host.yml."""
    return {
        "address": _read(variables, "ansible_host") or variables["inventory_hostname"],
        "groups": list(variables["group_names"]),
        "services": _services(variables),
        "values": {name: PICKS[name](value) if name in PICKS else value for name, value in _values(variables).items()},
    }


def _services(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "app" not in variables["group_names"] or "app_services" not in variables:
        return []
    try:
        return [one.without_secrets() for one in services_of(_plain(variables["app_services"]))]
    except ServiceError as error:
        raise AnsibleFilterError(f"{variables['inventory_hostname']}: {error}") from error


def _values(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that are there; one that cannot be worked out without facts is None."""
    return {name: _read(variables, name) for name in VARIABLES if name in variables}


def _read(variables: Mapping[str, Any], name: str) -> Any:
    try:
        return _plain(variables[name]) if name in variables else None
    except AnsibleError:
        return None


def _plain(value: Any) -> Any:
    """Ansible marks values with their origin and works them out when they are read."""
    return json.loads(json.dumps(value, default=str))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"documents_host": documents_host}
