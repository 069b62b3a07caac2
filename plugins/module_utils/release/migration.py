# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release makes of its database, and which versions can still work with it afterwards. Touches no host.

A migration runs while the live release goes on, and a failed release leaves it done. An image whose migration is not
for every earlier version says so by a label: the oldest version that works with the database after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.slipway.ops.plugins.module_utils.release.history import Event, live_versions

LABEL = "slipway.database.works-with"
# 2.1.0rc1 has three numbers; 7f3a9b2 is a commit, and not a seven.
_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)+(?=[-+_a-zA-Z]|$)|\d+(?=[-+_]|$))(?P<rest>.*)", re.DOTALL)


def is_older(version: str, than: str, stack: Sequence[str]) -> bool | None:
    """Whether a version came before another: by their numbers, else by when they were live; None when neither tells."""
    if version == than:
        return False
    ours, theirs = _NUMBERS.fullmatch(version), _NUMBERS.fullmatch(than)
    if ours and theirs:
        if _numbers(ours[1]) != _numbers(theirs[1]):
            return _numbers(ours[1]) < _numbers(theirs[1])
        if not ours["rest"] and not theirs["rest"]:
            return False
    if version in stack and than in stack:
        return stack.index(version) < stack.index(than)
    return None


def _numbers(text: str) -> tuple[int, ...]:
    """1.2 and 1.2.0 are the same."""
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", text).split("."))


def works_with(events: Sequence[Event]) -> str:
    """The oldest version that the database is for, of all that releases have made of it; empty when none said so."""
    stack, oldest = live_versions(events), ""
    for event in events:
        said = str(event.get("works_with") or "")
        if said and (not oldest or is_older(oldest, said, stack)):
            oldest = said
    return oldest


def way_problem(version: str, events: Sequence[Event]) -> str:
    """Why a version must not be released or rolled back to; empty when the database is for it, as far as was said."""
    oldest = works_with(events)
    older = is_older(version, oldest, live_versions(events)) if oldest else False
    if older is False:
        return ""
    told = f"the database works with {oldest} and later since a release changed it"
    if older is None:
        told += f", and whether {version} is later cannot be told from its name or the history"
    return (
        f"{version} is refused: {told}. Restore the database of before (restore.yml), or say -e override='why' "
        "when you know that it works."
    )


def migration_problem(live: str, version: str, oldest: str, events: Sequence[Event]) -> str:
    """Why a version's migration must not run beside the live release; empty when that one can go on."""
    if not live or not oldest or live == version:
        return ""
    older = is_older(live, oldest, live_versions(events))
    if older is False:
        return ""
    return (
        f"{version} makes a database that works with {oldest} and later (label {LABEL} of its image), and {live} is "
        f"live: it would fail while {version} is released, and there would be no way back to it. "
        f"Release {oldest} first, or say -e override='why' when you know better."
    )
