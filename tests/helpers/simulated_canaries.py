"""Pairs of a live release and its canary as users would have measured them, the same ones on every run.

Every pair is a service of its own: how often it fails, how slow it is and how far its answers spread. And every pair
has its weather, a busy or a quiet hour that both releases feel alike.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from ansible_collections.slipway.ops.plugins.module_utils.release.judge import Measured

GROWTH = math.log(1.01)  # the prober's buckets
SHARE = range(-340, 341)  # buckets around the median: beyond are less than one of a thousand answers


@dataclass(frozen=True)
class Pair:
    """``usual`` is the service's 95th percentile in milliseconds in an hour like any other."""

    canary: Measured
    baseline: Measured
    usual: float


def pairs(count: int, requests: int, errors: float = 0, slower: float = 0, share: float = 0.5) -> Iterator[Pair]:
    """So many pairs with so many requests of the canary, which fails ``errors`` percent more and is ``slower`` percent.

    ``share`` is the canary's of all requests.
    """
    dice = random.Random(20261129)
    for _ in range(count):
        spread = dice.choice((0.3, 0.5, 0.8))
        middle, failing = dice.uniform(10, 300), dice.choice((0.0, 0.1, 0.5))
        weather = math.exp(dice.gauss(0, 0.2))
        others = round(requests * (1 - share) / share)
        live = _measured(dice, others, failing, middle * weather, spread)
        new = _measured(dice, requests, failing + errors, middle * weather * (1 + slower / 100), spread)
        yield Pair(new, live, middle * math.exp(1.645 * spread))


def _measured(dice: random.Random, requests: int, failing: float, middle: float, spread: float) -> Measured:
    weights = list(accumulate(math.exp(-((bucket * GROWTH / spread) ** 2) / 2) for bucket in SHARE))
    shift = math.log(middle) / GROWTH
    drawn = Counter(dice.choices(SHARE, cum_weights=weights, k=requests))
    latency = {math.exp((int(bucket + shift) + 0.5) * GROWTH): number for bucket, number in drawn.items()}
    return Measured(requests, sum(dice.random() * 100 < failing for _ in range(requests)), latency)


def percentile(latency: Mapping[float, int], share: float) -> float:
    """The value that ``share`` of the answers keep to."""
    remaining = share * sum(latency.values())
    for value in sorted(latency):
        remaining -= latency[value]
        if remaining <= 0:
            return value
    raise ValueError("no answers")


def by_limits(measured: Measured, error_rate: float, latency_p95: float) -> bool:
    """What a judge with fixed limits, in percent and milliseconds, says of the canary alone: whether it may go on."""
    return measured.error_rate <= error_rate and percentile(measured.latency, 0.95) <= latency_p95
