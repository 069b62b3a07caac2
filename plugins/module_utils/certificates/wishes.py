# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What cannot be meant of a list of certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def certificate_problems(certificates: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence each; empty when nothing is wrong that types cannot say."""
    return [f"certificate_list: {item['name']}: {problem}" for item in certificates for problem in _problems(item)]


def _problems(item: Mapping[str, Any]) -> Iterator[str]:
    source, names = item.get("source", "internal"), item.get("names") or []
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
