"""The canary's judge: by hand-made cases, by the tests it stands on, and by 1,000 simulated pairs."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.judge import (
    Measured,
    Tolerance,
    judge,
    more_failures,
    slower,
)
from simulated_canaries import pairs

PAIRS = 1000
ENOUGH = 1500  # requests of the canary, as benchmarks/canary_judge.py shows


def measured(requests: int, failed: int = 0, milliseconds: float = 10.0) -> Measured:
    """Answers around a time, a few of them slow."""
    slow = requests // 10
    return Measured(requests, failed, {milliseconds: requests - slow, milliseconds * 3: slow} if requests else {})


@pytest.mark.parametrize(
    ("sample", "others", "probability"),
    [((3, 10, 0, 10), None, 0.105263), ((1, 100, 0, 900), None, 0.1), ((0, 50, 5, 50), None, 1.0)],
)
def test_errors_are_compared_exactly(sample: tuple[int, ...], others: Any, probability: float) -> None:
    """The values are the textbook's: choose(10, 3) / choose(20, 3), one bad of a tenth, and nothing to see."""
    assert more_failures(*sample) == pytest.approx(probability, abs=1e-6)


def chance_of(sample: list[float], others: list[float]) -> float:
    """Of all ways to deal the values out, how many make the first ones at least so slow: no formula, only counting."""

    def wins(ours: list[float], theirs: list[float]) -> float:
        return sum((mine > yours) + (mine == yours) / 2 for mine in ours for yours in theirs)

    values, seen = sample + others, wins(sample, others)
    deals = list(itertools.combinations(range(len(values)), len(sample)))
    kept = 0
    for deal in deals:
        rest = [value for place, value in enumerate(values) if place not in deal]
        kept += wins([values[place] for place in deal], rest) >= seen
    return kept / len(deals)


@pytest.mark.parametrize(
    ("sample", "others"),
    [
        ([4, 5, 6, 7, 8, 9, 9], [1, 2, 3, 4, 5, 9, 9]),
        ([10, 11, 12, 13, 14, 15], [1, 2, 3, 10, 10, 10, 11, 12]),
        ([1, 3, 5, 7, 9, 11, 13], [2, 4, 6, 8, 10, 12, 14]),
    ],
    ids=["slower", "much slower, ties", "alike"],
)
def test_latencies_are_compared_by_rank_and_ties_count(sample: list[float], others: list[float]) -> None:
    assert slower(Counter(sample), Counter(others)) == pytest.approx(chance_of(sample, others), abs=0.01)


def test_where_every_answer_took_the_same_time_nothing_is_slower() -> None:
    assert slower({5.0: 9}, {5.0: 70}) == 1.0


@pytest.mark.parametrize(
    ("canary", "baseline", "verdict", "words"),
    [
        (measured(600), measured(600), "pass", ""),
        (measured(600, 30), measured(600, 1), "fail", "30 of 600 requests failed (5 %) and 1 of 600"),
        (measured(600, 30), measured(600, 30), "pass", ""),
        (measured(600, 0, 14), measured(600, 0, 10), "fail", "over 14 ms and of the live release over 10 ms"),
        (measured(600, 0, 10.5), measured(600, 0, 10), "pass", ""),
        (measured(600, 0, 5), measured(600, 9, 10), "pass", ""),
        (measured(499), measured(600), "hold", "only 499 requests of the canary and 499 answers of the canary"),
        (measured(0), measured(0), "hold", "only 0 requests"),
        (measured(100, 1), measured(900), "hold", "only 100 requests"),
        (measured(40, 30), measured(400), "fail", "30 of 40 requests failed"),
        (Measured(600, 600), measured(600), "fail", "600 of 600 requests failed"),
        (Measured(600, 0), measured(600), "hold", "only 0 answers of the canary"),
    ],
    ids=[
        "equal",
        "errors",
        "both fail alike",
        "slow",
        "slower by what does not matter",
        "better",
        "too few to judge",
        "nothing measured",
        "one error of few",
        "a flood needs no minimum",
        "no answer at all",
        "no latencies",
    ],
)
def test_a_canary_is_judged(canary: Measured, baseline: Measured, verdict: str, words: str) -> None:
    found = judge(canary, baseline)
    assert found.verdict == verdict and words in found.reason, found


def test_what_is_tolerated_can_be_said() -> None:
    assert judge(measured(600, 30), measured(600), Tolerance(error_rate=10)).verdict == "pass"
    assert judge(measured(600, 0, 14), measured(600), Tolerance(latency=50)).verdict == "pass"
    assert judge(measured(60), measured(60), Tolerance(minimum=50)).verdict == "pass"


def condemned(**how: float) -> int:
    verdicts = [judge(pair.canary, pair.baseline).verdict for pair in pairs(PAIRS, ENOUGH, **how)]
    assert "hold" not in verdicts
    return verdicts.count("fail")


def test_equal_releases_are_condemned_in_at_most_2_of_100() -> None:
    assert condemned() <= 0.02 * PAIRS


@pytest.mark.parametrize("how", [{"errors": 2.0}, {"slower": 30.0}], ids=["2 % errors", "30 % slower"])
def test_regressions_are_found_in_95_of_100(how: dict[str, float]) -> None:
    assert condemned(**how) >= 0.95 * PAIRS
