# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happened, in bounded memory, so that seconds add up to minutes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

FAILURES_KEPT = 100  # with their time; the rest is counted by reason
_KINDS_KEPT = 30
_GROWTH = math.log(1.01)  # a bucket is 1 % wider than the one before: a percentile is off by 0.5 % at most


@dataclass(frozen=True)
class Outcome:
    """How one request ended. `reason` is None when it succeeded; `latency_counts` is false when no answer came."""

    answer: str | None = None
    reason: str | None = None
    version: str | None = None
    latency_counts: bool = True


@dataclass
class Successes:
    """First and last success (Unix time) and the longest time between two (seconds)."""

    first: float | None = None
    last: float | None = None
    longest_gap: float = 0.0

    def add(self, moment: float) -> None:
        self.merge(Successes(moment, moment))

    def merge(self, later: Successes) -> None:
        if later.first is None:
            return
        gap = 0.0 if self.last is None else later.first - self.last
        self.longest_gap = max(self.longest_gap, gap, later.longest_gap)
        self.first = later.first if self.first is None else self.first
        self.last = later.last

    def longest_gap_between(self, start: float, end: float) -> float:
        """Longest time without a success, the edges of the period counted."""
        if self.first is None or self.last is None:
            return end - start
        return max(self.first - start, self.longest_gap, end - self.last, 0.0)


@dataclass
class Tally:
    """Counts of one client over some time. Latencies are milliseconds, moments Unix time."""

    requests: int = 0
    failed: int = 0
    slowest: float = 0.0
    late: float = 0.0  # how far the prober itself was behind its schedule at worst
    answers: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    version_latency: dict[str, Counter[int]] = field(default_factory=dict)
    successes: Successes = field(default_factory=Successes)

    def add(self, outcome: Outcome, intended: float, ended: float, failure: dict[str, Any]) -> None:
        """Counts one request; `failure` describes it in case it failed."""
        milliseconds = (ended - intended) * 1000
        self.requests += 1
        if outcome.answer is not None:
            _count(self.answers, outcome.answer)
        if outcome.latency_counts:
            self.latency[_bucket(milliseconds)] += 1
            self.slowest = max(self.slowest, milliseconds)
        if outcome.version is not None:
            known = _see_version(self.versions, outcome.version, {"first": ended, "last": ended, "responses": 1})
            if outcome.latency_counts:
                self.version_latency.setdefault(known, Counter())[_bucket(milliseconds)] += 1
        if outcome.reason is None:
            self.successes.add(ended)
            return
        self.failed += 1
        _count(self.reasons, outcome.reason)
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append({**failure, "reason": outcome.reason})

    def merge(self, later: Tally) -> None:
        """Adds what the same client did after this; for another client at the same time, `successes` is not exact."""
        self.requests += later.requests
        self.failed += later.failed
        self.slowest = max(self.slowest, later.slowest)
        self.late = max(self.late, later.late)
        self.latency.update(later.latency)
        for mine, theirs in ((self.answers, later.answers), (self.closes, later.closes), (self.reasons, later.reasons)):
            for name, number in theirs.items():
                _count(mine, name, number)
        self.failures = (self.failures + later.failures)[:FAILURES_KEPT]
        for version, seen in later.versions.items():
            _see_version(self.versions, version, seen)
        for version, latency in later.version_latency.items():
            known = version if version in self.versions else "other"
            self.version_latency.setdefault(known, Counter()).update(latency)
        self.successes.merge(later.successes)

    def percentile(self, share: float) -> float | None:
        """Latency in milliseconds that `share` (0..1) of the answers kept to; None without answers."""
        remaining = math.ceil(share * sum(self.latency.values()))
        for bucket in sorted(self.latency):
            remaining -= self.latency[bucket]
            if remaining <= 0:
                return min(milliseconds_of(bucket), self.slowest)
        return None

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "successes": vars(self.successes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Tally:
        counters = {name: Counter(data[name]) for name in ("answers", "closes", "reasons")}
        by_version = {version: _latency(seen) for version, seen in data.get("version_latency", {}).items()}
        typed = {"latency": _latency(data["latency"]), "version_latency": by_version}
        return cls(**{**data, **counters, **typed, "successes": Successes(**data["successes"])})


def milliseconds_of(bucket: int) -> float:
    """The middle of a bucket."""
    return math.exp((bucket + 0.5) * _GROWTH) / 1000


def _latency(data: dict[str, int]) -> Counter[int]:
    return Counter({int(bucket): number for bucket, number in data.items()})


def _bucket(milliseconds: float) -> int:
    return int(math.log(max(milliseconds * 1000, 1)) / _GROWTH)


def _count(counter: Counter[str], name: str, number: int = 1) -> None:
    counter[name if name in counter or len(counter) < _KINDS_KEPT else "other"] += number


def _see_version(versions: dict[str, dict[str, Any]], version: str, seen: dict[str, Any]) -> str:
    """Counts answers of a version; returns the name that they are counted by."""
    if version not in versions and len(versions) >= _KINDS_KEPT:
        version = "other"
    known = versions.get(version, {"first": seen["first"], "last": seen["last"], "responses": 0})
    versions[version] = {
        "first": min(known["first"], seen["first"]),
        "last": max(known["last"], seen["last"]),
        "responses": known["responses"] + seen["responses"],
    }
    return version
