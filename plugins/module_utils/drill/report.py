# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a drill found, as results, as a table, and as an estimate for other sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..result import Result, Verdict
from ..units import BINARY, to_byte_size, to_duration
from .course import Phase

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
    """All of a drill. Seconds and bytes; ``size`` is what the backup restores to, ``moving`` the seconds that grow with
    it, ``rto`` and ``rpo`` are None when the drill did not come that far.

    ``reason`` says why it failed, ``skipped`` why it was not made.
    """

    engine: str
    subject: str
    run: str
    at: str
    took: float = 0.0
    backup: dict[str, Any] = field(default_factory=dict)
    size: int | None = None
    phases: list[Phase] = field(default_factory=list)
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

    def as_dict(self) -> dict[str, Any]:
        """The artifact of the evidence."""
        return asdict(self) | {"rows": self.rows, "estimates": estimates(self)}


def estimate(report: Report, size: float) -> float:
    """Seconds to restore ``size`` bytes at the speed of this drill; what does not grow with the size stays."""
    return (report.rto or 0.0) - report.moving + report.moving * size / (report.size or 1)


def largest(report: Report) -> float | None:
    """Bytes that can be restored within the limit at the speed of this drill; None when nothing can be said."""
    limit = report.limits.rto
    if report.rto is None or not report.size or not report.moving or limit is None:
        return None
    return max(0.0, (limit - report.rto + report.moving) / report.moving * report.size)


def estimates(report: Report) -> dict[str, Any]:
    """What the same restore would take at other sizes; a straight line, so coarse for what is much larger."""
    if report.rto is None or not report.size:
        return {}
    sizes = {"10x": 10.0 * report.size, "100GiB": HUNDRED, "1TiB": float(BINARY["TiB"])}
    return {
        "bytes_per_second": round(report.size / report.moving) if report.moving else None,
        "seconds": {name: round(estimate(report, size), 1) for name, size in sizes.items()},
        "bytes_within_limit": None if largest(report) is None else round(largest(report) or 0),
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
    within = largest(report)
    found = ["; ".join(told)] if told else []
    if within is not None and report.rto is not None:
        found.append(
            f"at this speed 100GiB take {to_duration(round(estimate(report, HUNDRED)))}, and"
            f" {to_byte_size(round(within))} can be restored within the limit"
        )
    verdict = "FAILED: " + report.reason if report.reason else "passed"
    return [*found, f"The drill of {report.engine} {report.subject} {verdict}"]


def metrics(report: Report, ended: float) -> str:
    """The node exporter's textfile of the last drill; ``ended`` is Unix time, so that an old file shows."""
    values = {
        "success": 0 if report.reason else 1,
        "timestamp_seconds": round(ended, 3),
        "duration_seconds": report.took,
        "rto_seconds": report.rto,
        "rto_limit_seconds": report.limits.rto,
        "rpo_seconds": report.rpo,
        "rpo_limit_seconds": report.limits.rpo,
        "rows_compared": report.rows,
        "tables_different": len(report.different),
    }
    labels = f'{{engine="{report.engine}",name="{report.subject}"}}'
    return "".join(
        f"# TYPE slipway_drill_{name} gauge\nslipway_drill_{name}{labels} {value!r}\n"
        for name, value in values.items()
        if value is not None
    )
