"""A check whose own host is too busy to look says that nothing is known, and blames nobody."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding, within


def silent_check(blocked: float) -> Any:
    """One that gets no answer, on a host that for `blocked` seconds of it lets nothing run."""

    async def measure(_client: object) -> None:
        time.sleep(blocked)
        await asyncio.sleep(600)

    return SimpleNamespace(
        KIND="http",
        deadline=None,
        interval=None,
        timeout=None,
        weight=1,
        identity="application.http.answers",
        measured_area="application",
        subject="shop",
        endpoint=None,
        claim="shop answers",
        severity="fail",
        measure=measure,
    )


@pytest.mark.parametrize(
    ("pace", "cut"), [(Pace(deadline=0, timeout=2), "the timeout"), (Pace(deadline=2), "deadline")]
)
def test_no_answer_on_a_host_that_did_not_look_is_unknown(pace: Pace, cut: str) -> None:
    (result,) = run([silent_check(blocked=1.5)], pace, "edge1")
    assert result.verdict == "unknown"
    assert cut in str(result.reason) and "this host was busy" in str(result.reason)


def test_no_answer_on_a_host_that_looked_is_a_failure() -> None:
    (result,) = run([silent_check(blocked=0)], Pace(deadline=0, timeout=2), "edge1")
    assert (result.verdict, result.reason) == ("fail", "no answer within 2s, the timeout")


def slow_check(took: float, blocked: float) -> Any:
    """One whose answer took a time over its limit, of which the host let nothing run for `blocked` seconds."""
    check = silent_check(blocked)

    async def measure(_client: object) -> list[Finding]:
        await asyncio.sleep(0.1)
        time.sleep(blocked)
        await asyncio.sleep(0.1)
        return [within(Limit("<", 500, "ms"), took, "s", "the time of the answer", timed=True)]

    check.measure = measure
    return check


@pytest.mark.parametrize(
    ("took", "blocked", "verdict"), [(0.8, 0.6, "unknown"), (8, 0.6, "fail"), (0.8, 0, "fail"), (0.4, 0.6, "pass")]
)
def test_an_answer_that_was_late_because_nobody_looked_blames_nobody(took: float, blocked: float, verdict: str) -> None:
    (result,) = run([slow_check(took, blocked)], Pace(deadline=0, timeout=30), "edge1")
    assert result.verdict == verdict
    assert ("this host was busy" in str(result.reason)) == (verdict == "unknown")
