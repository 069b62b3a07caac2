from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.canary import (
    Counts,
    Seen,
    count,
    decide,
    described,
    step_in_words,
)
from ansible_collections.slipway.ops.plugins.module_utils.release.judge import Judgement, Measured, Tolerance

HEADER = "# pxname,svname,econ,eresp,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other"
TOLERANCE = Tolerance(minimum=100)


def measured(requests: int, failed: int = 0, milliseconds: float = 10) -> Measured:
    return Measured(requests, failed, {milliseconds: requests} if requests else {})


def seen(watched: float = 60, **change: Any) -> Judgement | None:
    facts: dict[str, Any] = {"wanted": 60, "patience": 30, "canary": measured(200), "baseline": measured(200)} | change
    return decide(Seen(watched, **facts), TOLERANCE)


def test_a_good_canary_is_watched_to_the_end() -> None:
    assert seen(59) is None
    assert seen(60) == Judgement("pass", "")


def test_a_bad_one_is_refused_at_the_end_and_a_far_worse_one_at_once() -> None:
    bad, awful = measured(200, 9), measured(200, 60)
    assert seen(10, canary=bad) is None
    refused, at_once = seen(60, canary=bad), seen(3, canary=awful)
    assert refused and at_once and (refused.verdict, at_once.verdict) == ("fail", "fail")


def test_a_server_that_is_down_ends_it() -> None:
    assert seen(1, down=["app1-1 is DOWN"]) == Judgement("fail", "app1-1 is DOWN")


def test_too_little_data_is_waited_for_and_then_is_no_pass() -> None:
    few = {"canary": measured(99)}
    assert seen(60, **few) is None and seen(89, **few) is None
    over = seen(90, **few)
    assert over and over.verdict == "hold"
    assert "only 99 requests of the canary" in over.reason and "deploy_canary_hold" in over.reason
    assert seen(75, canary=measured(100)) == Judgement("pass", "")


def test_what_haproxy_counted_is_told_apart_by_colour() -> None:
    rows = [
        "shop,FRONTEND,0,0,0,900,0,0,9,0",
        "shop-blue,app1-1,0,0,0,500,0,0,5,0",
        "shop-both,blue-app1-1,0,0,0,90,1,2,3,0",
        "shop-both,blue-app2-1,1,0,0,100,0,0,0,0",
        "shop-both,green-app1-1,0,2,0,10,0,0,0,",
        "shop-both,BACKEND,1,2,0,200,1,2,3,0",
        "other-both,green-app1-1,0,0,0,7,0,0,7,0",
    ]
    found = count("\n".join([HEADER, *rows]), "shop")
    assert found == {"blue": Counts(197, 4), "green": Counts(12, 2)}


def test_a_haproxy_that_was_started_anew_counts_from_nothing() -> None:
    assert Counts(500, 5).since(Counts(400, 5)) == Counts(100, 0)
    assert Counts(30, 1).since(Counts(400, 0)) == Counts(30, 1)


def test_a_step_is_told_in_one_line() -> None:
    step = {"share": 50, "canary": described(measured(100, 1)), "baseline": described(Measured(0, 0))}
    assert step_in_words(step) == (
        "50 %: the canary failed 1 of 100, half within 10 ms, the live release failed 0 of 0, half within None ms"
    )


@pytest.mark.parametrize("share", [10, 50])
def test_errors_outweigh_a_share(share: int) -> None:
    """The live release's errors in the same minutes are no fault of the canary's, at any share."""
    canary = measured(10 * share, share)
    assert seen(60, canary=canary, baseline=measured(1000 - 10 * share, 100 - share)) == Judgement("pass", "")
    refused = seen(60, canary=canary, baseline=measured(1000 - 10 * share))
    assert refused and refused.verdict == "fail"
