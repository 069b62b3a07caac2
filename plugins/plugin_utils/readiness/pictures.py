# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures of a report as inline SVG: no script, colours from the page, so they follow light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import columns
from markupsafe import Markup

# The order in which a bar's parts stand.
BAR_STATES = ("pass", "warn", "waived", "stale", "missing", "unknown", "fail")
RING = 42
MARK_LINES = 3
TICK = Markup(
    '<line class="tl-grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1:g}" y2="{2:g}"/>'
    '<text class="tl-tick" x="{0:.1f}" y="{3:g}">{4}</text>'
)
FIGURE_END = 70  # nearer to "now" than this, two texts would stand in one another
LETTER = 6.8  # width of a lane's letter


def ring(percent: int | None, label: str) -> Markup:
    """A ring that is filled as far as something is proven."""
    length = 2 * math.pi * RING
    arc = Markup("")
    if percent:
        arc = Markup('<circle class="ring-value" cx="50" cy="50" r="{}" stroke-dasharray="{:.1f} {:.1f}"/>').format(
            RING, length * percent / 100, length
        )
    text = "—" if percent is None else Markup('{}<tspan class="ring-unit" dx="1">%</tspan>').format(percent)
    return Markup(
        '<svg class="ring" viewBox="0 0 100 100" role="img" aria-label="{}">'
        '<circle class="ring-track" cx="50" cy="50" r="{}"/>{}<text x="50" y="51">{}</text></svg>'
    ).format(label, RING, arc, text)


def bar(states: Mapping[str, int], label: str) -> Markup:
    """Requirements side by side, each a piece in the colour of its state; proven ones first."""
    pieces = [state for state in BAR_STATES for _ in range(states.get(state, 0))]
    if not pieces:
        return Markup("")
    width = 100 / len(pieces)
    gap = min(0.4, width / 8)
    drawn = Markup("").join(
        Markup('<rect class="is-{}" x="{:.3f}" y="0" width="{:.3f}" height="10"/>').format(
            state, number * width, max(width - gap, 0.1)
        )
        for number, state in enumerate(pieces)
    )
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, drawn)


def sparkline(values: Sequence[float], limit: float | None, label: str) -> Markup:
    """The last measured values, the newest as a dot, with the limit as a dashed line."""
    if len(values) < 2:
        return Markup("")
    shown = [*values, limit] if limit is not None else list(values)
    low, high = min(shown), max(shown)
    scale = (high - low) or 1

    def height(value: float) -> float:
        return 24 - 20 * (value - low) / scale

    points = [(4 + 92 * number / (len(values) - 1), height(value)) for number, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = Markup("")
    if limit is not None:
        dashed = Markup('<line class="spark-limit" x1="2" x2="98" y1="{0:.1f}" y2="{0:.1f}"/>').format(height(limit))
    return Markup(
        '<svg class="spark" viewBox="0 0 100 28" role="img" aria-label="{}">{}'
        '<polyline points="{}"/><circle cx="{:.1f}" cy="{:.1f}" r="2.4"/></svg>'
    ).format(label, dashed, line, *points[-1])


@dataclass(frozen=True)
class _Sheet:
    """What a picture is drawn on: its width, the width of the names at its left, and how many ticks it bears."""

    name: str
    width: float
    names: float
    ticks: int


# The page shows the one that fits: a picture that is only made smaller has letters that nobody can read.
WIDE = _Sheet("wide", 800, 150, 6)
NARROW = _Sheet("narrow", 380, 124, 3)


def _drawn(draw: Callable[[_Sheet], Markup]) -> Markup:
    return Markup("").join(
        Markup('<div class="{}">{}</div>').format(sheet.name, draw(sheet)) for sheet in (WIDE, NARROW)
    )


@dataclass(frozen=True)
class _Frame:
    """Where things stand in a timeline: seconds from left to right, lanes from top to bottom."""

    sheet: _Sheet
    end: float
    lanes: int
    top: float = 26
    lane: float = 30

    @property
    def left(self) -> float:
        return self.sheet.names

    @property
    def width(self) -> float:
        """Of the part that is to scale; the last tick's text reaches beyond it."""
        return self.sheet.width - self.left - 25

    def named(self, name: str) -> str:
        """A lane's name as far as there is room for it."""
        room = int((self.left - 14) / LETTER)
        if columns(name) <= room:
            return name
        while columns(name) >= room:
            name = name[:-1]
        return name + "…"

    @property
    def bottom(self) -> float:
        return self.top + self.lane * self.lanes

    def x(self, second: float) -> float:
        return self.left + self.width * min(max(second, 0) / self.end, 1)


def timeline(picture: Mapping[str, Any], label: str) -> Markup:
    """Lanes of spans over seconds, with marks across them: who answered when, and what happened.

    ``lanes`` are ``{name, kind, spans: [{from, to, label}]}`` with the kind ``fail`` or empty, ``marks`` are ``{at,
    label}``; all times are seconds since the picture's start.
    """
    return _drawn(lambda sheet: _timeline(sheet, picture, label))


def _timeline(sheet: _Sheet, picture: Mapping[str, Any], label: str) -> Markup:
    lanes = picture["lanes"]
    marks = sorted(picture["marks"], key=lambda one: one["at"])
    ends = [span["to"] for lane in lanes for span in lane["spans"]] + [mark["at"] for mark in marks]
    frame = _Frame(sheet, max([*ends, 0.001]), len(lanes))
    parts = [
        _axis(frame),
        *(_lane(frame, number, lane) for number, lane in enumerate(lanes)),
        *(_mark(frame, number % MARK_LINES, mark) for number, mark in enumerate(marks)),
    ]
    height = frame.bottom + 10 + 14 * min(len(marks), MARK_LINES)
    return _figure("timeline", sheet, height, label, Markup("").join(parts))


def _figure(kind: str, sheet: _Sheet, height: float, label: str, drawn: Markup) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        kind, sheet.width, height, label, drawn
    )


