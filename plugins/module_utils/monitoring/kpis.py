# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measures of a period as evidence, and what readiness asks to be proven by them. What was not measured is no pass."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Area, Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import Measure

SOURCE = "measure/prometheus 0.1.0"
MAX_AGE = "26h"  # of a measurement, which is made each day
AREAS: Mapping[str, Area] = {
    "resources": "infrastructure",
    "capacity": "infrastructure",
}  # others are the application's
NAMED = 5  # series that a reason names
Told = Mapping[str, Any]


def evidence_id(measure_id: str, section: str) -> str:
    return f"{AREAS.get(section, 'application')}.kpi.{measure_id}"


def requirements(measures: Iterable[Measure]) -> list[dict[str, Any]]:
    """A requirement of the readiness policy for each measure with a limit."""
    return [
        {"id": evidence_id(one.id, one.section), "title": dict(one.title), "tier": 1, "max_age": MAX_AGE}
        for one in measures
        if one.limit
    ]


def expected(targets: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The hosts that each role's exporters are on, whether Prometheus reaches them or not.

    Of a role that probes none: its series are of the hosts that it asks, not of its own.
    """
    probing = {str(target["role"]) for target in targets if "probes" in target}
    found: dict[str, dict[str, None]] = {}
    for target in targets:
        if target["role"] not in probing:
            found.setdefault(str(target["role"]), {})[str(target["host"])] = None
    return {role: list(hosts) for role, hosts in found.items()}


def results(history: Told, subject: str, hosts: Mapping[str, Sequence[str]], enough: float) -> list[Result]:
    """One for each measure with a limit: its worst series. ``enough`` is the per cent of the period that it takes."""
    return [_result(one, history, subject, hosts, enough) for one in history["measures"] if one["limit"]]


def _result(measure: Told, history: Told, subject: str, hosts: Mapping[str, Sequence[str]], enough: float) -> Result:
    rows = [row for row in measure["rows"] if row["value"] is not None]
    bad = [row for row in rows if row["verdict"] != "pass"]
    gaps = [] if bad else list(_gaps(measure, history, hosts, enough))
    worst = _worst(rows, measure["limit"]) if rows else None
    verdict = "fail" if bad else "unknown" if gaps else "pass"
    shown = [f"{row['name'] or measure['id']} is {row['value']:.4g} {measure['unit']}" for row in bad or [worst] if row]
    return Result(
        id=evidence_id(measure["id"], measure["section"]),
        area=AREAS.get(measure["section"], "application"),
        subject=subject,
        claim=f"{measure['title']['en']}: {measure['limit']} {measure['unit']} over {history['period']}",
        verdict=verdict,  # type: ignore[arg-type]
        measured=worst["value"] if worst else None,
        unit=measure["unit"],
        limit=measure["limit"],
        at=_moment(history["to"]),
        source=SOURCE,
        reason="; ".join([*_first(gaps), *_first(shown), _asked(measure, history)]),
    )


def _gaps(measure: Told, history: Told, hosts: Mapping[str, Sequence[str]], enough: float) -> Iterator[str]:
    """Why what there is proves nothing."""
    covered = 100 * history["there"] / history["points"]
    if covered < enough:
        yield f"Prometheus measured in {covered:.0f} % of the period, and {enough:g} % is asked"
    seen: dict[str, int] = {}  # by host, or what else comes first in a name, the points that it was measured at
    for row in measure["rows"]:
        if row["value"] is not None:
            name = row["name"].split(" ")[0]
            seen[name] = max(seen.get(name, 0), row["samples"])
    yield from (f"{row['name']} has no total" for row in measure["rows"] if row["value"] is None)
    asked = hosts.get(measure["role"], []) if measure["by"][0] == "host" else []
    yield from (f"{host} was not measured" for host in asked if host not in seen)
    if not seen and not asked:
        yield "nothing was measured"
    if measure["may_be_empty"]:  # how much there is of it depends on how much is asked of the host
        return
    for host in asked:
        covered = 100 * seen.get(host, 0) / history["points"]
        if host in seen and covered < enough:
            yield f"{host} was measured in {covered:.0f} % of the period, and {enough:g} % is asked"


def _worst(rows: Sequence[Told], limit: str) -> Told:
    least = parse_limit(limit).operator.startswith(">")
    return (min if least else max)(rows, key=lambda row: row["value"])


def _asked(measure: Told, history: Told) -> str:
    samples = [row["samples"] for row in measure["rows"]]
    points = f"{min(samples)} to {max(samples)} samples" if samples else "no samples"
    return (
        f"{len(samples)} series with {points} of {history['points']} from {_moment(history['from'])} to "
        f"{_moment(history['to'])}, query {measure['total'] or measure['query']}"
    )


def _first(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - NAMED
    return [*sentences[:NAMED], *([f"and {more} more"] if more > 0 else [])]


def _moment(seconds: float) -> str:
    return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))
