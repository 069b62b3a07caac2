# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups as a node-exporter textfile. Moments, not ages: a file that nobody writes any more then shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, seconds_of
from ansible_collections.slipway.ops.plugins.module_utils.host.files import replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family

FILE = "slipway_backup_{}.prom"  # of an engine, so that none writes what another measured
FORMER = "slipway_backup.prom"  # had all of them
LEVELS = {"skip": -1, "pass": 0, "warn": 1, "fail": 2, "unknown": 3}

Value = Callable[[Status], "float | None"]


def _moment(at: str | None) -> float | None:
    return None if at is None else round(seconds_of(at), 3)


_FAMILIES: tuple[tuple[str, str, Value], ...] = (
    ("last_success_timestamp_seconds", "End of the newest backup, Unix time.", lambda s: _moment(s.last_success)),
    ("last_full_timestamp_seconds", "End of the newest full backup, Unix time.", lambda s: _moment(s.full_success)),
    ("backups", "Backups that can be restored.", lambda s: s.backups),
    ("size_bytes", "What the newest backup restores.", lambda s: s.size),
    ("stored_bytes", "What the newest backup added to the repository.", lambda s: s.stored),
    ("duration_seconds", "How long the newest backup took.", lambda s: s.duration),
    ("verified_timestamp_seconds", "Last verification, Unix time.", lambda s: _moment(s.verified_at)),
    ("verified_verdict", "0 pass, 1 warn, 2 fail, 3 unknown.", lambda s: LEVELS.get(s.verified_verdict or "")),
    ("drill_timestamp_seconds", "Last restore drill, Unix time.", lambda s: _moment(s.drill_at)),
    ("drill_verdict", "0 pass, 1 warn, 2 fail, 3 unknown.", lambda s: LEVELS.get(s.drill_verdict or "")),
    ("rto_seconds", "Time to restore, measured by the last drill.", lambda s: s.rto),
    ("rpo_seconds", "What the last drill found missing at the end.", lambda s: s.rpo),
    ("age_limit_seconds", "The age that the newest backup may have.", lambda s: s.limits.age),
    ("full_age_limit_seconds", "The age that the newest full backup may have.", lambda s: s.limits.full_age),
    ("verified_limit_seconds", "How long ago a verification may be.", lambda s: s.limits.verified),
    ("drill_limit_seconds", "How long ago a drill may be.", lambda s: s.limits.drill),
    ("rto_limit_seconds", "The time that a restore may take.", lambda s: s.limits.rto),
    ("rpo_limit_seconds", "What may be missing.", lambda s: s.limits.rpo),
)


def exposition(statuses: Sequence[Status]) -> str:
    """The metrics in Prometheus' text format; what is not known is left out."""
    text = ""
    for name, explanation, value in _FAMILIES:
        samples = [({"engine": one.engine, "name": one.name}, value(one)) for one in statuses]
        known = [(labels, number) for labels, number in samples if number is not None]
        text += family(f"slipway_backup_{name}", "gauge", explanation, known)
    return text


def publish(statuses: Sequence[Status], directory: str) -> bool:
    """Writes a textfile for each engine when the directory is there; returns whether one changed."""
    place = Path(directory)
    if not directory or not place.is_dir():
        return False
    (place / FORMER).unlink(missing_ok=True)
    engines = dict.fromkeys(status.engine for status in statuses)
    changed = [_publish(engine, [one for one in statuses if one.engine == engine], place) for engine in engines]
    return any(changed)


def _publish(engine: str, statuses: Sequence[Status], place: Path) -> bool:
    path, content = place / FILE.format(engine), exposition(statuses)
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return False
    replace(path, content, 0o644)
    return True
