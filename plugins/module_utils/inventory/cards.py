# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A role's card, ``meta/card.yml``: what the role tells the rest of the house. Data whose texts may be templates."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Entry = dict[str, Any]

# What an entry of each list needs and may have, beside `when`: an entry whose `when` is false is not there.
ENTRIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "units": (("name",), ("id", "area", "severity", "missing", "check")),
    "ports": (("name", "port"), ("protocol", "from", "address")),
    "probes": (("name", "scheme", "port"), ("address",)),
    "metrics": (("job", "port"), ("path", "scheme", "address", "username", "password", "probes")),
    "logs": ((), ("path", "unit")),
}


class CardError(ValueError):
    """A card that makes no sense; the message names its role, the field, and what is allowed."""


@dataclass(frozen=True)
class Card:
    """What ``meta/card.yml`` says, as it is written.

    ``groups`` are the names of groups or hosts that the role serves; ``units`` what it runs, each of which is checked;
    ``ports``, ``metrics`` and ``logs`` where it is reached, measured and read; ``probes`` what is asked of it from
    outside, instead of its ports; ``engine`` the store that it keeps; ``vars`` what the templates of the card and its
    checks share.
    """

    role: str
    groups: Any
    units: list[Any] = field(default_factory=list)
    ports: list[Any] = field(default_factory=list)
    probes: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    engine: str = ""
    vars: dict[str, Any] = field(default_factory=dict)


def read_card(role: str, data: Any) -> Card:
    """The card that plain data describes."""
    known = [item.name for item in fields(Card) if item.name != "role"]
    if not isinstance(data, Mapping) or not data.get("groups"):
        raise CardError(f"the card of role {role} needs groups, a list of the groups whose hosts get the role")
    for name in data:
        if name not in known:
            raise CardError(f"the card of role {role} has no field {name}{_nearest(str(name), known)}")
    return Card(role, **data)


def serves(card: Card, groups: Any, names: Collection[str]) -> bool:
    """Whether one of the card's ``groups``, as they are once templated, is among ``names``."""
    if isinstance(groups, str) or not isinstance(groups, Sequence) or not all(isinstance(one, str) for one in groups):
        raise CardError(f"groups of the card of role {card.role} is {groups!r}, not a list of names")
    return not set(names).isdisjoint(groups)


def entries(card: Card, section: str, written: Iterable[Any]) -> list[Entry]:
    """The entries of a list of the card, once templated: complete, with its role, without those that are off."""
    found = []
    needed, allowed = ENTRIES[section]
    where = f"{section} of the card of role {card.role}"
    for entry in wanted(item if isinstance(item, Mapping) else {"name": item} for item in written):
        for name in entry:
            if name not in (*needed, *allowed):
                raise CardError(f"{where} have no {name}{_nearest(name, [*needed, *allowed, 'when'])}")
        missing = [name for name in needed if not entry.get(name)]
        if missing:
            raise CardError(f"{where}: {entry} needs {' and '.join(missing)}")
        found.append({"role": card.role} | entry)
    return found


def wanted(written: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """The entries whose ``when`` is not false, without it."""
    return [
        {name: value for name, value in entry.items() if name != "when"} for entry in written if entry.get("when", True)
    ]


def unit_checks(units: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """A check for each unit: it is active. Where ``check`` names another one, that looks at it."""
    return [_unit_check(unit) for unit in units if "check" not in unit]


def _unit_check(unit: Mapping[str, Any]) -> Entry:
    name = str(unit["name"])
    words = name.removesuffix(".service").replace("@", "-").replace(".", "-")
    check = {
        "id": unit.get("id") or f"{unit.get('area', 'infrastructure')}.{words}.runs",
        "kind": "systemd",
        "unit": name,
    }
    return check | {option: unit[option] for option in ("severity", "missing") if option in unit}


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; its fields are {', '.join(known)}"
