# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The words of readiness: codes and numbers to sentences in the language of the report."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.limit import LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration

STRINGS = Path(__file__).with_name("strings.yml")
LONG = 600  # seconds from which they are no longer counted
SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@functools.cache
def strings() -> dict[str, dict[str, Any]]:
    """All texts, by language."""
    return yaml.safe_load(STRINGS.read_text(encoding="utf-8"))


class Words:
    """The texts of one language; ``words["title"]`` and ``words("proven_of", n=3, of=4)``."""

    def __init__(self, language: str) -> None:
        if language not in strings():
            raise ValueError(f"the report has no language {language!r}; it has {', '.join(strings())}")
        self.language = language
        self._texts = strings()[language]

    def __getitem__(self, key: str) -> Any:
        return self._texts[key]

    def __call__(self, key: str, **facts: Any) -> str:
        return _filled(self._texts[key], facts)

    def title(self, requirement: Mapping[str, Any]) -> str:
        """The requirement's title in this language, or in the one that every title has."""
        return requirement["title"].get(self.language) or requirement["title"]["en"]

    def span(self, seconds: float) -> str:
        """A duration to one unit, rounded down: ``3 hours``."""
        for unit, size in SPANS:
            if seconds >= size:
                return _filled(self._texts["span"][unit], {"n": int(seconds // size)})
        return _filled(self._texts["span"]["s"], {"n": 0})

    def ago(self, seconds: float | None) -> str:
        """How long ago something was."""
        if seconds is None:
            return "—"
        return self("just_now") if seconds < 1 else self("ago", span=self.span(seconds))

    def reason(self, reason: Mapping[str, Any]) -> str:
        """The sentence of a reason's code, with the subject before it where there is one."""
        facts = dict(reason["facts"])
        if "limit" in facts:
            facts["limit"] = bound(facts["limit"], facts.get("unit"))
        if "measured" in facts:
            facts["value"] = quantity(facts["measured"], facts.get("unit", ""))
        for name in ("age", "max_age"):
            if name in facts:
                facts[name] = self.span(facts[name])
        if "under" in facts:
            facts["under"] = self.reason(facts["under"])
        text = _filled(self._texts["reasons"][reason["code"]], facts)
        return f"{reason['subject']}: {text}" if reason.get("subject") else text

    def localised(self, assessment: Mapping[str, Any]) -> dict[str, Any]:
        """The assessment with a ``text`` in every reason."""
        return _with_texts(assessment, self)


def quantity(value: Any, unit: str | None) -> str:
    """A measured value as people write it: ``1.84 s``, ``71 %``, ``256MiB``."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    if unit in ("By", "B") and value >= 0:
        return to_byte_size(value)
    if unit == "s" and value >= LONG:
        return brief(value)
    number = f"{value:,.15g}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}"
    return number if unit in (None, "", "1") else f"{number} {unit}"


def bound(limit: str, unit: str | None) -> str:
    """A limit as people write it: one that names no unit is in that of what was measured."""
    try:
        parsed = parse_limit(limit)
    except LimitError:
        return str(limit)
    bare = isinstance(parsed.value, (int, float)) and not parsed.unit and unit not in (None, "", "1")
    return f"{limit} {unit}" if bare else str(limit)


def columns(text: str) -> int:
    """How many columns a text takes: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def brief(seconds: float) -> str:
    """A duration as short as it may be told: ``4.2s``, ``3m25s``, ``24h``, ``1h12m``, ``3d4h``."""
    if 3600 <= seconds < 2 * 86400:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    step = 3600 if seconds >= 86400 else 1 if seconds >= 10 else 0.1
    return to_duration(round(seconds / step) * step)


def _filled(text: str | list[str], facts: Mapping[str, Any]) -> str:
    if isinstance(text, list):
        text = text[0 if facts.get("n") == 1 else 1]
    return text.format(**facts)


def _with_texts(value: Any, words: Words) -> Any:
    if isinstance(value, Mapping):
        filled = {name: _with_texts(item, words) for name, item in value.items()}
        return {**filled, "text": words.reason(value)} if value.get("code") and "facts" in value else filled
    if isinstance(value, list):
        return [_with_texts(item, words) for item in value]
    return value
