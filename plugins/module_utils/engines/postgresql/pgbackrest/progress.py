# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a running pgBackRest is, read from the lines it logs at level detail."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

_LINE = re.compile(r"^\S+ \S+ P\d+\s+(\w+): (.*)$")
_COPIED = re.compile(r"backup file .*\((?:bundle [^,]+, )?([\d.]+)([KMGTP]?)B, ([\d.]+)%\)")
_FACTOR = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_PHASES = (
    ("execute non-exclusive backup start", "waiting for PostgreSQL's checkpoint"),
    ("execute backup start", "waiting for PostgreSQL's checkpoint"),
    ("backup start archive", "checking that WAL arrives"),
    ("check archive for prior segment", "checking that WAL arrives"),
    ("resumable backup", "resuming the backup that was broken off"),
    ("execute non-exclusive backup stop", "waiting for the last WAL"),
    ("execute backup stop", "waiting for the last WAL"),
    ("check archive for segment", "waiting for the last WAL"),
    ("new backup label", "saving"),
    ("expire command begin", "expiring what is older than it must be"),
    ("verify command begin", "verifying every file's checksum"),
)
_KEPT = 20000  # lines; a verification writes two for each backup
_LABEL = re.compile(r"new backup label = (\S+)")


@dataclass
class Progress:
    """``copied`` is bytes read from the database so far, ``percent`` the share of what there is to read."""

    phase: str = "starting"
    copied: int = 0
    percent: float | None = None
    label: str | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def take(self, line: str) -> None:
        """Learns from one line; lines about copied files, of which there are thousands, are not kept."""
        copied = _COPIED.search(line)
        if copied:
            self.phase = "copying"
            self.copied += round(float(copied[1]) * _FACTOR[copied[2]])
            self.percent = float(copied[3])
            return
        self.lines.append(line)
        logged = _LINE.match(line)
        if not logged:
            return
        label = _LABEL.search(logged[2])
        self.label = label[1] if label else self.label
        for beginning, phase in _PHASES:
            if logged[2].startswith(beginning):
                self.phase = phase
                if phase != "copying":
                    self.percent = None if self.copied == 0 else self.percent
