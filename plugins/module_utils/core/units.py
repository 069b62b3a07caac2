# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Durations, byte sizes and UCUM-style units: text to numbers, numbers to text, one unit to another."""

from __future__ import annotations

import math
import re
from fractions import Fraction

SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "wk": 604800.0,
}
BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
DECIMAL = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
BYTES = {"By": 1, "B": 1, **DECIMAL, **BINARY}
# Fractions of what is written: 300 ms is 0.3 s to the last digit.
_DIMENSIONS = {
    **{unit: ("time", Fraction(str(factor))) for unit, factor in SECONDS.items()},
    **{unit: ("bytes", Fraction(factor)) for unit, factor in BYTES.items()},
    **{"": ("ratio", Fraction(1)), "1": ("ratio", Fraction(1)), "%": ("ratio", Fraction("0.01"))},
}

# What people write beside the units: `m` is minutes in a duration, and a bare `M` is binary as in Docker and systemd.
_DURATION_WORDS = {**SECONDS, "m": 60.0, "w": 604800.0, "sec": 1.0, "hr": 3600.0, "day": 86400.0, "days": 86400.0}
_SIZE_WORDS = {
    **{name.lower(): factor for name, factor in BYTES.items()},
    **{name[0].lower(): factor for name, factor in BINARY.items()},
}
_PIECE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]+)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class UnitError(ValueError):
    """A text that is no duration, size or unit; the message says what would be."""


def duration(value: str | int | float) -> float:
    """Seconds in ``1h30m``, ``500 ms``, ``2.5 d``, ``90`` (a bare number is seconds)."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        text = f"{text}s"
    total, position = 0.0, 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None or piece[2] not in _DURATION_WORDS:
            break
        total += float(piece[1]) * _DURATION_WORDS[piece[2]]
        position = piece.end()
    if not text or position < len(text) or isinstance(value, bool) or math.isinf(total):
        raise UnitError(f"{value!r} is not a duration; write seconds or a text such as 500ms, 90s, 1h30m or 30d")
    return total


def to_duration(seconds: str | int | float) -> str:
    """The shortest exact text for seconds, down to a millisecond: ``1h30m``, ``2d``, ``1.5s``, ``250ms``, ``0s``."""
    milliseconds = round(_non_negative(seconds, "seconds") * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    pieces = []
    for name, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            pieces.append(f"{count}{name}")
    if milliseconds or not pieces:
        pieces.append(f"{milliseconds / 1000:g}s")
    return "".join(pieces)


def byte_size(value: str | int | float) -> int:
    """Bytes in ``256MiB``, ``1.5 GB``, ``512`` (a bare number is bytes); ``M`` alone is MiB, as in Docker."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return round(Fraction(text))
    piece = _PIECE.fullmatch(text)
    factor = _SIZE_WORDS.get(piece[2].lower()) if piece and not isinstance(value, bool) else None
    if piece is None or factor is None:
        raise UnitError(f"{value!r} is not a size; write bytes or a text such as 512kB, 256MiB or 2GiB")
    return round(Fraction(piece[1]) * factor)


def to_byte_size(size: str | int | float, decimal: bool = False) -> str:
    """Bytes as text in the largest unit that leaves at least 1, to two digits: ``256MiB``, ``1.5GiB`` (MB: decimal)."""
    number = _non_negative(size, "bytes")
    name, factor = "B", 1
    for candidate, bytes_in_it in (DECIMAL if decimal else BINARY).items():
        if number >= bytes_in_it:
            name, factor = candidate, bytes_in_it
    return f"{round(number / factor, 2):.15g}{name}"


def convert(value: float, unit: str, to: str) -> float:
    """A value of one unit in another of the same dimension, exactly: ``convert(0.5, "s", "ms") == 500``."""
    if unit == to:
        return value
    here, there = _dimension(unit), _dimension(to)
    if here is None or there is None or here[0] != there[0]:
        raise UnitError(f"a value in {unit!r} cannot be compared with one in {to!r}")
    if not math.isfinite(value):
        return value
    exact = Fraction(str(value)) * here[1] / there[1]
    return int(exact) if exact.denominator == 1 else float(exact)


def known(unit: str) -> bool:
    """Whether ``convert`` knows the unit: times, bytes, ``%``, ``1``, annotations ``{…}``, any of them per time."""
    return _dimension(unit) is not None


def _dimension(unit: str) -> tuple[str, Fraction] | None:
    """The unit's dimension and how many base units one of it is, or None for an unknown unit."""
    above, slash, below = unit.partition("/")
    if not slash:
        return ("ratio", Fraction(1)) if re.fullmatch(r"\{[^{}]*\}", unit) else _DIMENSIONS.get(unit)
    numerator, denominator = _dimension(above or "1"), _dimension(below)
    if numerator is None or denominator is None or denominator[0] != "time":
        return None
    return f"{numerator[0]} per time", numerator[1] / denominator[1]


def _non_negative(value: str | int | float, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf") or isinstance(value, bool):
        raise UnitError(f"{value!r} is not a number of {what}")
    return number
