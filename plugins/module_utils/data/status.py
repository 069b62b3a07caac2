# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one shape of a backup's state, whatever the engine, and what is wrong with it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration

SOURCE = "backup 0.1.0"
_SEVERITY: tuple[Verdict, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Limits:
    """Seconds at most; None for no limit.

    ``age`` is of the newest backup of any kind, ``full_age`` of the newest full one, ``verified`` and ``drill`` are
    since the last one, ``rto`` and ``rpo`` as a drill measures them.
    """

    age: float | None = None
    full_age: float | None = None
    verified: float | None = None
    drill: float | None = None
    rto: float | None = None
    rpo: float | None = None


@dataclass(frozen=True)
class Status:
    """What is known of the backups of one thing. Ages and durations are seconds, sizes bytes, moments RFC 3339.

    ``size`` is what was backed up, ``stored`` what the last backup added to the repository, ``running`` tells a backup
    that is under way, ``trouble`` why nothing is known of the backups. ``verdict`` and ``problems`` are ``judge``'s.
    """

    engine: str
    name: str
    last_success: str | None = None
    kind: str | None = None
    age: float | None = None
    full_success: str | None = None
    full_age: float | None = None
    backups: int = 0
    size: int | None = None
    stored: int | None = None
    duration: float | None = None
    running: str | None = None
    trouble: str | None = None
    verified_at: str | None = None
    verified_age: float | None = None
    verified_verdict: str | None = None
    drill_at: str | None = None
    drill_age: float | None = None
    drill_verdict: str | None = None
    rto: float | None = None
    rpo: float | None = None
    limits: Limits = field(default_factory=Limits)
    verdict: Verdict = "pass"
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "problems": list(self.problems)}


def moment(seconds: float) -> str:
    """Unix time as results write it."""
    return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))


def seconds_of(at: str) -> float:
    """Unix time of what ``moment`` writes."""
    return datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def with_results(status: Status, records: Iterable[Mapping[str, Any]], now: float) -> Status:
    """The status with what results tell: verification, and the drill with its RTO and RPO.

    Of the same kind the newest counts, wherever it was recorded.
    """
    drill = f"data.drill.{status.engine}."
    for record in sorted(records, key=lambda record: record["at"]):
        if record["subject"] != status.name or record["verdict"] == "skip":
            continue
        at, age, verdict = record["at"], max(0.0, now - seconds_of(record["at"])), record["verdict"]
        number = record.get("measured") if isinstance(record.get("measured"), (int, float)) else None
        if record["id"] == "data.backup.verified":
            status = replace(status, verified_at=at, verified_age=age, verified_verdict=verdict)
        elif record["id"] == f"{drill}result":
            status = replace(status, drill_at=at, drill_age=age, drill_verdict=verdict)
        elif record["id"] == f"{drill}rto":
            status = replace(status, rto=number)
        elif record["id"] == f"{drill}rpo":
            status = replace(status, rpo=number)
    return status


def judge(status: Status, limits: Limits) -> Status:
    """The status with its verdict: ``fail`` when a restore could lose too much or is known not to work, ``warn`` when
    nobody has shown lately that it works."""
    found: list[tuple[Verdict, str]] = []
    if status.age is None:
        found.append(("fail", absence(status)))
    else:
        late = _late(f"the newest backup of {status.name}", status.age, limits.age)
        late += _late(f"the newest full backup of {status.name}", status.full_age, limits.full_age)
        found += [("fail", sentence) for sentence in late]
    if status.verified_verdict == "fail":
        found.append(("fail", f"the last verification of {status.name}, {_ago(status.verified_age)}, found damage"))
    if status.drill_verdict == "fail":
        found.append(("fail", f"the last restore drill of {status.name}, {_ago(status.drill_age)}, failed"))
    found += [("warn", sentence) for sentence in unproven(status, limits)]
    for what, measured, limit in (("RTO", status.rto, limits.rto), ("RPO", status.rpo, limits.rpo)):
        if measured is not None and limit is not None and measured > limit:
            found.append(
                ("fail", f"the {what} of {status.name} is {to_duration(measured)}, more than {to_duration(limit)}")
            )
    verdict: Verdict = max((level for level, _ in found), key=_SEVERITY.index, default="pass")
    return replace(status, limits=limits, verdict=verdict, problems=tuple(sentence for _, sentence in found))


def unproven(status: Status, limits: Limits) -> list[str]:
    """Why nobody knows lately that a restore works; what a verification or a drill found wrong is not said here."""
    late: list[str] = []
    if status.backups and status.verified_verdict != "fail":
        late += _late(f"the last verification of {status.name}", status.verified_age, limits.verified)
    if status.backups and status.drill_verdict != "fail":
        late += _late(f"the last restore drill of {status.name}", status.drill_age, limits.drill)
    return late


def absence(status: Status) -> str:
    """Why there is no newest backup to speak of."""
    return status.trouble or f"there is no backup of {status.name} yet"


def worst(statuses: Iterable[Status]) -> Verdict:
    """The verdict of all together."""
    return max((status.verdict for status in statuses), key=_SEVERITY.index, default="fail")


def _late(what: str, age: float | None, limit: float | None) -> list[str]:
    if limit is None or (age is not None and age <= limit):
        return []
    if age is None:
        return [f"{what} never happened (it should, every {to_duration(limit)})"]
    return [f"{what} was {_ago(age)}, more than {to_duration(limit)}"]


def _ago(seconds: float | None) -> str:
    return f"{to_duration(round(seconds or 0))} ago"


def results(status: Status) -> list[Result]:
    """What the evidence store keeps of it: the size. Its age is for the health check, which sees it grow."""
    if status.size is None:
        return []
    return [
        Result(
            id="data.backup.size",
            area="data",
            subject=status.name,
            claim=f"The newest backup of {status.name} holds {status.size} bytes",
            measured=status.size,
            unit="By",
            verdict="pass",
            source=f"{SOURCE} {status.engine}",
        )
    ]
