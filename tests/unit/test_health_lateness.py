"""A check whose own host is too busy to look says that nothing is known, and blames nobody."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run


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
