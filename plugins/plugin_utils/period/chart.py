# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Series over time as inline SVG: no script, colours from the page, gaps where nothing was measured."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 800.0, 200.0, 58.0, 12.0, 18.0, 24.0
COLOURS = 4  # that tell lines apart; of more series the worst are drawn
TICKS = 5


def chart(measure: Mapping[str, Any], span: Mapping[str, Any], limit: float | None, label: str) -> Markup:
    """The lines of a measure's worst series, with the limit."""
    rows = drawn(measure, limit)
    shown = [value for row in rows for _, value in row["series"]] + ([] if limit is None else [limit])
    if not shown:
        return Markup("")
    marks = scale(min(0.0, *shown), max(shown))
    low, high = marks[0], marks[-1]

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - span["from"]) / (span["to"] - span["from"])

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [
        *(
            Markup(
                '<line class="tl-grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
                '<text class="ch-tick" x="{}" y="{:.1f}">{:.15g}</text>'
            ).format(LEFT, WIDTH - RIGHT, y(mark), y(mark), LEFT - 6, y(mark) + 4, mark)
            for mark in marks
        ),
        *(
            Markup('<text class="tl-tick" x="{:.1f}" y="{}">{}</text>').format(x(at), HEIGHT - 6, text)
            for at, text in _times(span)
        ),
        *(_line(row, number, span["step"], x, y) for number, row in enumerate(rows)),
    ]
    if limit is not None:
        parts.append(
            Markup('<line class="rc-limit" stroke-dasharray="5 4" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                LEFT, WIDTH - RIGHT, y(limit), y(limit)
            )
        )
    return Markup('<svg class="timeline chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def drawn(measure: Mapping[str, Any], limit: float | None) -> list[Mapping[str, Any]]:
    """The rows that have a line, in the order of the table. Which are worst, the limit says; else the highest are."""
    upward = limit is None or not str(measure["limit"]).startswith(">")
    worst = sorted(measure["rows"], key=lambda row: row["max"] if upward else -row["min"], reverse=True)[:COLOURS]
    return [row for row in measure["rows"] if row in worst]


def scale(low: float, high: float) -> list[float]:
    """Round marks from at most ``low`` to at least ``high``."""
    high = high if high > low else low + 1
    rough = (high - low) / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _line(row: Mapping[str, Any], number: int, step: float, x: Any, y: Any) -> Markup:
    return Markup("").join(
        Markup('<polyline class="ch-line ch-{}" points="{}"><title>{}</title></polyline>').format(
            number, " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece), row["name"]
        )
        for piece in _pieces(row["series"], step)
    )


def _pieces(series: Sequence[Sequence[float]], step: float) -> Iterator[list[Sequence[float]]]:
    """Cut where points are missing. A point alone gets a little width, or nobody would see it."""
    piece: list[Sequence[float]] = []
    for point in series:
        if piece and point[0] - piece[-1][0] > 1.5 * step:
            yield _wide(piece, step)
            piece = []
        piece.append(point)
    if piece:
        yield _wide(piece, step)


def _wide(piece: list[Sequence[float]], step: float) -> list[Sequence[float]]:
    return piece if len(piece) > 1 else [(piece[0][0] - step / 3, piece[0][1]), (piece[0][0] + step / 3, piece[0][1])]


def _times(span: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    length = span["to"] - span["from"]
    form = "%H:%M" if length <= 86400 else "%m-%d"
    for number in range(1, 6):
        at = span["from"] + length * number / 6
        yield at, datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime(form)
