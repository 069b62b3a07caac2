# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The readiness verdict for a terminal or a job's log: at most 80 columns of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import parse_time
from ansible_collections.slipway.ops.plugins.module_utils.readiness.verdict import SATISFIED
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness import data
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, columns

WIDTH = 80
BAR = 24
SHOWN_REASONS = 3


def summary(
    assessment: Mapping[str, Any], words: Words, sentence: str, damaged: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """The lines: the verdict, a bar per tier and area, what is not satisfied, with reasons, and what is damaged."""
    scores = [(words["tiers"][tier], score) for tier, score in assessment["tiers"].items() if score["total"]]
    areas = [(words["areas"][area], score) for area, score in assessment["areas"].items()]
    widest = max(columns(name) for name, _ in [*scores, *areas])
    lines = [f"{assessment['verdict']}: {sentence}", ""]
    lines += [_bar_line(name, score, widest, words) for name, score in scores]
    lines += ["", *(_bar_line(name, score, widest, words) for name, score in areas)]
    lines += _data_lines(assessment, words)
    open_ones = [one for one in assessment["requirements"] if one["state"] not in SATISFIED]
    for one in sorted(open_ones, key=lambda one: (one["tier"], not one["blocking"])):
        lines += ["", *_requirement_lines(one, words)]
    if damaged:
        where = ", ".join(f"{one['file']}:{one['offset']}" for one in damaged[:SHOWN_REASONS])
        lines += ["", *wrapped(f"! {words('damaged', n=len(damaged))}: {where}", "  ")]
    return lines


def _data_lines(assessment: Mapping[str, Any], words: Words) -> list[str]:
    """What a restore takes, in two lines for each thing that is backed up."""
    findings = [finding for one in assessment["requirements"] for finding in one["evidence"] if finding["record"]]
    limits = {one["id"]: one["limit"] for one in assessment["requirements"]}
    now = parse_time(assessment["at"])
    found = data.stored([finding["record"] for finding in findings], limits=limits)
    told = [line for one in found for text in data.sentences(one, now, words) for line in wrapped(text, "  ")]
    return ["", *told] if told else []


def _bar_line(name: str, score: Mapping[str, Any], widest: int, words: Words) -> str:
    padded = name + " " * (widest - columns(name))
    if score["percent"] is None:
        return f"  {padded}  {words['nothing']}"
    filled = score["percent"] * BAR // 100
    bar = "█" * filled + "░" * (BAR - filled)
    return f"  {padded}  {bar} {score['percent']:>3} %  {words('proven_of', n=score['proven'], of=score['applicable'])}"


def _requirement_lines(one: Mapping[str, Any], words: Words) -> list[str]:
    mark = "✗" if one["blocking"] else "·"
    head = f"{mark} [{words['tiers'][str(one['tier'])]}] {words.title(one)}: {words['states'][one['state']]}"
    lines = [*wrapped(head, "  "), f"    {one['id']}"]
    for reason in one["reasons"][:SHOWN_REASONS]:
        lines += wrapped(words.reason(reason), "    ")
    if len(one["reasons"]) > SHOWN_REASONS:
        lines.append(f"    + {len(one['reasons']) - SHOWN_REASONS}")
    return lines


def wrapped(text: str, indent: str) -> Sequence[str]:
    """A text in lines that fit, whatever its letters' width, without control characters of a program's output."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    wide = columns(clean) / max(len(clean), 1)
    return textwrap.wrap(clean, int(WIDTH / wide), initial_indent=indent, subsequent_indent=indent + "  ") or [indent]
