# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sites of nginx: their headers as clients compare them, and what cannot work in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_access import agent_problems, not_for_all
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_cache import cache_problems
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_csp import csp_headers, csp_problems
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import server_name
from ansible_collections.slipway.ops.plugins.module_utils.edge.words import WordError, nginx_word
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.names import HostNameError

ANSWERS = ("pool", "root", "redirect", "respond")
NEEDS = dict.fromkeys(("websocket", "streaming", "stream_uploads", "timeout", "pool_cache"), "pool") | {
    "spa": "root",
    "cache": "root",
}
"""Options that only one kind of answer has; with another, nginx would pass over them."""

_SITE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
_RATE = re.compile(r"[1-9][0-9]*/(s|min)")


def merge_headers(layers: list[Mapping[str, Any] | None]) -> dict[str, str]:
    """The headers of all layers: a later one goes over an earlier one, whatever the case of its name.

    A text of several lines becomes one, as HTTP has it. An empty value stays, to say that the pool decides.
    """
    merged: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in (layer or {}).items():
            merged[str(name).lower()] = (str(name), _header_value(name, value))
    return dict(merged.values())


def _header_value(name: object, value: object) -> str:
    if not _HEADER_NAME.fullmatch(str(name)):
        raise WordError(f"header {name!r}: a name has letters, digits and dashes")
    try:
        return "" if value is None else _one_line(value)
    except WordError as error:
        raise WordError(f"header {name}: {error}") from error


def _one_line(value: object) -> str:
    """The text of a header on one line."""
    text = re.sub(r"\s*[\r\n]+\s*", " ", value).strip() if isinstance(value, str) else value
    nginx_word(text)
    return str(text)


def answers_late(location: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether `return`, which nginx executes before it looks at who asks and how often, must be kept until after it."""
    returns = any(location.get(answer) is not None for answer in ("redirect", "respond"))
    return returns and not_for_all(location, site)


def location_id(location: Mapping[str, Any]) -> str:
    """A short name of a location, for what nginx knows by a name: zones, maps, files."""
    text = (location.get("match") or "") + location["path"]
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]


def site_headers(site: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a site's answers: those of every site, its own, and its content security policy."""
    return merge_headers([headers, site.get("headers"), csp_headers(site)])


def site_problems(
    sites: list[dict[str, Any]], headers: Mapping[str, Any], refused_agents: Sequence[str] = ()
) -> list[str]:
    """What is wrong with `nginx_sites`, `nginx_headers` and `nginx_refused_agents` that their types cannot say."""
    return [
        *agent_problems(refused_agents),
        *_domain_problems(sites),
        *(problem for site in sites for problem in _site_problems(site, headers)),
    ]


def _domain_problems(sites: list[dict[str, Any]]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for site in sites:
        for domain in site["domains"]:
            try:
                name = server_name(domain)
            except HostNameError as error:
                yield f"{site['name']}: {error}"
                continue
            if name in owners:
                yield f"{domain} is a domain of {owners[name]} and of {site['name']}"
            owners[name] = site["name"]


def _site_problems(site: dict[str, Any], headers: Mapping[str, Any]) -> Iterator[str]:
    name = site["name"]
    if not _SITE_NAME.fullmatch(name):
        yield f"the name {name} cannot be a file name"
    yield from _refused(name, merge_headers, [headers, site.get("headers"), csp_headers(site)])
    if site.get("canonical") and site["canonical"] not in _plain(site["domains"]):
        yield f"{name}: canonical {site['canonical']} is none of its domains, or stands for several names"
    if int(site.get("connections", 1)) < 1:
        yield f"{name}: connections is {site['connections']}, so that nobody could come"
    rate = (site.get("csp") or {}).get("rate", "1/s")
    if not _RATE.fullmatch(str(rate)):
        yield f"{name}: csp.rate is {rate}, not like 10/s or 5/min"
    for problem in (*agent_problems(site.get("refused_agents") or []), *csp_problems(site)):
        yield f"{name}: {problem}"
    for location in site["locations"]:
        where = f"{name} {location['path']}"
        yield from _location_problems(where, location)
        if site.get("waf") and location.get("stream_uploads"):
            yield f"{where}: stream_uploads does nothing with waf, which reads a body before it passes it on"
        yield from _refused(where, merge_headers, [location.get("headers")])


def _plain(domains: list[str]) -> list[str]:
    """Those that are one name."""
    return [
        domain for domain in domains if not str(domain).startswith((".", "~", "*", "[")) and not domain.endswith(".*")
    ]


def _location_problems(where: str, location: Mapping[str, Any]) -> Iterator[str]:
    answers = [answer for answer in ANSWERS if location.get(answer) is not None]
    if len(answers) != 1:
        yield f"{where} needs exactly one of {', '.join(ANSWERS)}"
    else:
        for option, answer in NEEDS.items():
            if location.get(option) and answer != answers[0]:
                yield f"{where}: {option} is for {answer}, and does nothing with {answers[0]}"
    if location.get("match", "prefix") != "regex" and not location["path"].startswith("/"):
        yield f"{where}: a path begins with /"
    rate = (location.get("rate_limit") or {}).get("rate", "1/s")
    if not _RATE.fullmatch(str(rate)):
        yield f"{where} has the rate {rate}, not like 10/s or 5/min"
    yield from (f"{where}: {problem}" for problem in cache_problems(location))
    if location.get("pool") is not None:
        yield from _refused(where, split_host_port, location["pool"])
    for value in (
        location["path"],
        location.get("redirect") or "",
        (location.get("pool_cache") or {}).get("key") or "",
    ):
        yield from _refused(where, nginx_word, value)


def _refused(where: str, read: Any, value: Any) -> Iterator[str]:
    try:
        read(value)
    except (WordError, AddressError) as error:
        yield f"{where}: {error}"
