# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the probing requests of a release go: to the service itself, as its users reach it, on each edge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_access import not_for_all
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import site_host
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service

_LOOPBACK = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}  # noqa: S104


@dataclass(frozen=True)
class Nginx:
    """The edge's nginx, as its role's variables say."""

    sites: Sequence[Mapping[str, Any]] = ()
    http_port: int = 80
    https_port: int = 443
    addresses: Sequence[str] = field(default_factory=lambda: ["*"])


@dataclass(frozen=True)
class Probe:
    """The prober's options that say where: two URLs, and where to connect instead of asking for the name's address; and
    what the body of its POSTs is called: a web application firewall refuses one that is not what it says."""

    url: str
    post_url: str
    address: str = ""
    content_type: str = "application/json"

    def as_dict(self) -> dict[str, str]:
        """Plain data for playbooks."""
        return asdict(self)


def pool_url(pools: Sequence[Mapping[str, Any]], name: str) -> str:
    """Where HAProxy's frontend of a pool answers on its own host; empty when there is no such pool."""
    bind = next((str(pool["bind"]) for pool in pools if pool["name"] == name), "")
    if not bind:
        return ""
    host, _, port = bind.rpartition(":")
    return f"http://{_LOOPBACK.get(host, host)}:{port}"


def probe(service: Service, pools: Sequence[Mapping[str, Any]], nginx: Nginx) -> Probe:
    """``watch.url`` of the service, else the site of nginx that leads to its pool, else the pool's own frontend."""
    watch = service.watch
    here = _LOOPBACK.get(str(nginx.addresses[0]), str(nginx.addresses[0])) if nginx.addresses else "127.0.0.1"
    base, address = watch.url.rstrip("/"), here
    if not base:
        base = _site_url(nginx, _bind(pools, service.name), [watch.path, watch.post_path or watch.path])
    if not base:
        base, address = pool_url(pools, service.name), ""
    return Probe(f"{base}{watch.path}", f"{base}{watch.post_path}", address, _type_of(watch.post_body))


def _type_of(body: str) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain"
    return "application/json"


def _bind(pools: Sequence[Mapping[str, Any]], name: str) -> str:
    return next((str(pool["bind"]) for pool in pools if pool["name"] == name), "")


def _site_url(nginx: Nginx, bind: str, paths: Sequence[str]) -> str:
    """The first site whose locations send these paths to the pool that listens on ``bind``; empty when none does."""
    for site in nginx.sites:
        plain = (str(name) for name in site["domains"] if "*" not in str(name))
        domain = next(filter(None, map(site_host, plain)), "")
        ways = [_location(site["locations"], path.partition("?")[0]) for path in paths]
        if not domain or _refuses_us(site) or not all(_leads(way, site, bind) for way in ways):
            continue
        if site.get("certificate"):
            return f"https://{domain}" + ("" if nginx.https_port == 443 else f":{nginx.https_port}")
        return f"http://{domain}" + ("" if nginx.http_port == 80 else f":{nginx.http_port}")
    return ""


def _refuses_us(site: Mapping[str, Any]) -> bool:
    """Whether the site is for others than whoever asks on its own host."""
    return any(site.get(option) for option in ("behind_tls", "only_proxies", "refused_agents", "connections"))


def _location(locations: Sequence[Mapping[str, Any]], path: str) -> Mapping[str, Any] | None:
    """The location that nginx takes for a path: an exact one, else the first regex, else the longest prefix."""
    kinds: dict[str, list[Mapping[str, Any]]] = {"exact": [], "regex": [], "prefix": []}
    for location in locations:
        kinds[str(location.get("match") or "prefix")].append(location)
    exact = [one for one in kinds["exact"] if one["path"] == path]
    if exact:
        return exact[0]
    if kinds["regex"]:
        return None  # PCRE's expressions are nginx's to read: whoever has them names watch.url
    prefixes = [one for one in kinds["prefix"] if path.startswith(str(one["path"]))]
    return max(prefixes, key=lambda one: len(str(one["path"])), default=None)


def _leads(location: Mapping[str, Any] | None, site: Mapping[str, Any], bind: str) -> bool:
    """Whether a location sends every request on to the pool: limits, lists of clients, passwords and sign-in would
    refuse the prober, and a cache would answer for a release that is gone."""
    if location is None or not_for_all(location, site) or location.get("pool_cache"):
        return False
    return str(location.get("pool")) == bind
