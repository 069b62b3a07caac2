# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus knows of a period: each measure as series with their numbers, and the alerts that fired."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.channels import TEST, WATCHDOG
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import Measure

PERIODS = {"1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}
POINTS = 120  # that a period is looked at
SHORTEST = 60  # seconds of a window: four scrapes
ASK_TIMEOUT = 60.0  # seconds
ALERTS = f'max_over_time(ALERTS{{alertstate="firing",alertname!~"{WATCHDOG}|{TEST}"}}[$window])'
THERE = "max(count_over_time(up[$window]))"  # whether Prometheus measured anything
Point = tuple[float, float]
Series = tuple[dict[str, str], list[Point]]


class HistoryError(Exception):
    """Prometheus does not answer, or refuses a query."""


@dataclass(frozen=True)
class Span:
    """A period that has ended, in Unix time, and the seconds between two points."""

    period: str
    end: float
    step: int

    @classmethod
    def of(cls, period: str, now: float) -> Span:
        step = max(PERIODS[period] // POINTS, 15)
        return cls(period, float(int(now)), step)

    @property
    def start(self) -> float:
        return self.end - PERIODS[self.period]

    @property
    def points(self) -> int:
        return PERIODS[self.period] // self.step + 1

    def written(self, query: str) -> str:
        window = max(self.step, SHORTEST)
        return " ".join(query.split()).replace("$window", f"{window}s").replace("$period", self.period)


class Asked(Protocol):
    """What answers queries."""

    def over(self, query: str, span: Span) -> list[Series]: ...

    def once(self, query: str, at: float) -> list[Series]: ...


@dataclass(frozen=True)
class Prometheus:
    """One that is asked over HTTP, past any proxy of the environment."""

    url: str
    opener: urllib.request.OpenerDirector = field(
        default_factory=lambda: urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )

    def over(self, query: str, span: Span) -> list[Series]:
        return self._ask("query_range", {"query": query, "start": span.start, "end": span.end, "step": span.step})

    def once(self, query: str, at: float) -> list[Series]:
        return self._ask("query", {"query": query, "time": at})

    def _ask(self, what: str, form: Mapping[str, Any]) -> list[Series]:
        url = f"{self.url}/api/v1/{what}"
        request = urllib.request.Request(url, urllib.parse.urlencode(form).encode())  # noqa: S310 (the role's own URL)
        try:
            with self.opener.open(request, timeout=ASK_TIMEOUT) as answer:
                result = json.load(answer)["data"]["result"]
                return [(one["metric"], _points(one)) for one in result]
        except urllib.error.HTTPError as error:
            raise HistoryError(
                f"Prometheus refuses {form['query']}: {error.read().decode(errors='replace')[:300]}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise HistoryError(f"Prometheus does not answer at {url}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(f"{url} does not answer as Prometheus does ({error!r}): is it one?") from error


def told(prometheus: Asked, measures: Sequence[Measure], span: Span) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "period": span.period,
        "from": span.start,
        "to": span.end,
        "step": span.step,
        "points": span.points,
        "there": sum(len(points) for _, points in prometheus.over(span.written(THERE), span)[:1]),
        "measures": [_measured(prometheus, measure, span) for measure in measures],
        "alerts": {"query": span.written(ALERTS), "fired": list(_fired(prometheus, span))},
    }


def _measured(prometheus: Asked, measure: Measure, span: Span) -> dict[str, Any]:
    query, total, runs_out = (span.written(one) for one in (measure.query, measure.total, measure.runs_out))
    totals = _by_name(prometheus.once(total, span.end), measure) if total else None
    left = _by_name(prometheus.once(runs_out, span.end), measure) if runs_out else {}
    rows = []
    for labels, points in sorted(prometheus.over(query, span), key=lambda one: _name(one[0], measure)):
        if points:
            row = _row(_name(labels, measure), points, measure.show, totals)
            row["verdict"] = _verdict(row["value"], measure)
            rows.append(row | ({"runs_out": left.get(row["name"])} if runs_out else {}))
    return {
        "id": measure.id,
        "role": measure.role,
        "by": list(measure.by),
        "section": measure.section,
        "title": dict(measure.title),
        "unit": measure.unit,
        "limit": measure.limit or None,
        "may_be_empty": measure.may_be_empty,
        "show": "total" if total else measure.show,
        "query": query,
        "total": total or None,
        "runs_out": runs_out or None,
        "rows": rows,
    }


def _row(name: str, points: Sequence[Point], show: str, totals: Mapping[str, float] | None) -> dict[str, Any]:
    values = [value for _, value in points]
    numbers = {"mean": sum(values) / len(values), "min": min(values), "max": max(values), "last": values[-1]}
    value = numbers[show] if totals is None else totals.get(name)
    return {
        "name": name,
        "value": value,
        **numbers,
        "samples": len(points),
        "series": [list(point) for point in points],
    }


def _verdict(value: float | None, measure: Measure) -> str:
    if not measure.limit or value is None:
        return ""
    return "pass" if parse_limit(measure.limit).satisfied(value) else "fail"


def _fired(prometheus: Asked, span: Span) -> Iterator[dict[str, Any]]:
    """Each alert of each host, with the points at which it fired in one go."""
    for labels, points in prometheus.over(span.written(ALERTS), span):
        times = [at for at, _ in points]
        starts = [at for number, at in enumerate(times) if not number or at - times[number - 1] > 1.5 * span.step]
        if times:
            yield {
                "alert": labels["alertname"],
                "severity": labels.get("severity", ""),
                "subject": _subject(labels),
                "times": len(starts),
                "first": times[0],
                "last": times[-1],
                "seconds": len(times) * span.step,
                "at": times,
            }


def _subject(labels: Mapping[str, str]) -> str:
    told = ("alertname", "severity", "alertstate", "instance", "job", "__name__")
    return ", ".join(value for name, value in sorted(labels.items()) if name not in told)


def _by_name(series: Sequence[Series], measure: Measure) -> dict[str, float]:
    return {_name(labels, measure): points[-1][1] for labels, points in series if points}


def _name(labels: Mapping[str, str], measure: Measure) -> str:
    return " ".join(labels[name] for name in measure.by if labels.get(name))


def _points(one: Mapping[str, Any]) -> list[Point]:
    """Without what is no number, which is nothing measured."""
    found = one["values"] if "values" in one else [one["value"]]
    return [(float(at), number) for at, value in found if math.isfinite(number := float(value))]
