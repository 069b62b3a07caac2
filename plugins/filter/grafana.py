# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dashboards from the measures of the roles' cards, and whether they show anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.dashboard import dashboards
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import limited


def grafana_dashboards(measures: list[dict[str, Any]], limits: dict[str, str] | None = None) -> list[dict[str, str]]:
    """See grafana_dashboards.yml."""
    try:
        found = dashboards(limited(json.loads(json.dumps(measures)), limits or {}))
    except CardError as error:
        raise AnsibleFilterError(f"grafana_dashboards: {error}") from error
    return [{"name": one.name, "content": json.dumps(one.as_dict(), indent=2) + "\n"} for one in found]


def empty_panels(history: dict[str, Any]) -> list[str]:
    """See empty_panels.yml."""
    return [
        f"{one['title']['en']} ({one['id']}): Prometheus has no data for {one['query']}"
        for one in history["measures"]
        if not one["rows"] and not one["may_be_empty"]
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"grafana_dashboards": grafana_dashboards, "empty_panels": empty_panels}
