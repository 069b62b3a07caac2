# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients' repositories on the host that has them: checked, and expired by this host's own clock.

A client may add whatever it likes, under any date. What the server wrote down, and when, is what counts here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Tell, skipped
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import DAY
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.backup import SOURCE, check, next_part
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import Kept, Plan, newest
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import Snapshot

_AHEAD = 600.0  # seconds that clocks may differ
_BEHIND = 2 * DAY  # a backup may take so long


@dataclass(frozen=True)
class Arrived:
    """A snapshot, and when its file was written here."""

    snapshot: Snapshot
    at: float

    @property
    def trouble(self) -> str:
        """Whether its date is made up."""
        off = self.snapshot.began - self.at
        if -_BEHIND <= off <= _AHEAD:
            return ""
        way = "after" if off > 0 else "before"
        return f"{self.snapshot.label} says a time {to_duration(round(abs(off)))} {way} it came"


def keep(wanted: Plan, tell: Tell) -> list[Result]:
    """Every repository is checked; what is beyond its days goes from those that are whole."""
    part = next_part(wanted)
    try:
        with wanted.alone():
            found = [result for one in wanted.kept for result in _attempt(one, part, wanted.parts, tell)]
            if not any(result.verdict == "fail" and result.id == "data.backup.verified" for result in found):
                (wanted.state / "part").write_text(f"{part}\n", encoding="utf-8")
    except Busy as busy:
        tell(f"skip: {busy}")
        return [skipped("verified", _subject(one), _claim(one, "is whole"), busy, SOURCE) for one in wanted.kept]
    return found


def _attempt(one: Kept, part: int, parts: int, tell: Tell) -> list[Result]:
    at, began = timestamp(), time.monotonic()
    strange, reason = [], None
    try:
        one.repository.identity()
        check(one.repository, part, parts)
        all_of = arrivals(one)
        strange = [arrived.trouble for arrived in all_of if arrived.trouble]
        old = expired(all_of, one.retention, time.time())
        if old:
            forget(one, old)
        tell(f"{one.name}: {len(all_of) - len(old)} backups are kept, {len(old)} were removed")
    except (DataError, OSError, ValueError) as error:
        reason = f"the repository of {one.name} has trouble: {error}"
        tell(f"fail: {reason}")
    took = round(time.monotonic() - began, 2)
    if strange:
        tell(f"{one.name}: fail: {'; '.join(strange[:5])}")
    return [
        _result(
            one,
            "verified",
            "is whole",
            "fail" if reason else "pass",
            at=at,
            took=took,
            measured=took,
            unit="s",
            reason=reason,
        ),
        _result(
            one,
            "arrival",
            "has only backups that say when they came",
            "fail" if strange else "pass",
            measured=len(strange),
            limit="= 0",
            reason=f"somebody on {one.name} made up the time of backups: {'; '.join(strange[:5])}" if strange else None,
        ),
    ]


def arrivals(one: Kept) -> list[Arrived]:
    """Oldest first, by this host's clock."""
    at = {path.name: path.stat().st_mtime for path in (one.directory / "snapshots").iterdir()}
    found = [Arrived(snapshot, at[snapshot.id]) for snapshot in one.repository.snapshots() if snapshot.id in at]
    return sorted(found, key=lambda arrived: arrived.at)


def expired(all_of: list[Arrived], retention: Mapping[str, float], now: float) -> list[Snapshot]:
    """What came longer ago than its source's days; never the newest that a restore would take, and nothing of a source
    that nobody knows any more."""
    listed = [arrived.snapshot for arrived in all_of]
    last = {name: newest(name, listed) for name in retention}
    return [
        one.snapshot
        for one in all_of
        if one.snapshot.source in retention
        and now - one.at > retention[one.snapshot.source] * DAY
        and one.snapshot != last[one.snapshot.source]
    ]


def forget(one: Kept, old: list[Snapshot]) -> None:
    """Removes these, and what only they had. restic forget ends with 0 when it removed nothing: so it is looked at."""
    one.repository.run("removing what is beyond its days", ["forget", "--quiet", *(snapshot.id for snapshot in old)])
    if left := {snapshot.id for snapshot in one.repository.snapshots()} & {snapshot.id for snapshot in old}:
        raise FilesError(f"restic forget left {len(left)} of {len(old)} snapshots of {one.name} that it was to remove")
    one.repository.run("making room", ["prune", "--quiet"])


def _result(one: Kept, name: str, claim: str, verdict: Verdict, **given: Any) -> Result:
    return Result(f"data.backup.{name}", "data", _subject(one), _claim(one, claim), verdict, source=SOURCE, **given)


def _subject(one: Kept) -> str:
    return f"{one.name}/repository"


def _claim(one: Kept, claim: str) -> str:
    return f"The repository of {one.name} {claim}"
