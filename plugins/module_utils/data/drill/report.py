# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a drill found, as results, as a table, and as an estimate for other sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.core.units import BINARY, to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import aside
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Phase
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.growth import ASSUMED, Growth
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family

SOURCE = "slipway-drill 0.1.0"
HUNDRED = 100.0 * BINARY["GiB"]


@dataclass(frozen=True)
class Limits:
    """Seconds at most. ``age`` is of the newest backup; None for no limit."""

    rto: float | None = 4 * 3600.0
    rpo: float | None = 24 * 3600.0
    age: float | None = 26 * 3600.0


@dataclass(frozen=True)
class Compared:
    """One table, collection or file set on both sides. ``hash`` does not depend on the order of rows."""

    name: str
    rows: int
    hash: str
    restored_rows: int | None
    restored_hash: str | None

    @property
    def same(self) -> bool:
        return (self.rows, self.hash) == (self.restored_rows, self.restored_hash)

    @property
    def difference(self) -> str:
        """What is not the same, in a clause."""
        if self.restored_rows is None:
            return f"{self.name} is missing"
        if self.rows != self.restored_rows:
            return f"{self.name} has {self.restored_rows} rows instead of {self.rows}"
        return f"{self.name} has other content"


@dataclass
class Report:
    """All of a drill. Seconds and bytes; ``size`` is what the backup restores to, ``expected_size`` what it is expected
    to become, if somebody said, ``parts`` the names of the phases that make the RTO, ``moving`` the seconds of them
    that grow with the size. ``rto`` and ``rpo`` are None when the drill did not come that far.

    ``reason`` says why it failed, ``skipped`` why it was not made.
    """

    engine: str
    subject: str
    run: str
    at: str
    took: float = 0.0
    backup: dict[str, Any] = field(default_factory=dict)
    size: int | None = None
    expected_size: int | None = None
    phases: list[Phase] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    moving: float = 0.0
    rto: float | None = None
    rpo: float | None = None
    fenced: float | None = None
    tables: list[Compared] | None = None
    pages_checked: bool | None = None
    reason: str | None = None
    skipped: str | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables or ())

    @property
    def different(self) -> list[Compared]:
        return [table for table in self.tables or () if not table.same]

    def skip(self, why: str) -> None:
        """It is not made."""
        self.subject, self.skipped = aside(self.subject), why

    def as_dict(self) -> dict[str, Any]:
        """The artifact of the evidence."""
        return asdict(self) | {"rows": self.rows, "estimates": estimates(self)}


def growth(report: Report) -> Growth | None:
    """How the RTO grows; None when the drill did not come that far."""
    if report.rto is None or not report.size:
        return None
    return Growth(report.size, report.rto, report.moving)


def estimates(report: Report) -> dict[str, Any]:
    """What the same restore would take at other sizes. Seconds and bytes."""
    line = growth(report)
    if line is None:
        return {}
    sizes = {"10x": 10.0 * line.size, "100GiB": HUNDRED, "1TiB": float(BINARY["TiB"])}
    within = None if report.limits.rto is None else line.within(report.limits.rto)
    return {
        "bytes_per_second": round(line.size / line.moving) if line.moving else None,
        "seconds": {name: round(line.seconds(size), 1) for name, size in sizes.items()},
        "bytes_within_limit": None if within is None else round(within),
    }


def results(report: Report) -> list[Result]:
    """What the evidence store keeps: whether it worked, and what was measured as far as it came."""
    if report.skipped:
        return [_result(report, "result", "skip", "The newest backup is restored and compared", reason=report.skipped)]
    made = [
        _result(
            report,
            "result",
            "fail" if report.reason else "pass",
            f"The newest backup of {report.subject} is restored, started, and the same as its source",
            measured=round(report.took, 1),
            unit="s",
            reason=report.reason,
        )
    ]
    for name, words in (("rto", "is restored in time"), ("rpo", "loses little enough")):
        measured, limit = getattr(report, name), getattr(report.limits, name)
        if measured is not None:
            made.append(_against(report, name, f"A restore of {report.subject} {words}", measured, limit))
    made += _parts(report) + _grown(report)
    if report.tables is not None:
        made.append(_rows(report))
    if report.pages_checked is not None:
        made.append(_checksums(report))
    return made


def _result(report: Report, name: str, verdict: Verdict, claim: str, **given: Any) -> Result:
    return Result(
        id=f"data.drill.{report.engine}.{name}",
        area="data",
        subject=report.subject,
        claim=claim,
        verdict=verdict,
        at=report.at,
        took=round(report.took, 3),
        source=SOURCE,
        **given,
    )


def _against(report: Report, name: str, claim: str, measured: float, limit: float | None) -> Result:
    late = limit is not None and measured > limit
    reason = f"the {name.upper()} of {report.subject} is {to_duration(round(measured))}, more than {limit or 0:g} s"
    return _result(
        report,
        name,
        "fail" if late else "pass",
        claim,
        measured=round(measured, 1),
        unit="s",
        limit=None if limit is None else f"<= {limit:g}",
        reason=reason if late else None,
    )


