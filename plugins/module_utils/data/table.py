# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups as a table for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status

_HEAD = ("", "backup of", "newest", "age", "full", "size", "took", "verified", "drill", "RTO", "RPO")


def table(statuses: Sequence[Status]) -> list[str]:
    """A line for each, and beneath it what is wrong."""
    rows = [_HEAD, *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for position, row in enumerate(rows):
        lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        for problem in statuses[position - 1].problems if position else ():
            lines += textwrap.wrap(problem, 110, initial_indent="      ", subsequent_indent="      ")
    return lines


def _row(status: Status) -> tuple[str, ...]:
    limits = status.limits
    return (
        status.verdict,
        f"{status.engine} {status.name}",
        f"{status.last_success[:16].replace('T', ' ')}Z {status.kind}" if status.last_success else "never",
        _against(status.age, limits.age),
        _against(status.full_age, limits.full_age),
        "-" if status.size is None else to_byte_size(status.size),
        _time(status.duration),
        _tested(status.verified_age, status.verified_verdict),
        _tested(status.drill_age, status.drill_verdict),
        _against(status.rto, limits.rto),
        _against(status.rpo, limits.rpo),
    )


def _time(seconds: float | None) -> str:
    """Seconds as text; what takes minutes needs no fractions, and an age of days no minutes."""
    if seconds is None:
        return "-"
    for least, step in ((86400, 3600), (3600, 60), (60, 1)):
        if seconds >= least:
            return to_duration(round(seconds / step) * step)
    return to_duration(round(seconds, 1))


def _against(seconds: float | None, limit: float | None) -> str:
    return _time(seconds) + (f" (<= {to_duration(limit)})" if limit is not None else "")


def _tested(age: float | None, verdict: str | None) -> str:
    return "never" if age is None else f"{verdict} {_time(age)} ago"
