# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a prober saw: its journal as one summary, and the summary as results."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Area, Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.tally import (
    FAILURES_KEPT,
    Successes,
    Tally,
    milliseconds_of,
)

SOURCE = "traffic 0.1.0"
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

# what a result can be made of: its unit and what a manager reads
MEASURES = {
    "failed_requests": ("1", "Requests that failed while it went on"),
    "error_rate": ("%", "Share of requests that failed while it went on"),
    "requests": ("1", "Requests sent while it went on"),
    "latency_p50": ("ms", "Half of the answers came within this time"),
    "latency_p95": ("ms", "95 % of the answers came within this time"),
    "latency_p99": ("ms", "99 % of the answers came within this time"),
    "latency_max": ("ms", "The slowest answer took this time"),
    "longest_gap": ("s", "Longest time without a single successful request"),
    "rate": ("1/s", "Requests a second that were answered well"),
}
ALWAYS = ("failed_requests", "latency_p95")
_ANSWERED = re.compile(r"\bHTTP (?!408)\d{3}$")

LATE = 1000.0  # milliseconds behind its schedule, from which on a prober's delay may pass for the service's
AFTERMATH = 10.0  # seconds for which requests that a stall of the prober cost may still end: its default timeout


def read_journal(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The journal's entries; a line that a full disk or a kill tore is left out, for a whole one follows or none."""
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def summarise(entries: list[dict[str, Any]], now: float, running: bool, window: float | None = None) -> dict[str, Any]:
    """Everything of a journal, or with `window` what ended in the last so many seconds; `now` is Unix time."""
    started = entries[0]["started"]
    seconds = [entry for entry in entries if "clients" in entry]
    last = entries[-1]
    ended = now if running else last.get("ended", seconds[-1]["time"] if seconds else started)
    late = 0.0
    if window is not None:
        earlier = [entry for entry in seconds if entry["time"] <= ended - window]
        seconds = seconds[len(earlier) :]
        started = earlier[-1]["time"] if earlier else started  # an entry covers the time since the one before
        late = max((_late(entry) for entry in earlier if entry["time"] > started - AFTERMATH), default=0.0)
    clients: dict[str, Tally] = {}
    successes = Successes()
    for entry in seconds:
        successes.merge(Successes(**entry["successes"]))
        for client, data in entry["clients"].items():
            clients.setdefault(client, Tally()).merge(Tally.from_dict(data))
    total = Tally()
    for tally in clients.values():
        total.merge(tally)
    total.successes = successes
    total.late = max(total.late, late)
    failures = sorted((failure for tally in clients.values() for failure in tally.failures), key=lambda one: one["at"])
    # The journal's last line may be up to a second old, and answers may come a moment after the stop.
    covered = max(min(ended, seconds[-1]["time"] if seconds and running else ended), started)
    return {
        "url": entries[0]["url"],
        "running": running,
        "ended_because": None if running else last.get("because", "killed"),
        "started_at": _rfc3339(started),
        "ended_at": None if running else _rfc3339(ended),
        "seconds": round(covered - started, 3),
        "total": _figures(total, started, covered),
        "clients": {client: _figures(tally, started, covered) for client, tally in sorted(clients.items())},
        "reasons": dict(total.reasons.most_common()),
        "failures": failures[:FAILURES_KEPT],
        "versions": [
            {"version": version, **seen, "first": _rfc3339(seen["first"]), "last": _rfc3339(seen["last"])}
            for version, seen in sorted(total.versions.items(), key=lambda item: item[1]["first"])
        ],
    }


def latency_of_versions(entries: list[dict[str, Any]], since: float) -> dict[str, dict[float, int]]:
    """By version, how many answers took how many milliseconds, of seconds that began at ``since`` (Unix time) or later.

    An entry covers the time since the one before.
    """
    whole, before = Tally(), entries[0]["started"]
    for entry in (entry for entry in entries if "clients" in entry):
        if before >= since:
            for data in entry["clients"].values():
                whole.merge(Tally.from_dict(data))
        before = entry["time"]
    return {
        version: {milliseconds_of(bucket): number for bucket, number in latency.items()}
        for version, latency in whole.version_latency.items()
    }


def _figures(tally: Tally, start: float, end: float) -> dict[str, Any]:
    period = end - start
    latency = {name: tally.percentile(share) for name, share in PERCENTILES.items()}
    latency["max"] = tally.slowest if tally.latency else None
    return {
        "requests": tally.requests,
        "failed": tally.failed,
        "error_rate": round(100 * tally.failed / tally.requests, 4) if tally.requests else None,
        "rate": round(tally.requests / period, 2) if period > 0 else None,
        "latency": {name: None if value is None else round(value, 2) for name, value in latency.items()},
        "longest_gap": round(tally.successes.longest_gap_between(start, end), 3),
        "answers": dict(tally.answers),
        "closes": dict(tally.closes),
        "prober_late": round(tally.late, 2),
    }


def _late(entry: dict[str, Any]) -> float:
    return max((float(client["late"]) for client in entry["clients"].values()), default=0.0)


def _rfc3339(moment: float) -> str:
    return timestamp(datetime.datetime.fromtimestamp(moment, datetime.timezone.utc))


def check_results(prefix: str, limits: dict[str, str]) -> dict[str, Limit]:
    """The limits as comparisons; TrafficError when the prefix or one of them cannot be used."""
    if prefix.partition(".")[0] not in get_args(Area) or "." not in prefix:
        raise TrafficError(f"id_prefix {prefix!r} must be an area and a kind such as delivery.deploy")
    parsed = {}
    for name, text in limits.items():
        if name not in MEASURES:
            raise TrafficError(f"limits has no measure {name!r}; there are {', '.join(MEASURES)}")
        try:
            parsed[name] = parse_limit(text)
            parsed[name].measured(0.0, MEASURES[name][0])
        except (ValueError, UnitError) as error:
            raise TrafficError(f"limits.{name}: {error}") from None
    return parsed


def results(summary: dict[str, Any], prefix: str, subject: str, limits: dict[str, Limit]) -> list[dict[str, Any]]:
    """One result for each limit, and always failed requests and the 95th percentile."""
    names = [name for name in MEASURES if name in limits or name in ALWAYS]
    return [_result(summary, name, f"{prefix}.{name}", subject, limits.get(name)).as_dict() for name in names]


def _result(summary: dict[str, Any], name: str, identifier: str, subject: str, limit: Limit | None) -> Result:
    unit, claim = MEASURES[name]
    value = _measure(summary["total"], name)
    area: Area = identifier.partition(".")[0]  # type: ignore[assignment]  # check_results saw that it is one
    result = Result(identifier, area, subject, claim, "pass", value, unit, at=summary["started_at"], source=SOURCE)
    result.took = summary["seconds"]
    if limit is not None:
        result.limit, result.unit = limit.bare, limit.unit or unit
        result.measured = None if value is None else limit.shown(value, unit)
    if not summary["total"]["requests"] or value is None:
        result.verdict = "unknown"
        result.reason = f"Nothing was measured at {summary['url']}: {_most_common(summary) or 'no request was sent'}"
    elif limit is not None and not limit.satisfied(value, unit):
        result.verdict, result.reason = _judge(summary, name, limit)
    return result


def _judge(summary: dict[str, Any], name: str, limit: Limit) -> tuple[Verdict, str]:
    """What a limit that was not kept to comes to: a fault of the service, or of a prober that was late."""
    total, reason = summary["total"], _reason(summary, name, limit)
    late = total["prober_late"]
    counts = name in ("failed_requests", "error_rate")
    if counts and late > LATE:
        own = proven_failures(summary)
        kept = limit.satisfied(own if name == "failed_requests" else 100 * own / total["requests"], MEASURES[name][0])
    elif name.startswith("latency_") or name == "longest_gap":
        value = _measure(total, name) or 0.0
        behind = late if name.startswith("latency_") else late / 1000
        kept = late > LATE or limit.satisfied(max(value - behind, 0.0), MEASURES[name][0])
    else:
        kept = not counts and late > LATE
    return ("unknown", f"{lateness(late)}: {reason}") if kept else ("fail", reason)


def lateness(late: float) -> str:
    """Why a measurement says nothing of the service, after `prober_late` (milliseconds)."""
    return (
        f"The prober itself was up to {late / 1000:.3g} s behind its schedule, for want of processor time where it "
        "runs, so this is no fault of the service"
    )


def proven_failures(summary: Mapping[str, Any]) -> int:
    """The failed requests that are the service's own.

    What it answered with an error it answered, however late it was asked. Of a request without an answer a late prober
    cannot say whose fault that is; 408 is what a server tells a client that is too slow.
    """
    if summary["total"]["prober_late"] <= LATE:
        return int(summary["total"]["failed"])
    reasons: Mapping[str, int] = summary["reasons"]
    return sum(count for reason, count in reasons.items() if _ANSWERED.search(reason))


def _measure(total: dict[str, Any], name: str) -> float | None:
    if name == "failed_requests":
        return total["failed"]
    if name.startswith("latency_"):
        return total["latency"][name.partition("_")[2]]
    return answered_rate(total) if name == "rate" else total[name]


def answered_rate(total: Mapping[str, Any]) -> float | None:
    """Requests a second that were answered well; ``rate`` of the summary is of all that were sent."""
    if not total["requests"] or total["rate"] is None:
        return None
    return round(total["rate"] * (1 - total["failed"] / total["requests"]), 2)


def _most_common(summary: dict[str, Any]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in list(summary["reasons"].items())[:3])


def _reason(summary: dict[str, Any], name: str, limit: Limit) -> str:
    total = summary["total"]
    unit = limit.unit or MEASURES[name][0]
    value = limit.measured(float(_measure(total, name) or 0), MEASURES[name][0])
    measured = f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"
    text = f"{total['failed']} of {total['requests']} requests to {summary['url']} failed"
    if summary["failures"]:
        first, last = summary["failures"][0]["at"], summary["failures"][-1]["at"]
        text += f", from {first} to {last}: {_most_common(summary)}"
    told = f"{name} is {measured}, the limit is {limit}; {text}"
    if name in ("failed_requests", "error_rate"):
        return f"{told}; look at the service's and the proxy's log at that time"
    return f"{told}; {total['requests']} requests in {summary['seconds']:g} s"
