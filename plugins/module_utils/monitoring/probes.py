# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what roles have others ask of them, and URLs of an inventory, to what a blackbox exporter is asked to probe."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.slipway.ops.plugins.module_utils.monitoring.scrape import is_loopback
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, join_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import Inventory

Entry = Mapping[str, Any]
USUAL = {"http": 80, "https": 443}
KINDS = {"http": "site", "https": "site", "tcp": "port", "tls": "tls"}


class ProbeError(ValueError):
    """A URL that nothing can be probed by; the message says what would be."""


@dataclass(frozen=True)
class Probe:
    """``instance`` is the name of what is probed, ``target`` where it is asked, ``hostname`` whom it is asked for.

    ``kind`` is the exporter's module: ``site`` is HTTP, ``port`` a connection, ``tls`` one with a certificate.
    """

    host: str
    kind: str
    instance: str
    target: str
    hostname: str = ""

    @property
    def has_certificate(self) -> bool:
        return self.kind == "tls" or self.target.startswith("https:")


@dataclass(frozen=True)
class Watcher:
    """The host that probes, with the groups of its inventory, its own ``urls``, and what it leaves out by instance."""

    host: str
    groups: Mapping[str, Sequence[str]]
    urls: Sequence[str] = ()
    skip: Sequence[str] = ()


def probes(entries: Iterable[Entry], watcher: Watcher) -> list[Probe]:
    """What is probed: sites, and those ports of other hosts that the watcher is among those who come to."""
    return [one for one in _all(entries, watcher) if one.instance not in watcher.skip]


def problems(entries: Iterable[Entry], watcher: Watcher) -> Iterator[str]:
    """What cannot be meant, one sentence each."""
    try:
        known = [one.instance for one in _all(entries, watcher)]
    except ProbeError as error:
        yield str(error)
        return
    for name in watcher.skip:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            yield f"blackbox_exporter_skip names {name}, which is not probed" + (
                f"; did you mean {close[0]}?" if close else ""
            )
    if not set(known) - set(watcher.skip):
        yield (
            f"{watcher.host} has nothing to probe: no site of nginx_sites, no port that it comes to, and nothing in "
            "blackbox_exporter_urls. Give it a URL there, or take the host out of group blackbox_exporter"
        )


def _all(entries: Iterable[Entry], watcher: Watcher) -> list[Probe]:
    inventory = Inventory(watcher.groups, lambda _: ())
    found = [
        _of_site(entry) if "scheme" in entry else _of_port(entry)
        for entry in entries
        if _asked(entry, watcher, inventory)
    ]
    return list(dict.fromkeys([*found, *(_of_url(url, watcher.host) for url in watcher.urls)]))


def _asked(entry: Entry, watcher: Watcher, inventory: Inventory) -> bool:
    away = entry["host"] != watcher.host
    if "scheme" in entry:
        return not (away and is_loopback(_address(entry)))
    others = inventory.find(entry.get("from") or ())
    return (
        away
        and not is_loopback(_address(entry))
        and (others.anywhere or watcher.host in others.hosts)
        and entry.get("protocol", "tcp") == "tcp"
        and str(entry["port"]).isdigit()  # of a range, nobody knows who listens
    )


def _of_site(entry: Entry) -> Probe:
    scheme, port = str(entry["scheme"]), int(entry["port"])
    there = _address(entry) if is_loopback(_address(entry)) else str(entry["reached_at"])
    name = str(entry["name"]) if port == USUAL.get(scheme) else join_host_port(str(entry["name"]), port)
    target = f"{scheme}://{join_host_port(there, port)}/"
    return Probe(str(entry["host"]), KINDS[scheme], f"{scheme}://{name}", target, str(entry["name"]))


def _of_port(entry: Entry) -> Probe:
    target = join_host_port(str(entry["reached_at"]), str(entry["port"]))
    return Probe(str(entry["host"]), KINDS["tcp"], f"tcp://{target}", target)


def _of_url(url: str, host: str) -> Probe:
    usable = (
        f"blackbox_exporter_urls has {url}: write such as https://shop.example.com/, tcp://db1:5432 or tls://db1:6380"
    )
    try:
        parts = urlsplit(url)
        kind, there = (
            KINDS[parts.scheme],
            join_host_port(parts.hostname or "", parts.port or USUAL.get(parts.scheme, 0)),
        )
    except (AddressError, KeyError, ValueError) as error:
        raise ProbeError(usable) from error
    if not parts.hostname or parts.username or (kind != "site" and url != f"{parts.scheme}://{there}"):
        raise ProbeError(usable)
    return Probe(host, kind, url, url if kind == "site" else there)


def _address(entry: Entry) -> str:
    return str(entry.get("address") or "")
