# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What evidence says of a line of a checklist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import age, fits
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import Record, System

DAY = 86400.0
WORST_FIRST = ("fail", "unknown", "warn")


@dataclass(frozen=True)
class Proof:
    """``state`` is a verdict, ``stale`` or ``missing``; ``worst`` the record that says so; ``oldest`` seconds."""

    state: str
    count: int = 0
    worst: Record | None = None
    oldest: float = 0.0


def prove(system: System, patterns: Sequence[str], days: float) -> Proof:
    """The newest records whose ids fit. A skip is no proof, and neither is one older than ``days``."""
    found = [one for one in system.records if fits(one["id"], patterns) and one["verdict"] != "skip"]
    if not found:
        return Proof("missing")
    oldest = max(age(one, system.at) for one in found)
    for verdict in WORST_FIRST:
        bad = next((one for one in found if one["verdict"] == verdict), None)
        if bad:
            return Proof(verdict, len(found), bad, oldest)
    return Proof("stale" if oldest > days * DAY else "pass", len(found), None, oldest)
