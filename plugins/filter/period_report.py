# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report of a period: its data and its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.plugin_utils.period import costs, page


def period_data(
    history: dict[str, Any], evidence: dict[str, Any], costs: dict[str, Any] | None = None
) -> dict[str, Any]:
    """See period_data.yml."""
    return page.data(_plain(history), _plain(evidence), _plain(costs))


def period_costs(prices: dict[str, Any], others: dict[str, Any], currency: str = "") -> dict[str, Any] | None:
    """See period_costs.yml."""
    try:
        return costs.costs(_plain(prices), _plain(others), currency)
    except ValueError as error:
        raise AnsibleFilterError(f"period_costs: {error}") from error


def period_report(told: dict[str, Any], about: dict[str, str], language: str = "en") -> str:
    """See period_report.yml."""
    try:
        return page.render(_plain(told), _plain(about), language)
    except ValueError as error:
        raise AnsibleFilterError(f"period_report: {error}") from error


def _plain(value: Any) -> Any:
    """Ansible marks values with their origin; the page is about the values alone."""
    return json.loads(json.dumps(value, default=str))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"period_data": period_data, "period_costs": period_costs, "period_report": period_report}