def _parts(report: Report) -> list[Result]:
    """What the RTO is made of, and of how much: numbers to compare drills by, without limits of their own."""
    if report.rto is None:
        return []
    made = [
        _result(
            report, phase.name, "pass", f"{phase.title}, a part of the RTO", measured=round(phase.seconds, 1), unit="s"
        )
        for phase in report.phases
        if phase.name in report.parts
    ]
    if report.size:
        claim = f"The restored copy of {report.subject} has its size"
        made.append(_result(report, "size", "pass", claim, measured=report.size, unit="By"))
    return made


def _grown(report: Report) -> list[Result]:
    """Whether a restore is still in time when there is more to restore. That a size is merely assumed makes it a
    warning."""
    line, limit = growth(report), report.limits.rto
    within = line.within(limit) if line and limit is not None else None
    if line is None or limit is None or within is None:
        return []
    size = report.expected_size or round(ASSUMED * line.size)
    seconds = line.seconds(size)
    verdict: Verdict = "pass" if seconds <= limit else "fail" if report.expected_size else "warn"
    reason = None
    if verdict != "pass":
        reason = (
            f"at {to_byte_size(size)} a restore of {report.subject} would take {to_duration(round(seconds))}, more than"
            f" {to_duration(limit)}; {to_byte_size(round(within))} can be restored in that time: restore with more"
            " processes, from a faster repository, or in smaller databases"
        )
    whose = "expected" if report.expected_size else "assumed"
    return [
        _result(
            report,
            "rto_at_size",
            verdict,
            f"A restore of {report.subject} is in time at the {whose} size of {to_byte_size(size)}",
            measured=round(seconds, 1),
            unit="s",
            limit=f"<= {limit:g}",
            reason=reason,
        ),
        _result(
            report,
            "size_within",
            verdict,
            f"At this speed {to_byte_size(round(within))} of {report.subject} can be restored in time",
            measured=round(within),
            unit="By",
            limit=f">= {size}",
            reason=reason,
        ),
    ]


def _rows(report: Report) -> Result:
    tables, bad = report.tables or [], report.different
    return _result(
        report,
        "rows",
        "fail" if bad else "pass",
        f"All {report.rows} rows of {len(tables)} tables are the same after a restore of {report.subject}",
        measured=len(bad),
        limit="= 0",
        reason=difference(bad) if bad else None,
    )


def difference(bad: list[Compared]) -> str:
    """Which tables differ, in one sentence."""
    told = "; ".join(table.difference for table in bad[:3])
    return f"{len(bad)} tables differ from the source after the restore: {told}"


def _checksums(report: Report) -> Result:
    claim = f"Every page of a restore of {report.subject} has the right checksum"
    if report.pages_checked:
        return _result(report, "checksums", "pass", claim, measured="checked")
    why = "the cluster has no data checksums, so damaged pages would not be seen: pg_checksums --enable adds them"
    return _result(report, "checksums", "warn", claim, measured="not checked", reason=why)


def lines(report: Report) -> list[str]:
    """The table that ends a drill."""
    if report.skipped:
        return [f"skip  {report.engine} {report.subject}: {report.skipped}"]
    rows = [(phase.verdict, phase.title, f"{phase.seconds:.1f} s", phase.note) for phase in report.phases]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    told = [
        f"{verdict:<{widths[0]}}  {title:<{widths[1]}}  {seconds:>{widths[2]}}  {note}".rstrip()
        for verdict, title, seconds, note in rows
    ]
    return [*told, "", *_summary(report)]


def _summary(report: Report) -> list[str]:
    told = []
    for name in ("rto", "rpo"):
        measured, limit = getattr(report, name), getattr(report.limits, name)
        if measured is not None:
            most = "" if limit is None else f" (at most {to_duration(limit)})"
            told.append(f"{name.upper()} {to_duration(round(measured, 1))}{most}")
    if report.tables is not None:
        same = len(report.tables) - len(report.different)
        told.append(f"{same} of {len(report.tables)} tables the same, {report.rows} rows")
    found = ["; ".join(told)] if told else []
    guess = estimates(report)
    if guess.get("bytes_within_limit") is not None:
        found.append(
            f"at this speed 100GiB take {to_duration(round(guess['seconds']['100GiB']))}, and"
            f" {to_byte_size(guess['bytes_within_limit'])} can be restored within the limit"
        )
    verdict = "FAILED: " + report.reason if report.reason else "passed"
    return [*found, f"The drill of {report.engine} {report.subject} {verdict}"]


def metrics(report: Report, ended: float) -> list[str]:
    """The node exporter's textfile of the last drill; ``ended`` is Unix time, so that an old file shows."""
    told = {
        "success": ("Whether the last drill found everything again.", 0 if report.reason else 1),
        "timestamp_seconds": ("When the last drill ended, Unix time.", round(ended, 3)),
        "duration_seconds": ("How long the last drill took.", report.took),
        "rto_seconds": ("Time to restore, measured by the last drill.", report.rto),
        "rto_limit_seconds": ("The time that a restore may take.", report.limits.rto),
        "rpo_seconds": ("What the last drill found missing at the end.", report.rpo),
        "rpo_limit_seconds": ("What may be missing.", report.limits.rpo),
        "rows_compared": ("Rows, documents or files that were compared.", report.rows),
        "tables_different": ("Tables, collections or file sets that were not the same.", len(report.different)),
    }
    labels = {"engine": report.engine, "name": report.subject}
    return [
        family(f"slipway_drill_{name}", "gauge", explanation, [(labels, value)])
        for name, (explanation, value) in told.items()
        if value is not None
    ]
