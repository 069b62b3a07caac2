# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The register of what is kept: where, for how long, and how it goes, by ``keeps.yml``."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.plugin_utils.documents.inventory import table, to_host
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import Block, Line, joined, plain
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import Host, System, value_of
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts, data

COLUMNS = ("kept", "personal", "where", "how_long", "deleted")


def register(system: System, texts: Texts, subject: str) -> list[Block]:
    """Hosts of which the same is to be told share a row."""
    found: dict[tuple[str, ...], list[str]] = {}
    for host in system.hosts.values():
        for entry, facts in _kept(host):
            told = tuple(texts.of(entry[column]).format_map(_Known(facts, texts)) for column in COLUMNS)
            found.setdefault(told, []).append(host.name)
    rows = [
        [plain(told[0]), joined([to_host(name) for name in hosts]), *map(plain, told[1:])]
        for told, hosts in found.items()
    ]
    return table(texts, ["kept", "hosts", *COLUMNS[1:]], rows)


def processing(system: System, texts: Texts, subject: str) -> list[Block]:
    """What only people know of the processing of personal data; what was not told says so."""
    columns = ["what", "purpose", "basis", "subjects", "recipients"]
    unsaid: Line = plain(texts["not_told"], state="missing")
    rows = [[plain(one[name]) if one.get(name) else unsaid for name in columns] for one in system.processing]
    return table(texts, columns, rows)


def variables() -> dict[str, str]:
    """The variables that the register tells, with their roles."""
    return {name: entry["role"] for entry in data("keeps.yml") for name in _names(entry)}


def _names(entry: Mapping[str, Any]) -> set[str]:
    texts = [text for column in COLUMNS for text in entry[column].values()]
    names = {name for text in texts for _before, name, _spec, _conversion in string.Formatter().parse(text) if name}
    own = {name for name in names if name.partition("[")[0] not in LISTS.values()}
    return own | _lists(entry) | {entry[word] for word in ("when", "unless") if word in entry}


def _lists(entry: Mapping[str, Any]) -> set[str]:
    return {entry["each"]} - {"services"} if "each" in entry else set()


# Lists of which each element is a row of its own, and how a text names it.
LISTS = {"services": "service", "pgbackrest_repositories": "repository", "restic_sources": "source"}


def _kept(host: Host) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    for entry in data("keeps.yml"):
        elsewhere = "groups" in entry and not {*entry["groups"]} & {*host.groups}
        if elsewhere or entry["role"] not in host.roles:
            continue
        facts = {name: value_of(host, entry["role"], name) for name in _names(entry)}
        if not _applies(entry, facts):
            continue
        for element in _elements(host, entry):
            yield entry, facts | element


def _applies(entry: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """By the variables of ``when`` and ``unless``. One that cannot be worked out from here is there."""
    given = {name: value is None or bool(value) for name, value in facts.items()}
    return given.get(entry.get("when", ""), True) and not given.get(entry.get("unless", ""), False)


def _elements(host: Host, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "each" not in entry:
        return [{}]
    if entry["each"] == "services":
        return [{"service": f"{one.name}/{volume.name}"} for one in host.services for volume in one.volumes]
    return [{LISTS[entry["each"]]: one} for one in host.values.get(entry["each"]) or []]


class _Known(dict[str, Any]):
    """Values by their names; one that nobody knows is told as that."""

    def __init__(self, facts: Mapping[str, Any], texts: Texts) -> None:
        super().__init__(facts)
        self.texts = texts

    def __getitem__(self, name: str) -> Any:
        value = super().get(name)
        return self.texts["not_known"] if value is None else value
