# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What cannot be meant of a list of certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_OTHERS = 0o007


def key_mode(written: object) -> int:
    """The mode of a key as somebody wrote it; raises ValueError. 0640 without quotes is the number 416 in YAML, and
    which number was meant cannot be told from it any more."""
    if not isinstance(written, str):
        raise ValueError(f"mode {written!r} is a number; write octal digits in quotes, '0640'")
    if not re.fullmatch("0?[0-7]{3}", written):
        raise ValueError(f"mode is {written!r}; write three octal digits, such as '0640'")
    mode = int(written, 8)
    if mode & _OTHERS:
        raise ValueError(f"mode {written!r} has others use the private key; give it an owner or a group instead")
    return mode


def certificate_problems(certificates: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence each; empty when nothing is wrong that types cannot say."""
    return [f"certificate_list: {item['name']}: {problem}" for item in certificates for problem in _problems(item)]


def _problems(item: Mapping[str, Any]) -> Iterator[str]:
    source, names = item.get("source", "internal"), item.get("names") or []
    try:
        key_mode("0600" if item.get("mode") is None else item["mode"])
    except ValueError as error:
        yield str(error)
    if source != "acme":
        for option in ("profile", "dns"):
            if item.get(option):
                yield f"{option} is for source acme, and does nothing with {source}"
        return
    if not names:
        yield "source acme needs at least one of names"
    if not item.get("dns"):
        for name in names:
            if str(name).startswith("*."):
                yield f"{name} can be proven by a record of its zone only; it needs dns"
