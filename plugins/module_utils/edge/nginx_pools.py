# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`nginx_pool_tls`: pools that nginx speaks TLS with, and what cannot be meant of them.

TLS belongs to a pool rather than to a location: locations share a pool's connections, and what one has verified would
count for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.names import HostNameError, ascii_name, is_address

SYSTEM = "/etc/ssl/certs/ca-certificates.crt"
"""Authorities of a pool that names none. nginx reads them when it loads its configuration."""
Pools = Sequence[Mapping[str, Any]]


def pool_tls_problems(pools: Pools, sites: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with `nginx_pool_tls`, one sentence each."""
    asked = {location["pool"] for site in sites for location in site["locations"] if location.get("pool")}
    return list(_problems(pools, asked))


def _problems(pools: Pools, asked: set[str]) -> Iterator[str]:
    seen: set[str] = set()
    for entry in pools:
        pool = str(entry["pool"])
        if pool in seen:
            yield f"{pool} is there twice"
        seen.add(pool)
        if pool not in asked:
            yield f"{pool} is the pool of no location"
        yield from (f"{pool}: {problem}" for problem in _name_problems(str(entry["name"])))
        given = {option for option, value in (entry.get("certificate") or {}).items() if value}
        if given and given not in ({"name"}, {"fullchain", "key"}):
            yield f"{pool}: certificate needs either name, or fullchain and key"


def _name_problems(name: str) -> Iterator[str]:
    if is_address(name) or name.startswith("*"):
        yield f"the name is {name}, and nginx compares one host name with those of the certificate"
        return
    try:
        ascii_name(name)
    except HostNameError as error:
        yield str(error)


def pool_tls_files(pools: Pools, directory: str) -> list[str]:
    """The files of certificates that nginx reads for them; `directory` has those that have a name."""
    files = [str(entry.get("ca") or SYSTEM) for entry in pools]
    for entry in pools:
        files += client_certificate(entry, directory)
    return list(dict.fromkeys(files))


def client_certificate(entry: Mapping[str, Any], directory: str) -> list[str]:
    """The certificate and the key that nginx shows to a pool; nothing when it shows none."""
    given = entry.get("certificate") or {}
    if given.get("name"):
        return [f"{directory}/{given['name']}/{file}" for file in ("fullchain.pem", "key.pem")]
    return [str(given["fullchain"]), str(given["key"])] if given else []
