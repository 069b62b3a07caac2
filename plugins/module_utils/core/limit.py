# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Limits: the comparison that a measured value must satisfy, written as ``< 500 ms``, ``>= 30 d`` or ``= running``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.core.units import convert, known

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LIMIT = re.compile(r"\s*(<=|>=|!=|==|<|>|=)\s*([^\s<>=!](?:.*\S)?)\s*")
_NUMBER = r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:e[+-]?[0-9]{1,2})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*(\S*)", re.IGNORECASE)
# What computing with fractions loses: three times 0.1 is 0.3. Whole numbers lose nothing and differ by 1 or not at all.
_LOST = 1e-15
_DIGITS = 4


class LimitError(ValueError):
    """A text that is no limit; the message says what would be."""


@dataclass(frozen=True)
class Limit:
    """``operator`` is one of ``< <= > >= = !=``; ``value`` a number in ``unit`` (empty: none given) or a text.

    ``written`` is the number as it was written: a text is equal to that alone, for version 1.1 is not 1.10.
    """

    operator: str
    value: float | str
    unit: str = ""
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.bare if self.unit in ("", "1") else f"{self.bare} {self.unit}"

    @property
    def bare(self) -> str:
        """The comparison without its unit, as results keep it: ``< 500``."""
        return f"{self.operator} {self._text}"

    @property
    def _text(self) -> str:
        if isinstance(self.value, (str, int)):
            return self.written or str(self.value)
        return self.written or format(self.value, ".15g")

    def measured(self, value: float, unit: str) -> float:
        """The value in this limit's unit (unchanged when the limit has none); UnitError when the two do not compare."""
        return convert(value, unit, self.unit) if self.unit else value

    def shown(self, value: float, unit: str) -> float | int | str:
        """The value in this limit's unit as results keep it, rounded unless that would say another verdict.

        Not a number and infinities, which JSON has not, are texts.
        """
        value = self.measured(_bounded(value), unit)
        if not math.isfinite(value):
            return str(value)
        if float(value).is_integer():
            return int(value)
        rounded = round(value, _DIGITS)
        return rounded if self.satisfied(rounded) == self.satisfied(value) else value

    def satisfied(self, value: float | int | str | None, unit: str = "") -> bool:
        """Whether a measured value keeps to the limit; nothing measured never does.

        ``unit`` is the value's; when it is empty the value is in the limit's own unit.
        """
        if value is None:
            return False
        number, wanted = _number(value), self.value
        if self.operator in _ORDER:
            return (
                number is not None
                and not isinstance(wanted, str)
                and _ORDER[self.operator](self._own(number, unit), wanted)
            )
        if isinstance(wanted, str) or number is None or (isinstance(value, str) and unit in ("", "1")):
            equal = str(value).strip() == self._text
        elif math.isnan(number):
            return False
        else:
            equal = _equal(self._own(number, unit), wanted)
        return equal == (self.operator == "=")

    def _own(self, number: float, unit: str) -> float:
        return self.measured(number, unit) if unit else number


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
        return Limit(comparison, _exact(quantity[1]), quantity[2], quantity[1])
    if comparison in _ORDER:
        raise LimitError(
            f"{text!r} is not a limit: {match[2]!r} is no number with a known unit"
            " (ms s min h d, By kB MB GB KiB MiB GiB, %, 1, 1/s …)"
        )
    return Limit(comparison, match[2])


def _number(value: float | str) -> float | None:
    """The number that a measured value is, or None for a text that is none."""
    if isinstance(value, str):
        return _exact(value.strip()) if re.fullmatch(_NUMBER, value.strip(), re.IGNORECASE) else None
    return _bounded(value)


def _bounded(value: float) -> float:
    """The value; infinity for an integer beyond every float."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return math.inf if value > 0 else -math.inf
    return value


def _exact(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _equal(number: float, wanted: float) -> bool:
    if number == wanted or (float(number).is_integer() and float(wanted).is_integer()):
        return number == wanted
    return math.isclose(number, wanted, rel_tol=_LOST)
