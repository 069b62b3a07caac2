# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.evidence import record

SCHEDULED = ("health_check/", "alert_delivery ")  # sources, of health.yml and alert_test.yml


def retirements(records: Sequence[Mapping[str, Any]], reason: str, check: str = "") -> list[dict[str, Any]]:
    """See retirements.yml."""
    return [
        record.retirement(one, str(reason))
        for one in records
        if one.get("verdict") != "skip" and (not check or _is_of_a_check(one, check))
    ]


def _is_of_a_check(one: Mapping[str, Any], subject: str) -> bool:
    """Whether a schedule measures it, so that it comes back by itself when it is still asked."""
    return str(one.get("source", "")).startswith(SCHEDULED) and subject in ("*", one["subject"])


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"retirements": retirements}
