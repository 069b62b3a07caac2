# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore of PostgreSQL is to reach, and the backup from which that can be reached.

pgBackRest takes the newest backup, and ignores the target, when no backup is older than it; so the choice is made here.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.data.status import moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import Backup
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError

TYPES = ("latest", "time", "xid", "lsn", "name")
_OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)$")
_LSN = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", re.IGNORECASE)
_XID = re.compile(r"[1-9]\d{0,9}")
_NAME = re.compile(r"[^'\\\x00-\x1f]{1,63}")
_TIMELINE = re.compile(r"latest|current|[1-9]\d{0,9}")
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Target:
    """``value`` is as PostgreSQL reads it. ``exclusive`` stops just before it instead of just after."""

    kind: str = "latest"
    value: str = ""
    timeline: str = "latest"
    exclusive: bool = False

    @property
    def seconds(self) -> float:
        """Unix time of a target of kind ``time``."""
        return datetime.datetime.fromisoformat(self.value).timestamp()

    def describe(self) -> str:
        """For an operator."""
        words = (
            "the latest state"
            if self.kind == "latest"
            else f"{'just before ' * self.exclusive}{self.kind} {self.value}"
        )
        return words if self.timeline == "latest" else f"{words} on timeline {self.timeline}"

    def options(self) -> list[str]:
        """pgBackRest's."""
        chosen = [f"--target-timeline={self.timeline}"]
        if self.kind == "latest":
            return ["--type=default", *chosen]
        exclusive = ["--target-exclusive"] if self.exclusive else []
        return [f"--type={self.kind}", f"--target={self.value}", "--target-action=promote", *exclusive, *chosen]


def target(
    kind: str, value: str, timeline: str = "latest", exclusive: bool = False, now: float | None = None
) -> Target:
    """A target that makes sense; RestoreError says why one does not."""
    if kind not in TYPES:
        raise RestoreError(f"{kind!r} is none of {', '.join(TYPES)}")
    if not _TIMELINE.fullmatch(timeline):
        raise RestoreError(f"timeline {timeline!r} is neither latest nor current nor a number")
    value = value.strip()
    if bool(value) == (kind == "latest"):
        raise RestoreError(
            f"a restore to {kind} needs no target, yet {value!r} is given: say to what kind of point"
            if value
            else f"a restore to a {kind} needs a target"
        )
    if exclusive and kind not in ("time", "xid", "lsn"):
        raise RestoreError(f"just before is possible for time, xid and lsn, not for {kind}")
    if kind == "time":
        value = _time(value, now)
    elif kind == "lsn" and not _LSN.fullmatch(value):
        raise RestoreError(f"{value!r} is no LSN such as 16/B374D848")
    elif kind == "xid" and not _XID.fullmatch(value):
        raise RestoreError(f"{value!r} is no transaction id, a number")
    elif kind == "name" and not _NAME.fullmatch(value):
        raise RestoreError(f"{value!r} is no name of a restore point, at most {_LONGEST_NAME} plain characters")
    return Target(kind, value, timeline, exclusive)


def _time(value: str, now: float | None) -> str:
    """In UTC as PostgreSQL and pgBackRest both read it."""
    try:
        when = datetime.datetime.fromisoformat(_python310(value))
    except ValueError as error:
        raise RestoreError(f"{value!r} is no time such as 2026-11-21 14:03:07+09:00") from error
    if when.tzinfo is None:
        raise RestoreError(f"{value!r} does not say its offset from UTC; write 2026-11-21 14:03:07+09:00, or Z for UTC")
    when = when.astimezone(datetime.timezone.utc)
    if now is not None and when.timestamp() > now:
        raise RestoreError(f"{value} is in the future; it is {moment(now)}")
    return when.strftime("%Y-%m-%d %H:%M:%S.%f+00:00")


def _python310(value: str) -> str:
    """What ``fromisoformat`` of Python 3.10 reads: an offset with a colon, and fractions of six digits."""
    found = _OFFSET.search(value)
    if not found or len(value) < len("2026-11-21T14:03"):
        return value
    rest, offset = value[: found.start()], found[0]
    rest = re.sub(r"\.(\d+)$", lambda fraction: f".{fraction[1]:0<6.6}", rest.strip())
    if offset in "zZ":
        return rest + "+00:00"
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return f"{rest}{offset[0]}{digits[:2]}:{digits[2:]}"


@dataclass(frozen=True)
class History:
    """A timeline and where it left its ancestors: their numbers to the LSN up to which each counts."""

    timeline: int
    ancestors: Mapping[int, int]

    def has(self, backup: Backup) -> bool:
        """Whether the backup lies on the way to this timeline."""
        own = int(backup.wal_stop[:8], 16)
        return own == self.timeline or number(backup.lsn_stop) <= self.ancestors.get(own, -1)


def history(timeline: int, text: str) -> History:
    """What a ``.history`` file says."""
    found = re.findall(r"^\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)", text, re.MULTILINE | re.IGNORECASE)
    return History(timeline, {int(ancestor): number(lsn) for ancestor, lsn in found})


def number(lsn: str) -> int:
    """``16/B374D848`` as a number; -1 when it is not known."""
    high, slash, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16) if slash else -1


def choose(backups: Sequence[Backup], wanted: Target, way: History | None, label: str = "") -> Backup:
    """The newest backup from which the target can be reached; the one named by ``label`` when it can.

    ``way`` is the history of the timeline that is followed, None when it is the backup's own.
    """
    good = [backup for backup in backups if not backup.error]
    if not good:
        raise RestoreError("there is no backup to restore")
    usable = [backup for backup in good if way is None or way.has(backup)]
    if not usable:
        raise RestoreError(
            f"no backup lies on the way to timeline {way.timeline if way else 0}: name another with restore_timeline"
        )
    early = [backup for backup in usable if _precedes(backup, wanted)]
    if not early:
        oldest = usable[0]
        raise RestoreError(
            f"the target, {wanted.describe()}, is before the end of the oldest backup that leads there,"
            f" {oldest.label} ({moment(oldest.stopped)}, LSN {oldest.lsn_stop}): nothing can be restored to then."
            " Nothing was changed"
        )
    if not label:
        return early[-1]
    named = [backup for backup in good if backup.label == label]
    if not named:
        raise RestoreError(f"there is no backup {label}; there are {', '.join(backup.label for backup in good[-5:])}")
    if named[0] not in early:
        raise RestoreError(f"{wanted.describe()} cannot be reached from {label}; from {early[-1].label} it can")
    return named[0]


def _precedes(backup: Backup, wanted: Target) -> bool:
    """Whether the backup was finished at the target. Where a transaction or a name lies nobody knows beforehand."""
    if wanted.kind == "time":
        return backup.stopped < wanted.seconds
    if wanted.kind == "lsn":
        return number(backup.lsn_stop) <= number(wanted.value)
    return True
