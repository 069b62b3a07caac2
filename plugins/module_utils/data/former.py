# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What restores replaced, each in a directory of its own until somebody has it back or lets it go: a second restore,
because the first was of the wrong backup, must not take what was there before both."""

from __future__ import annotations

import shutil
from pathlib import Path


def begin(place: Path, whole: bool) -> None:
    """Makes room at ``place`` for what the next restore replaces. What is there stays, unless it is not ``whole``."""
    if whole:
        place.rename(place.with_name(f"{place.name}.{max([0, *map(_number, _earlier(place))]) + 1}"))
    shutil.rmtree(place, ignore_errors=True)


def end(place: Path) -> None:
    """Removes what was put back, or could not be kept; what the restore before replaced takes its place."""
    shutil.rmtree(place, ignore_errors=True)
    if earlier := _earlier(place):
        max(earlier, key=_number).rename(place)


def discard(place: Path) -> bool:
    """Removes all of it; whether there was any."""
    there = [one for one in (place, *_earlier(place)) if one.exists()]
    for one in there:
        shutil.rmtree(one, ignore_errors=True)
    return bool(there)


def _earlier(place: Path) -> list[Path]:
    return [one for one in place.parent.glob(f"{place.name}.*") if one.suffix[1:].isdecimal()]


def _number(place: Path) -> int:
    return int(place.suffix[1:])
