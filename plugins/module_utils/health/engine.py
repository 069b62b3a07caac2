# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs checks side by side, each until it is healthy or its deadline has passed, and turns findings into results.

Everything waits in one event loop, so a thousand checks cost a thousand coroutines and not a thousand threads. What the
kernel only does while it blocks (names, a hanging network file system) goes to daemon threads that are left behind.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import convert, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.health.background import DaemonThreads
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    explain,
    worst,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient

VERSION = "0.1.0"
_BEAT = 0.02
"""Seconds between two looks at how late the loop is."""
_SHARE = 0.5
"""Of its time that an attempt may have lost to a busy host and still blame whom it asked."""
_BUSY = "; this host was busy and did not look for {} of it, so nothing is known"


@dataclass(frozen=True)
class Pace:
    """Seconds, and how many attempts run at once. A ``deadline`` of 0 is one attempt each, bounded by ``timeout``."""

    deadline: float = 10.0
    interval: float = 1.0
    timeout: float = 5.0
    concurrency: int = 64


def run(checks: Sequence[Check], pace: Pace, host: str) -> list[Result]:
    """One result for each check, in their order. ``host`` is the subject of what speaks of no endpoint."""
    return asyncio.run(_run_all(checks, pace, host))


async def _run_all(checks: Sequence[Check], pace: Pace, host: str) -> list[Result]:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    runner = _Runner(pace, host)
    runner.lateness.begin()
    try:
        return await asyncio.gather(*map(runner.result, checks))
    finally:
        runner.lateness.end()
        runner.client.close()


class Lateness:
    """Seconds in all that this process did not run when its time had come: no fault of what it measures."""

    def __init__(self) -> None:
        self.total = 0.0
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._next = loop.call_at(loop.time() + _BEAT, self._beat, loop.time() + _BEAT)

    def _beat(self, due: float) -> None:
        self.total += max(0.0, asyncio.get_running_loop().time() - due)
        self.begin()

    def end(self) -> None:
        if self._next:
            self._next.cancel()


class _Runner:
    """What the checks of one run share: places to run in, kept connections, the start that deadlines count from."""

    def __init__(self, pace: Pace, host: str) -> None:
        self._pace, self._host = pace, host
        self._gate = asyncio.Semaphore(pace.concurrency)
        self._started = time.monotonic()
        self.client = HttpClient()
        self.lateness = Lateness()

    async def result(self, check: Check) -> Result:
        """The check's result: of its first healthy attempt, or of the last one that its deadline did not cut."""
        deadline = self._pace.deadline if check.deadline is None else check.deadline
        ends = self._started + deadline if deadline else math.inf
        interval = check.interval or self._pace.interval
        at, began, attempts = timestamp(), time.monotonic(), 0
        reason = f"never tried: the deadline of {to_duration(deadline)} passed first; raise deadline or concurrency"
        finding, told_by = Finding("unknown", reason=reason), 0
        while await self._enter(ends):
            if not attempts:
                at, began = timestamp(), time.monotonic()
            attempts += 1
            try:
                latest, whole = await self._attempt(check, ends)
            finally:
                self._gate.release()
            if whole or attempts == 1:
                finding, told_by = latest, attempts
            last = not deadline or time.monotonic() + interval >= ends
            if last or finding.verdict in ("pass", "skip"):
                break
            await asyncio.sleep(interval)
        if finding.reason and attempts > 1:
            finding = replace(finding, reason=f"{finding.reason} (attempt {told_by} of {attempts})")
        return self._tell(check, finding, at, time.monotonic() - began)

    async def _enter(self, ends: float) -> bool:
        """Waits for a free place; False when the deadline came first."""
        left = ends - time.monotonic()
        if left <= 0:
            return False
        try:
            # The common case, a free place, is spared the timer.
            await (asyncio.wait_for(self._gate.acquire(), left) if self._gate.locked() else self._gate.acquire())
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    async def _attempt(self, check: Check, ends: float) -> tuple[Finding, bool]:
        """What the attempt found, and whether it had the time to: one cut by the deadline knows no reason."""
        timeout = (check.timeout or self._pace.timeout) * check.weight
        left = max(0.0, min(timeout, ends - time.monotonic()))
        late = self.lateness.total
        try:
            return self._doubted(worst(await asyncio.wait_for(check.measure(self.client), left)), late), True
        except (TimeoutError, asyncio.TimeoutError):
            whole = left == timeout
            cut = "the timeout" if whole else "then the deadline had passed"
            reason = f"no answer within {to_duration(left)}, {cut}"
            if (lost := self.lateness.total - late) > left * _SHARE:
                reason += _BUSY.format(to_duration(lost))
                return Finding("unknown", reason=reason), whole
            return Finding("fail", reason=reason), whole
        except CheckFailed as error:
            finding = Finding("fail", reason=str(error))
        except CheckUnknown as error:
            finding = Finding("unknown", reason=str(error))
        except OSError as error:
            finding = Finding("fail", reason=explain(error))
        except Exception as error:  # one broken answer must not end the other checks
            finding = Finding(
                "unknown", reason=f"the check itself broke, {type(error).__name__}: {error}; please report it"
            )
        return finding, True

    def _doubted(self, finding: Finding, late: float) -> Finding:
        """What was found, unless a time over its limit is in large part that of a host which did not look."""
        lost = self.lateness.total - late
        if (
            finding.verdict != "fail"
            or not finding.timed
            or lost <= _SHARE * convert(float(finding.measured or 0), finding.unit, "s")
        ):
            return finding
        return replace(finding, verdict="unknown", reason=f"{finding.reason}{_BUSY.format(to_duration(lost))}")

    def _tell(self, check: Check, finding: Finding, at: str, took: float) -> Result:
        return Result(
            id=check.identity,
            area=check.measured_area,
            subject=_cut(check.subject or check.endpoint or self._host, 255),
            claim=_cut(check.claim or check.statement, 500),
            verdict="warn" if finding.verdict == "fail" and check.severity == "warn" else finding.verdict,
            measured=finding.measured,
            unit=finding.unit,
            limit=finding.limit,
            at=at,
            took=round(took, 4),
            source=f"health_check/{check.KIND} {VERSION}",
            reason=_cut(finding.reason, 1000) if finding.reason else None,
        )


def _cut(words: str, longest: int) -> str:
    """What evidence records have room for."""
    return words if len(words) <= longest else words[: longest - 1] + "…"
