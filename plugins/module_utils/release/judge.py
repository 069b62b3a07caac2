# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judges a canary against the live release beside it: the same minutes, the same users, the same weather.

Errors are compared by Fisher's exact test of two proportions: errors are few, and the usual normal approximation then
takes one error of a small canary for a regression. Latencies are compared by Mann and Whitney's U, which asks of every
pair of answers which was slower and assumes nothing of their distribution. What is significant must also be large
enough to matter. Too little data is neither good nor bad: the canary holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pass", "fail", "hold"]
FLOOD = 1e-6
"""Below the minimum sample only what chance makes this rarely fails a canary: looking often finds chance often."""


@dataclass(frozen=True)
class Measured:
    """One release over some time. ``latency`` counts answers by milliseconds, or by the middle of a narrow bucket."""

    requests: int
    failed: int
    latency: Mapping[float, int] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        """How many latencies there are."""
        return sum(self.latency.values())

    @property
    def error_rate(self) -> float:
        """Failed requests in percent."""
        return 100 * self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Tolerance:
    """What is let pass.

    ``minimum`` requests and answers of each release are enough to judge, ``chance`` is how often one test may condemn
    an equal release, ``error_rate`` percentage points and ``latency`` percent of the median more are no matter.
    """

    minimum: int = 500
    chance: float = 0.005
    error_rate: float = 0.5
    latency: float = 10.0


@dataclass(frozen=True)
class Judgement:
    """The verdict and, for an operator, what it rests on."""

    verdict: Verdict
    reason: str


def judge(canary: Measured, baseline: Measured, tolerance: Tolerance | None = None) -> Judgement:
    """Whether a canary may go on; ``fail`` and ``hold`` say why in one sentence."""
    tolerance = tolerance or Tolerance()
    few = _too_few(canary, baseline, tolerance.minimum)
    chance = FLOOD if few else tolerance.chance
    worse = [told for told in (_errors(canary, baseline, tolerance, chance),) if told]
    if canary.answers and baseline.answers:
        worse += [told for told in (_latency(canary, baseline, tolerance, chance),) if told]
    if worse:
        return Judgement("fail", "; ".join(worse))
    return Judgement("hold", few) if few else Judgement("pass", "")


def _too_few(canary: Measured, baseline: Measured, minimum: int) -> str:
    counts = {
        "requests of the canary": canary.requests,
        "answers of the canary": canary.answers,
        "requests of the live release": baseline.requests,
        "answers of the live release": baseline.answers,
    }
    short = [f"{count} {name}" for name, count in counts.items() if count < minimum]
    return f"only {' and '.join(short)} so far, and {minimum} of each are enough to judge" if short else ""


def _errors(canary: Measured, baseline: Measured, tolerance: Tolerance, chance: float) -> str:
    more = canary.error_rate - baseline.error_rate
    if more <= tolerance.error_rate:
        return ""
    probability = more_failures(canary.failed, canary.requests, baseline.failed, baseline.requests)
    if probability > chance:
        return ""
    return (
        f"{canary.failed} of {canary.requests} requests failed ({canary.error_rate:.3g} %) and "
        f"{baseline.failed} of {baseline.requests} of the live release ({baseline.error_rate:.3g} %), "
        f"which is chance once in {1 / max(probability, 1e-12):.2g} times"
    )


def _latency(canary: Measured, baseline: Measured, tolerance: Tolerance, chance: float) -> str:
    ours, theirs = median(canary.latency), median(baseline.latency)
    if ours <= theirs * (1 + tolerance.latency / 100):
        return ""
    probability = slower(canary.latency, baseline.latency)
    if probability > chance:
        return ""
    return (
        f"half of the answers took over {round(ours, 1):g} ms and of the live release over {round(theirs, 1):g} ms, "
        f"which is chance once in {1 / max(probability, 1e-12):.2g} times"
    )


def more_failures(failed: int, requests: int, others_failed: int, others: int) -> float:
    """How likely so many failures are among the first when both fail equally often (Fisher's exact test, one side)."""
    total, bad = requests + others, failed + others_failed
    whole = _log_choose(total, bad)
    likely = (
        math.exp(_log_choose(requests, count) + _log_choose(others, bad - count) - whole)
        for count in range(max(failed, bad - others), min(requests, bad) + 1)
    )
    return min(math.fsum(likely), 1.0)


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


def slower(sample: Mapping[float, int], others: Mapping[float, int]) -> float:
    """How likely a sample is so much slower when both are alike (Mann and Whitney's U, one side, ties heeded)."""
    size, other_size = sum(sample.values()), sum(others.values())
    total = size + other_size
    above, ties, below = 0.0, 0.0, 0
    for value in sorted({*sample, *others}):
        ours, theirs = sample.get(value, 0), others.get(value, 0)
        above += ours * (below + theirs / 2)
        below += theirs
        ties += (ours + theirs) ** 3 - (ours + theirs)
    variance = size * other_size / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0  # every answer took the same time
    distance = (above - size * other_size / 2 - 0.5) / math.sqrt(variance)
    return math.erfc(distance / math.sqrt(2)) / 2


def median(latency: Mapping[float, int]) -> float:
    """The value that half of the counted ones do not exceed."""
    remaining = sum(latency.values()) / 2
    for value in sorted(latency):
        remaining -= latency[value]
        if remaining <= 0:
            return value
    raise ValueError("no answers: there is no median of nothing")
