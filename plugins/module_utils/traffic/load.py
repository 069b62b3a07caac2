# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A load run: what is asked of a service for a while, and what its answers come to, beside those of the last run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, convert
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import MAX_RATE, TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import (
    LATE,
    MEASURES,
    answered_rate,
    check_results,
    lateness,
    results,
)

PREFIX = "delivery.load"
SOURCE = "load 0.1.0"
SHORTEST, LONGEST = 5, 3600  # seconds
SENT = 0.95  # of what was asked for has to be sent, or the limits were not put to the test
ALIKE = 0.1  # runs whose rates differ by no more can be compared


@dataclass(frozen=True)
class Load:
    """What an operator asks for: requests per second by client, for how long, and the limits by measure.

    ``slower`` is by how many percent the 95th percentile may be longer than the last run's.
    """

    rates: Mapping[str, float]
    seconds: float
    limits: Mapping[str, str] = field(default_factory=dict)
    slower: float = 30

    @property
    def rate(self) -> float:
        """Requests per second of all clients."""
        return sum(float(rate) for rate in self.rates.values())

    @property
    def least(self) -> int:
        """How many requests have to be sent for the run to say anything."""
        return int(SENT * self.rate * self.seconds)


def load_problem(load: Load) -> str:
    """Why a load must not be sent, in one sentence; empty when it may."""
    if not SHORTEST <= load.seconds <= LONGEST:
        return f"load_seconds is {load.seconds:g}; it must be from {SHORTEST} to {LONGEST}."
    if not 0 < load.rate <= MAX_RATE:
        return f"load_rates are {load.rate:g} requests/s together; they must be over 0 and at most {MAX_RATE:g}."
    try:
        limits = check_results(PREFIX, dict(load.limits))
    except TrafficError as error:
        return f"load_{error}."
    if "rate" in limits and not limits["rate"].satisfied(load.rate, "1/s"):
        return (
            f"load_limits.rate is {limits['rate']}, and load_rates send {load.rate:g} requests/s together: raise them."
        )
    return ""


def judge_load(
    summary: Mapping[str, Any], load: Load, subject: str, last: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The results of a run. ``last`` are the newest records of earlier ones."""
    total = summary["total"]
    limits = check_results(PREFIX, dict(load.limits) | {"requests": f">= {load.least}"})
    found = results(dict(summary), PREFIX, subject, limits)
    sent = next(result for result in found if result["id"] == f"{PREFIX}.requests")
    if sent["verdict"] == "fail":  # whoever sent too little, it was not the service
        why = f"{lateness(total['prober_late'])}: " if total["prober_late"] > LATE else ""
        sent |= {"verdict": "unknown", "reason": f"{why}{sent['reason']}"}
    if sent["verdict"] != "pass":
        for result in found:
            if result["verdict"] == "pass" or result["id"] == f"{PREFIX}.rate":
                result |= {"verdict": "unknown", "reason": f"Too few requests were sent to say so. {sent['reason']}"}
    known = {result["id"] for result in found}
    for name in ("latency_p50", "latency_p99"):
        if f"{PREFIX}.{name}" not in known:
            value = total["latency"][name.partition("_")[2]]
            found.append(_noted(summary, name, subject, (value, *MEASURES[name])))
    if f"{PREFIX}.rate" not in known:
        found.append(_noted(summary, "rate", subject, (answered_rate(total), *MEASURES["rate"])))
    if sent["verdict"] == "pass":
        found += _compared(summary, load, subject, {str(record["id"]): record for record in last})
    return found


def _noted(summary: Mapping[str, Any], name: str, subject: str, what: tuple[float | None, str, str]) -> dict[str, Any]:
    """A measurement that no limit is set to."""
    value, unit, claim = what
    verdict: Verdict = "pass" if value is not None else "unknown"
    result = Result(f"{PREFIX}.{name}", "delivery", subject, claim, verdict, value, unit, at=summary["started_at"])
    result.took, result.source = summary["seconds"], SOURCE
    result.reason = None if value is not None else f"Nothing was answered at {summary['url']}."
    return result.as_dict()


def _compared(
    summary: Mapping[str, Any], load: Load, subject: str, last: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The 95th percentile beside that of the last run, when as much was asked for then; a warning at most."""
    latency, rate = (last.get(f"{PREFIX}.{name}") for name in ("latency_p95", "rate"))
    if not latency or not rate or latency.get("run") != rate.get("run"):
        return []
    try:
        before = convert(float(latency["measured"]), str(latency["unit"]), "ms")
        alike = abs(load.rate / float(rate["measured"]) - 1) <= ALIKE
    except (TypeError, ValueError, UnitError, ZeroDivisionError):
        return []
    now = summary["total"]["latency"]["p95"]
    if not alike or not before or now is None:
        return []
    more = round(100 * (now / before - 1), 1)
    claim = "95 % of the answers came as fast as in the load run before"
    found = _noted(summary, "slower", subject, (more, "%", claim)) | {"limit": f"<= {load.slower:g}"}
    if more > load.slower:
        told = f"The 95th percentile is {now:g} ms and was {before:g} ms on {latency['at']}: {more:g} % more."
        found |= {"verdict": "warn", "reason": told}
    return [found]


def load_in_words(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each result, for the screen."""
    lines = []
    for result in found:
        unit = "" if result["unit"] == "1" else f" {result['unit']}"
        limit = f" (limit {result['limit']}{unit})" if result["limit"] else ""
        value = "nothing" if result["measured"] is None else f"{result['measured']:g}{unit}"
        lines.append(f"  {result['verdict']:<8} {result['id'].rpartition('.')[2]:<16} {value}{limit}")
    return lines
