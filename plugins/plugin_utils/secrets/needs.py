# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which secrets an inventory needs: the variables ``vault_*`` that its templates name, and where their values go."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

PREFIX = "vault_"
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)")
_DOES_WITHOUT = r"\|\s*(?:ansible\.builtin\.)?d(?:efault)?\b|is\s+(?:not\s+)?(?:un)?defined"
_OPTIONAL = re.compile(rf"(?<![\w.])(\w+)\s*(?:{_DOES_WITHOUT})")
_MAGIC = {"ansible_play_hosts", "group_names", "groups", "hostvars", "omit", "play_hosts", "secrets_register", "vars"}

Hosts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Kind:
    """What a value is, by its places; see ``kinds.yml``."""

    places: tuple[str, ...] = ()
    kind: str = "password"
    fixed: str = ""
    wanted: str = ""

    def fits(self, used: Collection[str]) -> bool:
        return any(fnmatchcase(place, pattern) for place in used for pattern in self.places)


@dataclass
class Need:
    """A secret by its name: the places that its value goes to, and the hosts that cannot do without."""

    name: str
    used: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)  # of the hosts, those that do not have it

    def kind(self, kinds: Collection[Kind], given: Collection[str] = ()) -> Kind:
        found = next((one for one in kinds if one.fits(self.used)), Kind())
        return Kind(kind="given") if self.name in given and found.kind != "given" else found


def read_kinds() -> tuple[Kind, ...]:
    entries = yaml.safe_load(Path(__file__).with_name("kinds.yml").read_text(encoding="utf-8"))
    return tuple(Kind(**entry | {"places": tuple(entry["places"])}) for entry in entries)


def needs(
    hosts: Hosts, groups: Mapping[str, Collection[str]], kinds: Collection[Kind], options: Collection[str] = ()
) -> dict[str, Need]:
    """By name. ``hosts`` are the variables of each as the inventory has them, templates and all; ``options`` are names
    that roles read themselves: what they hold is where a value ends, and through other variables it passes on."""
    found: dict[str, Need] = {}
    for host, variables in hosts.items():
        for name, place, optional in _uses(variables, options):
            need = found.setdefault(name, Need(name))
            need.used.add(place)
            if not optional:
                need.hosts.add(host)
                if name not in variables:
                    need.without.add(host)
    for kind in kinds:
        for host in groups.get(kind.wanted, ()):
            if host in hosts and not hosts[host].get(kind.places[0]):
                need = found.setdefault(kind.places[0], Need(kind.places[0], {kind.places[0]}))
                need.hosts.add(host)
                need.without.add(host)
    return found


def _uses(variables: Mapping[str, Any], options: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    """Name of a secret, the place in which it is used, and whether the template does without it."""
    for top, value in variables.items():
        if top not in _MAGIC and not top.startswith(PREFIX):
            for place, text in _texts(top, value):
                for name, optional in _reached(text, variables, options, frozenset([top])):
                    yield f"{name}", f"{place}", optional  # plain text, without Ansible's tags


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if "{" in value:
            yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(f"{place}.{key}", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(f"{place}[]", item)


def _reached(
    text: str, variables: Mapping[str, Any], options: Collection[str], passed: frozenset[str]
) -> Iterator[tuple[str, bool]]:
    for expression in _EXPRESSION.findall(text):
        bare = _TEXT.sub("''", expression)
        optional = set(_OPTIONAL.findall(bare))
        for name in dict.fromkeys(_NAME.findall(bare)):
            if name.startswith(PREFIX):
                yield name, name in optional
            elif name in variables and name not in passed and name not in options and name not in _MAGIC:
                for _, inner in _texts(name, variables[name]):
                    yield from _reached(inner, variables, options, passed | {name})
