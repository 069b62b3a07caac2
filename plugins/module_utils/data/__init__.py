# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every store promises, whatever its engine: backups in one shape, drills that measure, and who does them."""

from __future__ import annotations


class DataError(Exception):
    """What an operator must hear of a store: what was tried, what came back, what to do."""


class BackupError(DataError):
    """A backup cannot be made, or its state not be told."""


class Busy(BackupError):
    """Another backup, drill or restore is under way. Timers meet, after a reboot for example: what was to begin is
    skipped, and its age tells when that happens again and again."""


def aside(subject: str) -> str:
    """The subject of a skip. It is its own: a skip must not stand in for what the last run found."""
    return f"{subject} beside another run"
