# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one shape of everything that measures: what was measured, against which limit, with which verdict."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

AREAS = ("infrastructure", "application", "data", "delivery", "monitoring", "security", "operations")
VERDICTS = ("pass", "warn", "fail", "skip", "unknown")

Area = Literal["infrastructure", "application", "data", "delivery", "monitoring", "security", "operations"]
Verdict = Literal["pass", "warn", "fail", "skip", "unknown"]


def timestamp(moment: datetime.datetime | None = None) -> str:
    """RFC 3339 UTC with milliseconds, e.g. ``2026-11-21T11:40:00.123Z``; now when no moment is given."""
    moment = (moment or datetime.datetime.now(datetime.timezone.utc)).astimezone(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@dataclass
class Result:
    """What one check measured.

    ``measured`` is a number or text in ``unit`` (UCUM style: ``s`` ``ms`` ``%`` ``By`` ``1/s`` ``1``), ``limit`` the
    comparison it must satisfy (``< 500``), ``at`` the RFC 3339 UTC start, ``took`` seconds, ``reason`` one sentence for
    an operator when the verdict is not ``pass``, ``artifacts`` paths relative to the evidence store.
    """

    id: str
    area: Area
    subject: str
    claim: str
    verdict: Verdict
    measured: float | int | str | None = None
    unit: str = "1"
    limit: str | None = None
    at: str = field(default_factory=timestamp)
    took: float = 0.0
    source: str = ""
    reason: str | None = None
    artifacts: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data, the shape that ``slipway.ops.evidence`` takes."""
        return asdict(self)
