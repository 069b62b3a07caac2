# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the log of a recovering PostgreSQL says: why it ended, and which WAL it cannot get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import reason

_BAD = re.compile(r"(?:FATAL|PANIC):\s+(.*)")
_DETAIL = re.compile(r"(?:DETAIL|HINT):\s+(.*)")
_ABSENT = re.compile(r"unable to find ([0-9A-F]{24}) in the archive")
_FOUND = re.compile(r"(?:found|restored log file \")[ ]?([0-9A-F]{24})")
_SEGMENTS = 0x100000000


def ending(text: str) -> str:
    """Why the server ended: its own last words, and pgBackRest's errors before them."""
    words: list[str] = []
    for line in text.splitlines():
        bad, detail = _BAD.search(line), _DETAIL.search(line)
        if bad and "the database system is" not in line:
            words.append(bad[1])
        elif detail and words:
            words.append(detail[1])
    told = list(dict.fromkeys(words))[-3:]
    archive = reason(text.splitlines())
    return "; ".join([*told, *([f"pgBackRest says: {archive}"] if archive else [])]) or "its log has no reason"


@dataclass(frozen=True)
class Stuck:
    """What a recovery asked the archive for again and again: ``segment`` is not there, or ``error`` came back."""

    segment: str = ""
    error: str = ""


def stuck(text: str) -> Stuck:
    """What came back from the archive since it last gave a segment."""
    absent = ""
    errors: list[str] = []
    for line in text.splitlines():
        missing = _ABSENT.search(line)
        if _FOUND.search(line) and not missing:
            absent, errors = "", []
        elif missing:
            absent = missing[1]
        elif re.search(r"P\d+\s+ERROR:|^\s{8,}\S", line):
            errors.append(line)
    return Stuck(absent, reason(errors))


def position(segment: str, size: int) -> tuple[int, int]:
    """The first and the next byte after a segment, as numbers of a log sequence; ``size`` is bytes of a segment."""
    number = int(segment[8:16], 16) * (_SEGMENTS // size) + int(segment[16:24], 16)
    return number * size, (number + 1) * size


def lsn(text: str) -> int:
    """``16/B374D848`` as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def newest(archives: Iterable[Sequence[str]]) -> str:
    """The last segment of the newest history (``17-1`` before ``17-2``) in a repository; empty when there is none."""
    histories = sorted(archives, key=lambda entry: int(entry[0].rpartition("-")[2]))
    return histories[-1][2] if histories else ""


def given(text: str) -> int:
    """How many segments came from the archive so far."""
    return sum(1 for words in text.splitlines() if _FOUND.search(words))


def line(message: str) -> str:
    """A message of several lines as one; of pgBackRest's, the errors alone."""
    return reason(message.splitlines()) or " ".join(message.split())
