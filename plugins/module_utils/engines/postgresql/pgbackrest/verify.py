# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a verification found. pgBackRest 2.55 ends well whatever it finds, and reports a missing WAL segment only as two
ranges where there should be one; so its output is read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Verdict
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import Backup

_BACKUP = re.compile(r"backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)")
_WAL = re.compile(r"archiveId: \S+, total WAL checked: (\d+), total valid WAL: (\d+)")
_RANGE = re.compile(r"archiveId: (\S+), wal start: ([0-9A-F]{24}), wal stop: ([0-9A-F]{24})")
_DAMAGE = re.compile(r"((?:(?:invalid|missing|unable|not found).*'.*)|No usable .*)$")
_SHOWN = 3


@dataclass(frozen=True)
class Range:
    """WAL segments without a gap, of one history (``17-1``)."""

    history: str
    first: str
    last: str

    def holds(self, backup: Backup) -> bool:
        """Whether it has all that makes the backup consistent."""
        here = self.history.rpartition("-")[2] == str(backup.database)
        return here and self.first <= backup.wal_start and backup.wal_stop <= self.last


@dataclass
class Findings:
    """``backups`` maps each verified one to its state, ``checked`` and ``valid`` count files and WAL segments."""

    backups: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    valid: int = 0
    ranges: list[Range] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def findings(lines: Iterable[str]) -> Findings:
    """What the output of ``verify --verbose --output=text`` says; it says most of it twice."""
    found = Findings()
    for line in dict.fromkeys(re.sub(r"^\S+ \S+ P\d+\s+\w+: ", "", line).strip() for line in lines):
        backup, wal, part, damage = (pattern.search(line) for pattern in (_BACKUP, _WAL, _RANGE, _DAMAGE))
        if backup:
            found.backups[backup[1]] = backup[2]
        counted = (int(backup[3]), int(backup[4])) if backup else (int(wal[1]), int(wal[2])) if wal else (0, 0)
        found.checked += counted[0]
        found.valid += counted[1]
        if part:
            found.ranges.append(Range(part[1], part[2], part[3]))
        elif damage and not backup:
            found.damage.append(damage[1])
    return found


def judge(found: Findings, backups: Sequence[Backup]) -> tuple[Verdict, str | None]:
    """The verdict, and why it is no pass.

    It fails when a backup cannot be restored, or when changes since the newest one could not be recovered. A gap in
    older WAL is a warning: no restore can stop within it, and nothing can mend that.
    """
    problems: list[tuple[Verdict, str]] = []
    if found.checked > found.valid:
        bad = [f"{label} is {state}" for label, state in found.backups.items() if state != "valid"]
        told = "; ".join([*bad[:_SHOWN], *found.damage[:_SHOWN]]) or "see pgBackRest's log"
        problems.append(
            ("fail", f"{found.checked - found.valid} of {found.checked} files are missing or damaged: {told}")
        )
    listed = [state for label, state in found.backups.items() if state not in ("valid", "in-progress")]
    if listed and not problems:
        problems.append(("fail", f"a backup is {listed[0]}"))
    if not found.backups:
        problems.append(("fail", "; ".join(found.damage[:_SHOWN]) or "there is no backup to verify"))
    for backup in backups:
        if not any(part.holds(backup) for part in found.ranges):
            needs = f"{backup.wal_start} to {backup.wal_stop}"
            problems.append(
                ("fail", f"backup {backup.label} cannot be restored: of its WAL, {needs}, a segment is missing")
            )
            break
    problems += _gaps(found.ranges, backups)
    worst: Verdict = "fail" if any(level == "fail" for level, _ in problems) else "warn" if problems else "pass"
    return worst, "; ".join(sentence for _, sentence in problems) or None


def _gaps(ranges: Sequence[Range], backups: Sequence[Backup]) -> list[tuple[Verdict, str]]:
    """Segments that are missing between others of the same timeline; the next timeline begins a new range."""
    gaps: list[tuple[Verdict, str]] = []
    for before, after in itertools.pairwise(ranges):
        if before.history != after.history or before.last[:8] != after.first[:8]:
            continue
        words = f"WAL between {before.last} and {after.first} is missing"
        if not backups or before.last >= backups[-1].wal_stop:
            gaps.append(("fail", f"{words}: what changed since cannot be recovered; make a full backup now"))
        else:
            gaps.append(("warn", f"{words}: no restore can stop there"))
    return gaps[:_SHOWN]
