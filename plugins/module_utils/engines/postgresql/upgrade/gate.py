# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gate before an upgrade: somebody showed lately that the backups restore."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration

LONGEST = 8 * 86400.0  # seconds: a weekly drill, and a day to make up for it
_DRILL = "data.drill.postgresql.result"


def obstacle(records: Iterable[Mapping[str, Any]], stanza: str, now: float, longest: float = LONGEST) -> str:
    """Why the drills do not allow an upgrade, in one sentence; empty when the last one was good and is young enough."""
    drills = [
        record
        for record in records
        if record["id"] == _DRILL and _stanza(record["subject"]) == stanza and record["verdict"] != "skip"
    ]
    if not drills:
        return f"no restore drill of {stanza} is on record"
    last = max(drills, key=_moment)
    if last["verdict"] != "pass":
        return f"the last restore drill of {stanza}, at {last['at']}, failed: {last.get('reason') or 'no reason given'}"
    age = now - _moment(last)
    if age > longest:
        return (
            f"the last good restore drill of {stanza} was {to_duration(round(age))} ago, more than"
            f" {to_duration(round(longest))}"
        )
    return ""


def _stanza(subject: str) -> str:
    """Of a stanza with two repositories each has a name of its own."""
    return subject.partition("/")[0]


def _moment(record: Mapping[str, Any]) -> float:
    return datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()
