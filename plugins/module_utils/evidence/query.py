# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding evidence: which records fit, and what their artifacts hold."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Key, Record, Store, key


@dataclass
class Query:
    """What to look for; an empty list allows everything. ``max_age`` is seconds since the measurement began."""

    ids: Sequence[str] = ()
    subjects: Sequence[str] = ()
    areas: Sequence[str] = ()
    max_age: float | None = None
    now: datetime.datetime | None = None

    def matching(self, records: Iterable[Record]) -> list[Record]:
        """The records that fit, in their order."""
        now = self.now or datetime.datetime.now(datetime.timezone.utc)
        return [record for record in records if self._fits(record, now)]

    def _fits(self, record: Record, now: datetime.datetime) -> bool:
        return (
            fits(record["id"], self.ids)
            and fits(record["subject"], self.subjects)
            and (not self.areas or record.get("area") in self.areas)
            and (self.max_age is None or age(record, now) <= self.max_age)
        )


def fits(text: str, patterns: Sequence[str]) -> bool:
    """Whether a text is, or matches, one of the patterns; no patterns allow everything."""
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def age(record: Mapping[str, Any], now: datetime.datetime) -> float:
    """Seconds since the measurement began; infinite when the record does not say when that was."""
    try:
        return (now - parse_time(record["at"])).total_seconds()
    except (EvidenceError, KeyError):
        return float("inf")


def tail(records: Iterable[Record], count: int) -> list[Record]:
    """The last ``count`` records of each id and subject, in their order."""
    kept: dict[Key, list[Record]] = {}
    for record in records:
        kept.setdefault(key(record), []).append(record)
    return [record for group in kept.values() for record in group[-count:]]


def described(store: Store, records: Iterable[Record], largest: int) -> dict[str, dict[str, Any]]:
    """Each artifact of the records: size, whether its hash is the recorded one, its text up to ``largest`` bytes."""
    return {
        path: _described(store, path, digest, largest)
        for record in records
        for path, digest in (record.get("sha256") or {}).items()
    }


def _described(store: Store, path: str, digest: str, largest: int) -> dict[str, Any]:
    try:
        content = store.artifact(path).read_bytes()
    except (EvidenceError, OSError):
        return {"bytes": 0, "intact": False, "content": None}
    text = None
    if len(content) <= largest:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = None
    return {"bytes": len(content), "intact": hashlib.sha256(content).hexdigest() == digest, "content": text}
