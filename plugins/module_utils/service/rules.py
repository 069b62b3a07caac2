# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a value of the inventory has to be: a rule reads one kind of value, or tells what is wanted in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a variable: where in it, and what is wanted there."""

    variable: str
    path: str
    told: str

    def __str__(self) -> str:
        return f"{self.variable}{self.path}{self.told}."


@dataclass(frozen=True)
class Place:
    """Where a value stands in a variable, and what is wrong with it; a ``hidden`` one is never shown."""

    variable: str
    path: str = ""
    hidden: bool = False
    problems: list[Problem] = field(default_factory=list)

    def at(self, step: str, hidden: bool = False) -> Place:
        """A place below; its problems are told with those of this one."""
        return replace(self, path=self.path + step, hidden=self.hidden or hidden)

    def tell(self, told: str) -> None:
        """Notes a problem, as a clause without a full stop."""
        self.problems.append(Problem(self.variable, self.path, f": {told}"))

    def is_not(self, value: str, wanted: str = "") -> None:
        """Notes that something else is wanted here; both as words."""
        more = f", wanted is {wanted}" if wanted else ""
        self.problems.append(Problem(self.variable, self.path, f" is {value}{more}"))

    def refuse(self, value: Any, wanted: str) -> None:
        """Notes that something else is wanted here."""
        self.is_not(_kind(value) if self.hidden else _shown(value), wanted)


class Rule(Protocol):
    """Reads a value; what cannot be read is told at its place, and the result is of no use."""

    @property
    def wanted(self) -> str:
        """What a value has to be, with its article."""

    def read(self, value: Any, place: Place) -> Any:
        """The value as plain data."""


@dataclass(frozen=True)
class Text:
    """Text of a form. Numbers are text as well: nobody quotes every one."""

    wanted: str = "text"
    form: str = r"[^\0]*"

    def read(self, value: Any, place: Place) -> str:
        """The text."""
        if is_text(value) and re.fullmatch(self.form, str(value)):
            return str(value)
        place.refuse(value, self.wanted)
        return ""


@dataclass(frozen=True)
class Quoted(Text):
    """Text of a form that YAML may take for a number: it reads 33:33 as 2013, in base 60."""

    def read(self, value: Any, place: Place) -> str:
        """The text."""
        if is_text(value) and not isinstance(value, str):
            place.refuse(value, f"{self.wanted}, in quotes")
            return ""
        return super().read(value, place)


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        """The words."""
        return " or ".join(self.words)

    def read(self, value: Any, place: Place) -> str:
        """The word."""
        if str(value) not in self.words:
            place.refuse(value, self.wanted)
        return str(value)


@dataclass(frozen=True)
class Number:
    """A number within bounds, as ``kind``: of an integer only whole ones."""

    kind: type[int] | type[float]
    least: int
    most: int | None = None

    @property
    def wanted(self) -> str:
        """The bounds."""
        noun = "a whole number" if self.kind is int else "a number"
        return f"{noun} of at least {self.least}" if self.most is None else f"{noun} from {self.least} to {self.most}"

    def read(self, value: Any, place: Place) -> int | float:
        """The number; a template may have made it text."""
        form = r"-?\d{1,15}" if self.kind is int else r"-?\d{1,15}(\.\d*)?|\.\d+"
        if is_text(value) and re.fullmatch(form, str(value)):
            number = self.kind(str(value))
            if self.least <= number and (self.most is None or number <= self.most):
                return number
        place.refuse(value, self.wanted)
        return self.least


@dataclass(frozen=True)
class Truth:
    """True or false, also in YAML's older words, which a template gives as text."""

    wanted: str = "true or false"

    def read(self, value: Any, place: Place) -> bool:
        """Which of both."""
        word = str(value).lower()
        if word not in ("true", "yes", "on", "false", "no", "off"):
            place.refuse(value, self.wanted)
        return word in ("true", "yes", "on")


@dataclass(frozen=True)
class Content:
    """Anything as the text that a program reads: lists and mappings as JSON, nothing as empty text."""

    wanted: str = "text"

    def read(self, value: Any, place: Place) -> str:
        """The text."""
        text = as_text(value)
        if "\0" in text:
            place.refuse("text with a zero byte", self.wanted)
        return text


@dataclass(frozen=True)
class Anything:
    """Data that somebody else judges."""

    wanted: str = "anything"

    def read(self, value: Any, place: Place) -> Any:
        """The same as plain data."""
        return plain(value)


def is_text(value: Any) -> bool:
    """Whether a value is text or a number, also one that Ansible has decrypted."""
    return isinstance(value, str) or not (value is None or isinstance(value, (bool, bytes, Mapping, Sequence)))


def as_text(value: Any) -> str:
    """A value as a program reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if is_text(value):
        return str(value)
    return json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False, default=str)


def plain(value: Any) -> Any:
    """Plain data: what a template gives is of Ansible's own types, which can be neither copied nor written as YAML."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (str, int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    if value is None:
        return "nothing"
    return "text" if isinstance(value, str) else "a number"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = repr(str(value))
        return text if len(text) <= 60 else f"{text[:56]}…'"
    return str(value) if isinstance(value, (int, float)) else _kind(value)
