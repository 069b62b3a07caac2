# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what Prometheus measured to evidence and requirements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import kpis
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import limited


def kpi_results(
    history: dict[str, Any], subject: str, targets: list[dict[str, Any]], coverage: float = 50
) -> list[dict[str, Any]]:
    """See kpi_results.yml."""
    return [one.as_dict() for one in kpis.results(history, str(subject), kpis.expected(targets), float(coverage))]


def kpi_requirements(measures: list[dict[str, Any]], limits: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """See kpi_requirements.yml."""
    try:
        return kpis.requirements(limited(measures, limits or {}))
    except CardError as error:
        raise AnsibleFilterError(f"kpi_requirements: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kpi_results": kpi_results, "kpi_requirements": kpi_requirements}
