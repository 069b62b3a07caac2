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
_SUBJECT_WIDTH = 48
_VALUE_WIDTH = 28
_QUIET = ("pass", "skip")


def counts(results: Iterable[ResultDict]) -> dict[str, int]:
    """How many results have each verdict; every verdict is there, the worst first."""
    counted = Counter(result["verdict"] for result in results)
    return {verdict: counted[verdict] for verdict in reversed(SEVERITY)}


def worst_verdict(results: Sequence[ResultDict]) -> str:
    """The verdict of all together: ``skip`` beside a pass is a pass; nothing checked is ``unknown``."""
    verdicts = {result["verdict"] for result in results}
    if verdicts == {"pass", "skip"}:
        return "pass"
    return max(verdicts, key=SEVERITY.index, default="unknown")


def sentence(results: Sequence[ResultDict]) -> str:
    """One line: ``12 checks: 1 fail, 11 pass``."""
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items() if number)
    return f"{len(results)} check{'' if len(results) == 1 else 's'}: {told or 'nothing was checked'}"


def table(results: Iterable[ResultDict], host: str | None = None) -> list[str]:
    """A line for each result, the worst first, its reason beneath; ``host`` goes before subjects without it."""
    ordered = sorted(results, key=lambda result: -SEVERITY.index(result["verdict"]))
    rows = [(result["verdict"], _subject(result, host), result["id"], _value(result)) for result in ordered]
    lines = []
    for line, result in zip(_columns(rows), ordered, strict=True):
        indent = " " * (max(map(len, SEVERITY)) + 2)
        lines.append(line)
        if result.get("reason"):
            lines += textwrap.wrap(str(result["reason"]), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def fleet_table(by_host: Mapping[str, Sequence[ResultDict]]) -> list[str]:
    """A line of counts for each host and one for all, and beneath them every result that is no pass and no skip."""
    verdicts = list(reversed(SEVERITY))
    groups = [*by_host.items(), ("all", [result for results in by_host.values() for result in results])]
    rows = [("host", *verdicts)]
    rows += [(name, *(str(number or "-") for number in counts(results).values())) for name, results in groups]
    lines = _columns(rows, numbers=True)
    for host, results in by_host.items():
        trouble = table((result for result in results if result["verdict"] not in _QUIET), host)
        lines += ["", *trouble] if trouble else []
    return lines


def _columns(rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Rows as lines with aligned columns; numbers to the right, after the first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    widths[0:1] = [max(widths[0], *map(len, SEVERITY))] if widths else []
    lines = []
    for row in rows:
        cells = [f"{cell:{'>' if numbers and column else '<'}{widths[column]}}" for column, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _subject(result: ResultDict, host: str | None) -> str:
    subject = str(result["subject"])
    told = subject if host is None or host in subject else f"{host}: {subject}"
    return told if len(told) <= _SUBJECT_WIDTH else told[: _SUBJECT_WIDTH - 1] + "…"


def _value(result: ResultDict) -> str:
    if result.get("measured") is None:
        return ""
    unit = "" if result.get("unit") in (None, "", "1") else f" {result['unit']}"
    value = " ".join(str(result["measured"]).split())
    shown = value if len(value) <= _VALUE_WIDTH else value[: _VALUE_WIDTH - 1] + "…"
    return f"{shown}{unit}" + (f" ({result['limit']})" if result.get("limit") else "")
