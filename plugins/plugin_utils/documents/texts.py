# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts of the documents in one language; those of verdicts and spans are the reports'."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words

LANGUAGES = {"en": "English", "ko": "한국어"}


@cache
def _data(name: str) -> Any:
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))


class Texts:
    """``texts["index"]``, ``texts("proof", count=3, ago=…)``, and ``texts.of({en: …, ko: …})``."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"there are no documents in language {language!r}; there are in {', '.join(LANGUAGES)}")
        self.language = language
        self.words = Words(language)

    def __getitem__(self, key: str) -> Any:
        return self._chosen(_data("words.yml")[key])

    def __call__(self, key: str, **facts: Any) -> str:
        return str(self[key]).format(**facts)

    def of(self, text: Any) -> str:
        """A text in this language; one that is no mapping is the same in all."""
        if isinstance(text, Mapping) and set(text) != set(LANGUAGES):
            raise ValueError(f"{dict(text)} is not a text in {' and '.join(LANGUAGES)}")
        return str(self._chosen(text))

    def column(self, name: str) -> str:
        return str(self["columns"][name])

    def alert(self, name: str) -> Mapping[str, str]:
        """An alert's own texts in this language; none in that in which roles write them."""
        return (_data("alerts.yml") or {}).get(name, {}) if self.language != "en" else {}

    def _chosen(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if set(value) == set(LANGUAGES):
            return value[self.language]
        return {name: self._chosen(one) for name, one in value.items()}


def data(name: str) -> Any:
    """What a file beside this one says."""
    return _data(name)