def _axis(frame: _Frame) -> Markup:
    step = nice_step(frame.end, frame.sheet.ticks)
    seconds = [number * step for number in range(int(frame.end / step + 1e-9) + 1)]
    return Markup("").join(
        TICK.format(frame.x(second), frame.top, frame.bottom, frame.top - 8, f"{second:g} s") for second in seconds
    )


def _lane(frame: _Frame, number: int, lane: Mapping[str, Any]) -> Markup:
    y = frame.top + frame.lane * number
    drawn = Markup('<text class="tl-lane" x="{:g}" y="{:g}">{}</text>').format(
        frame.left - 12, y + 19, frame.named(lane["name"])
    )
    kind = "tl-bad" if lane["kind"] == "fail" else f"tl-{number % 4}"
    for span in lane["spans"]:
        start = frame.x(span["from"])
        drawn += Markup(
            '<rect class="{}" x="{:.1f}" y="{:g}" width="{:.1f}" height="18" rx="3"><title>{}</title></rect>'
        ).format(kind, start, y + 6, max(frame.x(span["to"]) - start, 2), span["label"] or lane["name"])
    return drawn


def _mark(frame: _Frame, line: int, mark: Mapping[str, Any]) -> Markup:
    x = frame.x(mark["at"])
    before = x + LETTER * columns(mark["label"]) > frame.sheet.width
    return Markup(
        '<g class="tl-mark"><line x1="{x:.1f}" x2="{x:.1f}" y1="{:g}" y2="{:g}"/>'
        '<text x="{:.1f}" y="{:g}" text-anchor="{}">{}</text></g>'
    ).format(
        frame.top,
        frame.bottom + 8 + 14 * line,
        x + (-5 if before else 5),
        frame.bottom + 12 + 14 * line,
        "end" if before else "start",
        mark["label"],
        x=x,
    )


def latency(clients: Mapping[str, Mapping[str, float]], label: str) -> Markup:
    """A row per client: a dot at the median, ticks at 95 and 99 %, a line to the slowest; milliseconds, logarithmic."""
    return _drawn(lambda sheet: _latency(sheet, clients, label))


