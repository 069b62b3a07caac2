# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many results told at once: counts, the worst verdict, a table for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.health.finding import SEVERITY

ResultDict = Mapping[str, Any]
_WIDTH = 118
_SUBJECT_WIDTH = 44
_VALUE_WIDTH = 28


def counts(results: Iterable[ResultDict]) -> dict[str, int]:
    """How many results have each verdict; every verdict is there, the worst first."""
    counted = Counter(result["verdict"] for result in results)
    return {verdict: counted[verdict] for verdict in reversed(SEVERITY)}


def worst_verdict(results: Sequence[ResultDict]) -> str:
    """The verdict of all results together; ``unknown`` when there are none: nothing was checked."""
    if not results:
        return "unknown"
    verdicts = {result["verdict"] for result in results}
    if verdicts == {"skip", "pass"}:
        return "pass"
    return max(verdicts, key=SEVERITY.index)


def sentence(results: Sequence[ResultDict]) -> str:
    """One line: ``12 checks: 1 fail, 11 pass``."""
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items() if number)
    return f"{len(results)} check{'' if len(results) == 1 else 's'}: {told or 'nothing was checked'}"


def table(results: Sequence[ResultDict], host: str | None = None) -> list[str]:
    """Lines for a terminal, the worst results first, each reason beneath its result."""
    ordered = sorted(results, key=lambda result: -SEVERITY.index(result["verdict"]))
    rows = [(result["verdict"], _subject(result, host), result["id"], _value(result)) for result in ordered]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = []
    for row, result in zip(rows, ordered, strict=True):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
        if result.get("reason"):
            indent = " " * (widths[0] + 2)
            lines += textwrap.wrap(str(result["reason"]), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def _subject(result: ResultDict, host: str | None) -> str:
    subject = str(result["subject"])
    told = subject if host in (None, subject) else f"{host}: {subject}"
    return told if len(told) <= _SUBJECT_WIDTH else told[: _SUBJECT_WIDTH - 1] + "…"


def _value(result: ResultDict) -> str:
    if result.get("measured") is None:
        return ""
    unit = "" if result.get("unit") in (None, "1") else f" {result['unit']}"
    value = " ".join(str(result["measured"]).split())
    shown = value if len(value) <= _VALUE_WIDTH else value[: _VALUE_WIDTH - 1] + "…"
    return f"{shown}{unit}" + (f" ({result['limit']})" if result.get("limit") else "")
