# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Limits: the comparison that a measured value must satisfy, written as ``< 500 ms``, ``>= 30 d`` or ``= running``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.units import convert, known

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LIMIT = re.compile(r"\s*(<=|>=|!=|==|<|>|=)\s*([^\s<>=!](?:.*\S)?)\s*")
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(\S*)", re.IGNORECASE)


class LimitError(ValueError):
    """A text that is no limit; the message says what would be."""


@dataclass(frozen=True)
class Limit:
    """``operator`` is one of ``< <= > >= = !=``; ``value`` a number in ``unit`` (empty: none given) or a text."""

    operator: str
    value: float | str
    unit: str = ""

    def __str__(self) -> str:
        return self.bare if self.unit in ("", "1") else f"{self.bare} {self.unit}"

    @property
    def bare(self) -> str:
        """The comparison without its unit, as results keep it: ``< 500``."""
        return f"{self.operator} {self.value if isinstance(self.value, str) else format(self.value, '.15g')}"

    def measured(self, value: float, unit: str) -> float:
        """The value in this limit's unit (unchanged when the limit has none); UnitError when the two do not compare."""
        return convert(value, unit, self.unit) if self.unit else value

    def satisfied(self, value: float | int | str | None, unit: str = "") -> bool:
        """Whether a measured value keeps to the limit; nothing measured never does.

        ``unit`` is the value's; when it is empty the value is in the limit's own unit.
        """
        if value is None:
            return False
        if isinstance(self.value, str):
            return (str(value) == self.value) == (self.operator == "=")
        try:
            number = float(value)
        except ValueError:
            return self.operator == "!="
        if math.isnan(number):
            return False
        if unit:
            number = self.measured(number, unit)
        if self.operator in _ORDER:
            return _ORDER[self.operator](number, self.value)
        return math.isclose(number, self.value, rel_tol=1e-9) == (self.operator == "=")


def parse_limit(text: str) -> Limit:
    """The limit in a text such as ``< 500 ms``, ``>= 99.9 %``, ``= 200``, ``!= maintenance``; else LimitError."""
    match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise LimitError(
            f"{text!r} is not a limit; write an operator (< <= > >= = !=) and a value, such as < 500 ms or = 200"
        )
    comparison = "=" if match[1] == "==" else match[1]
    quantity = _QUANTITY.fullmatch(match[2])
    if quantity and (not quantity[2] or known(quantity[2])):
        return Limit(comparison, float(quantity[1]), quantity[2])
    if comparison in _ORDER:
        raise LimitError(
            f"{text!r} is not a limit: {match[2]!r} is no number with a known unit"
            " (ms s min h d, By kB MB GB KiB MiB GiB, %, 1, 1/s …)"
        )
    return Limit(comparison, match[2])
