# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of a check: each is a dataclass field whose parser reads what an operator writes, or says what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import convert, duration
from ansible_collections.slipway.ops.plugins.module_utils.net.address import bare_host, split_host_port

Parser = Callable[[Any], Any]


def option(parse: Parser, default: Any = MISSING, *, secret: bool = False) -> Any:
    """A field read by ``parse``. ``default`` is as an operator would write it; a ``secret`` never shows in output."""
    metadata = {"parse": parse, "secret": secret, "default": default}
    if default is MISSING or default is None:
        return field(default=default, metadata=metadata)
    return field(default_factory=lambda: parse(default), metadata=metadata)


def text(value: Any) -> str:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{value!r} is not a text")
    return _sendable(str(value))


def _sendable(words: str) -> str:
    """Refuses what no program, file name or server takes: a zero character, and half of a surrogate pair."""
    if re.search("[\0\ud800-\udfff]", words):
        raise ValueError(f"{words!r} has a character that cannot be sent")
    return words


def flag(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ValueError(f"{value!r} is not true or false")
    return words[str(value).lower()]


def seconds(value: Any) -> float:
    return duration(value)


def positive_seconds(value: Any) -> float:
    length = duration(value)
    if length <= 0:
        raise ValueError(f"{value!r} is too short; write more than 0 seconds")
    return length


def integer(low: int, high: int) -> Parser:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", str(value)) or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return int(value)

    return parse


port = integer(1, 65535)


def any_host(value: Any) -> str:
    return bare_host(text(value))


def any_address(value: Any) -> str:
    """A host, or host and port, to connect to."""
    split_host_port(text(value), 1)
    return str(value)


def number(low: float, high: float) -> Parser:
    def parse(value: Any) -> float:
        try:
            parsed = float(value)
        except (TypeError, ValueError, OverflowError):
            parsed = low - 1
        if isinstance(value, bool) or not low <= parsed <= high:
            raise ValueError(f"{value!r} is not a number from {low:g} to {high:g}")
        return parsed

    return parse


def choice(*allowed: str) -> Parser:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return parse


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts; one text alone is a list of one."""
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise ValueError("an empty list says nothing")
    return tuple(text(item) for item in values)


def arguments(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{value!r} is not a list of the program and its arguments, such as [pg_isready, -q]")
    return tuple(_sendable(str(item)) for item in value)


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a mapping of names to values")
    return {str(key): item for key, item in value.items()}


def text_mapping(value: Any) -> dict[str, str]:
    items = {_sendable(key): _sendable(str(item)) for key, item in mapping(value).items()}
    for key, item in items.items():
        if not key or re.search(r"[\r\n]", key + item):
            raise ValueError(f"{key!r}: line breaks are not allowed in names and values")
    return items


def pattern(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(str(value), re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error


def patterns(value: Any) -> dict[str, re.Pattern[str]]:
    return {key: pattern(item) for key, item in mapping(value).items()}


def absolute_path(value: Any) -> str:
    path = text(value)
    if not Path(path).is_absolute():
        raise ValueError(f"{value!r} is not an absolute path")
    return path


def limit_in(unit: str) -> Parser:
    """A limit whose values are in ``unit`` when it names none, and comparable with it when it does."""

    def parse(value: Any) -> Limit:
        limit = parse_limit(value)
        if isinstance(limit.value, str):
            raise ValueError(f"{value!r} is not a limit on a number")
        if not limit.unit:
            return replace(limit, unit=unit)
        convert(1, unit, limit.unit)
        return limit

    return parse


def any_limit(value: Any) -> Limit:
    return parse_limit(value)
