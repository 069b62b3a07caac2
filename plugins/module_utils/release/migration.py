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
_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)(?![\d.])")


def is_older(version: str, than: str, stack: Sequence[str]) -> bool | None:
    """Whether a version came before another: by their numbers, else by when they were live; None when neither tells."""
    if version == than:
        return False
    numbers = [_NUMBERS.match(text) for text in (version, than)]
    if numbers[0] and numbers[1]:
        ours, theirs = (tuple(int(part) for part in found[1].split(".")) for found in numbers if found)
        if ours != theirs:
            return ours < theirs
    if version in stack and than in stack:
        return stack.index(version) < stack.index(than)
    return None


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