def _latency(sheet: _Sheet, clients: Mapping[str, Mapping[str, float]], label: str) -> Markup:
    values = [max(value, 0.1) for client in clients.values() for value in client.values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    frame = _Frame(sheet, max(high - low, 1), len(clients), lane=24)

    def x(milliseconds: float) -> float:
        return frame.x(math.log10(max(milliseconds, 0.1)) - low)

    drawn = Markup("")
    for power in range(low, high + 1):
        drawn += TICK.format(x(10**power), frame.top, frame.bottom, frame.top - 8, f"{10.0**power:,g} ms")
    for number, (name, client) in enumerate(clients.items()):
        drawn += Markup(
            '<text class="tl-lane" x="{left:g}" y="{base:g}">{name}</text>'
            '<line class="lat-range" x1="{p50:.1f}" x2="{max:.1f}" y1="{y:g}" y2="{y:g}"/>'
            '<circle class="lat-p50" cx="{p50:.1f}" cy="{y:g}" r="4.5"/>'
            '<path class="lat-tick" d="M{p95:.1f} {up:g}V{down:g}M{p99:.1f} {up:g}V{down:g}"/>'
        ).format(
            name=frame.named(name),
            left=frame.left - 12,
            y=(y := frame.top + frame.lane * (number + 0.5)),
            base=y + 4,
            up=y - 6,
            down=y + 6,
            **{point: x(value) for point, value in client.items()},
        )
    return _figure("timeline", sheet, frame.bottom + 6, label, drawn)


# What a scale of times shows, by seconds.
TIMES: dict[float, str] = {
    0.1: "0.1 s",
    1: "1 s",
    10: "10 s",
    60: "1 m",
    600: "10 m",
    3600: "1 h",
    6 * 3600: "6 h",
    86400: "1 d",
    7 * 86400: "7 d",
    30 * 86400: "30 d",
}


def recovery(bars: Sequence[Mapping[str, Any]], label: str) -> Markup:
    """Bars of seconds on one logarithmic scale, each with its limit: a mark that the bar must not reach. The parts of a
    bar have their shares of its length, as on such a scale the first would hide all others.

    ``bars`` are ``{name, spans: [{from, to, label, kind}], value, limit, limit_text}``; a limit may be None.
    """
    return _drawn(lambda sheet: _recovery(sheet, bars, label))


def _recovery(sheet: _Sheet, bars: Sequence[Mapping[str, Any]], label: str) -> Markup:
    ends = [max(span["to"] for span in bar["spans"]) for bar in bars]
    limits = [bar["limit"] for bar in bars if bar["limit"]]
    low = 0.1 if min(ends) < 1.5 else 1.0
    frame = _Frame(sheet, math.log10(max([*ends, *limits, 10 * low]) * 3 / low), len(bars), lane=44)

    def x(seconds: float) -> float:
        return frame.x(math.log10(max(seconds, low) / low))

    drawn = Markup("")
    shown = [(seconds, text) for seconds, text in TIMES.items() if low <= seconds <= low * 10**frame.end]
    for number, (seconds, text) in enumerate(shown):
        if number % math.ceil(len(shown) / (sheet.ticks + 4)) == 0:
            drawn += TICK.format(x(seconds), frame.top, frame.bottom, frame.top - 8, text)
    for number, bar in enumerate(bars):
        y = frame.top + frame.lane * number
        end = max(x(ends[number]), frame.left + 2)
        drawn += Markup('<text class="tl-lane" x="{:g}" y="{:g}">{}</text>').format(
            frame.left - 12, y + 30, frame.named(bar["name"])
        )
        start = frame.left
        for span in bar["spans"]:
            width = (end - frame.left) * (span["to"] - span["from"]) / (ends[number] or 1)
            drawn += Markup(
                '<rect class="rc-{}" x="{:.1f}" y="{:g}" width="{:.1f}" height="18"><title>{}</title></rect>'
            ).format(span["kind"], start, y + 17, max(width, 1), span["label"])
            start += width
        if bar["limit"]:
            drawn += Markup(
                '<line class="rc-limit" x1="{0:.1f}" x2="{0:.1f}" y1="{1:g}" y2="{2:g}"/>'
                '<text class="rc-limit-text" x="{0:.1f}" y="{3:g}">{4}</text>'
            ).format(x(bar["limit"]), y + 13, y + 39, y + 10, bar["limit_text"])
        over = " rc-over" if bar["limit"] and ends[number] > bar["limit"] else ""
        drawn += Markup('<text class="rc-value{}" x="{:.1f}" y="{:g}">{}</text>').format(
            over, end + 7, y + 30, bar["value"]
        )
    return _figure("timeline recovery", sheet, frame.bottom + 4, label, drawn)


def drills(past: Sequence[Mapping[str, Any]], fresh: float, texts: Mapping[str, str], label: str) -> Markup:
    """A mark for each drill over time, now at the right; those of the last ``fresh`` seconds stand on a band.

    ``past`` are ``{ago, verdict, label}`` in seconds; ``texts`` are the words ``first``, ``fresh`` and ``now``.
    """
    return _drawn(lambda sheet: _drills(sheet, past, fresh, texts, label))


def _drills(
    sheet: _Sheet, past: Sequence[Mapping[str, Any]], fresh: float, texts: Mapping[str, str], label: str
) -> Markup:
    begin = max([drill["ago"] for drill in past] + [fresh]) * 1.06
    frame = _Frame(sheet, begin, 1, top=6, lane=30)

    def x(ago: float) -> float:
        return frame.x(begin - ago)

    marks = Markup("").join(
        Markup(
            '<use class="is-{}" href="#i-{}" x="{:.1f}" y="13" width="16" height="16"><title>{}</title></use>'
        ).format(
            *(2 * (drill["verdict"] if drill["verdict"] in ("pass", "warn", "fail") else "unknown",)),
            x(drill["ago"]) - 8,
            drill["label"],
        )
        for drill in past
    )
    first_fits = sheet is WIDE and past and past[0]["ago"] > fresh * 1.5
    drawn = Markup(
        '<text class="tl-lane" x="{name_at:g}" y="25">{name}</text>'
        '<rect class="band" x="{fresh_at:.1f}" y="6" width="{band:.1f}" height="30" rx="4"/>'
        '<line class="tl-grid" x1="{left:g}" x2="{right:g}" y1="21" y2="21"/>{marks}'
        '<text class="{fresh_kind}" x="{fresh_at:.1f}" y="51">{fresh}</text>{first}'
        '<text class="dots-end" x="{right:g}" y="51">{now}</text>'
    ).format(
        name=frame.named(label),
        marks=marks,
        name_at=frame.left - 12,
        left=frame.left,
        right=frame.left + frame.width,
        fresh_at=x(fresh),
        band=frame.left + frame.width - x(fresh),
        fresh=texts["fresh"],
        fresh_kind="tl-tick" if frame.left + frame.width - x(fresh) > FIGURE_END else "dots-end",
        now=texts["now"],
        first=Markup('<text class="tl-tick" x="{:.1f}" y="51">{}</text>').format(x(past[0]["ago"]), texts["first"])
        if first_fits
        else "",
    )
    return _figure("timeline dots", sheet, 56, label, drawn)


def strip(verdicts: Sequence[str], label: str) -> Markup:
    """A thin bar for each run, the newest at the right."""
    known = {"pass": "pass", "warn": "warn", "fail": "fail", "skip": "missing"}
    drawn = Markup("").join(
        Markup('<rect class="is-{}" x="{}" y="0" width="4" height="14"/>').format(
            known.get(verdict, "unknown"), 6 * number
        )
        for number, verdict in enumerate(verdicts)
    )
    width = max(6 * len(verdicts), 6)
    return Markup(
        '<svg class="bar strip" viewBox="0 0 {0} 14" width="{0}" height="14" preserveAspectRatio="none"'
        ' role="img" aria-label="{1}">{2}</svg>'
    ).format(width, label, drawn)


def nice_step(end: float, wanted: int = 6) -> float:
    """A round distance between ticks, so that about ``wanted`` of them reach ``end``."""
    rough = end / wanted
    magnitude = 10 ** math.floor(math.log10(rough))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
