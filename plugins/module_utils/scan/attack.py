# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What attackers try first, for one site of nginx: a few dozen requests of textbooks, beside ordinary ones."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_access import not_for_all
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import site_host
from ansible_collections.slipway.ops.plugins.module_utils.edge.waf import LARGEST_BODY, body_limit

AGENT = "slipway/attack"
FORGED_ADDRESS = "198.51.100.7"  # of documentation: nobody has it
FORGED_ID = "slipway-forged-0001"
NOBODY = "slipway-nobody.invalid"
PARAMETER = "slipway"
MOST = 25  # requests against one rate limit
EVERY = 12  # attacks between ordinary requests
PAYLOADS = {
    "sql_injection": "1' OR '1'='1",
    "cross_site_scripting": "<script>alert(1)</script>",
    "path_traversal": "../../../../etc/passwd",
    "command_injection": ";cat /etc/passwd",
}
RULES = {
    "sql_injection": (942000, 942999),
    "cross_site_scripting": (941000, 941999),
    "path_traversal": (930000, 930999),
    "command_injection": (932000, 932999),
    "scanner": (913000, 913999),
    "hidden_file": (930000, 930999),
}
"""Rules of the Core Rule Set by family, for exclusions of a whole site."""

SCANNERS = {"nikto": "Mozilla/5.00 (Nikto/2.1.6)", "sqlmap": "sqlmap/1.8"}
HIDDEN = ("/.env", "/.git/config")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
GUARDED = ("payloads", "scanners", "hidden")  # groups that the firewall answers for


class AttackError(Exception):
    """Why nothing may be sent, in one sentence."""


@dataclass(frozen=True)
class Limit:
    """A path that may be asked so often; ``burst`` are those that may come at once."""

    path: str
    per_second: float
    burst: int

    @property
    def count(self) -> int:
        """Requests after which some are refused, while its bucket runs out for a second."""
        return self.burst + math.ceil(self.per_second) + 2


@dataclass(frozen=True)
class Site:
    """A site as the inventory has it on one edge, and where it is reached."""

    name: str
    edge: str
    address: str
    host: str
    tls: bool
    path: str
    port: int
    http_port: int
    serves: bool = True
    mode: str = "none"
    excluded: tuple[tuple[int, int, str], ...] = ()
    agents: tuple[str, ...] = ()
    hides: bool = False
    body: int | None = None
    limit: Limit | None = None
    guarded: str = ""
    unlimited: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    client_header: str = "X-Forwarded-For"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Site:
        """Of what ``as_dict`` gave, after it was JSON."""
        lists = {name: tuple(given[name]) for name in ("agents", "unlimited", "trusted")}
        excluded = tuple((int(first), int(last), str(why)) for first, last, why in given["excluded"])
        limit = Limit(**given["limit"]) if given["limit"] else None
        return cls(**{**given, **lists, "excluded": excluded, "limit": limit})

    @property
    def subject(self) -> str:
        return f"{self.name} on {self.edge}"

    def excludes(self, family: str) -> str:
        """Why the firewall is not asked about some of a family's rules, of the whole site; empty where it is."""
        first, last = RULES.get(family, (0, 0))
        return next((why for low, high, why in self.excluded if low <= last and high >= first), "")


@dataclass(frozen=True)
class Attempt:
    """One request, or several that are alike. ``group`` is the promise it is for, ``sent`` what people read of it."""

    id: str
    group: str
    sent: str
    method: str = "GET"
    target: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    plain: bool = False
    sni: str = ""
    version: str = ""
    count: int = 1

    @property
    def family(self) -> str:
        return self.id.partition(".")[0]


def sites(declared: Sequence[Mapping[str, Any]], edge: Mapping[str, Any], only: str = "") -> list[dict[str, Any]]:
    """The sites of one edge that can be asked by a name, as ``Site.read`` takes them.

    ``edge`` has ``name``, ``address``, ``http_port``, ``https_port``, ``body_size``, ``agents``, ``unlimited``,
    ``trusted`` and ``client_header``.
    """
    found = []
    for site in declared:
        names = [site_host(name) for name in [site.get("canonical") or "", *site["domains"]] if name]
        host = next(filter(None, names), "")
        if host and only in ("", site["name"]):
            found.append(_site(site, edge, host))
    return found


def _site(site: Mapping[str, Any], edge: Mapping[str, Any], host: str) -> dict[str, Any]:
    place, tls = _place(site), site.get("certificate") is not None
    waf = site.get("waf") or {}
    return {
        "name": site["name"],
        "edge": edge["name"],
        "address": edge["address"],
        "host": host,
        "tls": tls,
        "path": place["path"] if place else "/",
        "serves": bool(place),
        "port": int(edge["https_port"] if tls else edge["http_port"]),
        "http_port": int(edge["http_port"]),
        "mode": waf.get("mode") or "none",
        "excluded": [rule for one in waf.get("exclusions") or [] for rule in _excluded(one)],
        "agents": [*edge["agents"], *(site.get("refused_agents") or [])],
        "hides": any(location.get("root") is not None for location in site["locations"]),
        "body": _body([place.get("body_size"), site.get("body_size"), edge["body_size"]]),
        "limit": _limit(site["locations"]),
        "guarded": next((name for name in ("only_proxies", "behind_tls") if site.get(name)), ""),
        "unlimited": list(edge["unlimited"]),
        "trusted": list(edge["trusted"]),
        "client_header": edge["client_header"],
    }


def _place(site: Mapping[str, Any]) -> Mapping[str, Any]:
    """The location that attacks are sent to: one that everybody may ask, and as often as they like."""
    apart = [one.get("path") for one in (site.get("waf") or {}).get("exclusions") or [] if one.get("path")]
    open_ones = [
        location
        for location in site["locations"]
        if (location.get("pool") or location.get("root"))
        and location.get("match", "prefix") != "regex"
        and not not_for_all(location, site)
        and not any(location["path"].startswith(path) for path in apart)
    ]
    return min(open_ones, key=lambda location: len(location["path"]), default={})


def _excluded(exclusion: Mapping[str, Any]) -> Iterable[tuple[int, int, str]]:
    if not exclusion.get("path") and not exclusion.get("parameter"):
        for rule in exclusion.get("rules") or []:
            first, _, last = str(rule).partition("-")
            yield int(first), int(last or first), str(exclusion.get("reason") or "")


def _body(sizes: Iterable[str | None]) -> int | None:
    """Bytes of the largest body; None where there is no limit, or one that cannot be told."""
    size = next(str(size) for size in sizes if size is not None)
    limit = body_limit([size])
    return None if not int(size.rstrip("kKmMgG")) or limit == LARGEST_BODY else limit


def _limit(locations: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The rate limit that the fewest requests run into."""
    found = []
    for location in locations:
        rate = (location.get("rate_limit") or {}).get("rate")
        if rate and location.get("match", "prefix") != "regex":
            number, _, span = str(rate).partition("/")
            burst = int(location["rate_limit"].get("burst") or number)
            found.append(
                {"path": location["path"], "per_second": int(number) / (60 if span == "min" else 1), "burst": burst}
            )
    return min(found, key=lambda one: one["burst"], default=None)


def plan(site: Site) -> list[Attempt]:
    """Every attempt, in the order of the report."""
    if site.guarded:
        return [Attempt("past_proxy", "requests", f"GET {site.path}", target=site.path)]
    return [
        *(_served(site) if site.serves else []),
        *_forged(site),
        *_requests(site),
        *(_transport(site) if site.tls else []),
        *(_limited(site.limit) if site.limit and site.limit.count <= MOST else []),
        *(_ordinary(site) if site.serves else []),
    ]


def _served(site: Site) -> Iterable[Attempt]:
    yield from _payloads(site)
    for name, agent in SCANNERS.items():
        yield _page(site, f"scanner.{name}", "scanners", {"User-Agent": agent})
    for path in HIDDEN:
        yield Attempt(f"hidden_file.{path}", "hidden", f"GET {path}", target=path)


def _payloads(site: Site) -> Iterable[Attempt]:
    for family, payload in PAYLOADS.items():
        target = f"{site.path}?{urlencode({PARAMETER: payload})}"
        yield Attempt(f"{family}.query", "payloads", f"GET {site.path}?{PARAMETER}={payload}", target=target)
        yield _post(site, f"{family}.form", FORM, urlencode({PARAMETER: payload}))
        yield _post(site, f"{family}.json", JSON, json.dumps({PARAMETER: payload}))


def _post(site: Site, id: str, headers: Mapping[str, str], body: str) -> Attempt:
    group = "ordinary" if id.startswith("ordinary.") else "payloads"
    return Attempt(id, group, f"POST {site.path} {unquote_plus(body)}", "POST", site.path, headers, body)


def _page(site: Site, id: str, group: str, headers: Mapping[str, str], plain: bool = False) -> Attempt:
    shown = ", ".join(f"{name}: {value}" for name, value in headers.items())
    place = f"http://{site.host}{site.path}" if plain else site.path
    return Attempt(id, group, f"GET {place} {shown}".strip(), target=site.path, headers=headers, plain=plain)


def _forged(site: Site) -> Iterable[Attempt]:
    for name in dict.fromkeys(["X-Forwarded-For", "X-Real-IP", site.client_header]):
        yield _page(site, f"forged.{name}", "forged", {name: FORGED_ADDRESS})
    yield _page(site, "forged.X-Request-ID", "forged", {"X-Request-ID": FORGED_ID})
    if site.tls:
        yield _page(site, "forged.X-Forwarded-Host", "forged", {"X-Forwarded-Host": NOBODY}, plain=True)
        yield _page(site, "forged.X-Forwarded-Proto", "forged", {"X-Forwarded-Proto": "https"}, plain=True)


def _requests(site: Site) -> Iterable[Attempt]:
    yield _page(site, "unknown_host", "requests", {"Host": NOBODY})
    if site.tls:
        yield Attempt(
            "unknown_name", "requests", f"TLS SNI {NOBODY}", target=site.path, headers={"Host": NOBODY}, sni=NOBODY
        )
    if site.body is not None:
        length = {"Content-Length": str(site.body + 1)} | FORM  # nginx refuses it by what it says, so no body is sent
        shown = f"POST {site.path} Content-Length: {site.body + 1}"
        yield Attempt("large_body", "requests", shown, "POST", site.path, length)
    yield Attempt("trace", "requests", f"TRACE {site.path}", "TRACE", site.path)


def _transport(site: Site) -> Iterable[Attempt]:
    yield _page(site, "plain_http", "transport", {}, plain=True)
    for version in ("1.0", "1.1"):
        yield Attempt(f"old_tls.{version}", "transport", f"TLS {version}", target=site.path, version=version)


def _limited(limit: Limit) -> Iterable[Attempt]:
    """Each by another name of its own: a limit that believes it counts none of them."""
    shown = f"{limit.count} x GET {limit.path}"
    yield Attempt("rate_limit", "rate", shown, target=limit.path, count=limit.count)


def _ordinary(site: Site) -> Iterable[Attempt]:
    korean = "안녕하세요, 예산입니다"
    yield Attempt("ordinary.page", "ordinary", f"GET {site.path}", target=site.path)
    target = f"{site.path}?q={quote(korean)}&page=2"
    yield Attempt("ordinary.query", "ordinary", f"GET {site.path}?q={korean}&page=2", target=target)
    text = json.dumps({"note": korean, "won": 12}, ensure_ascii=False)
    yield _post(site, "ordinary.json", JSON, text)


def order(attempts: Sequence[Attempt]) -> list[Attempt]:
    """As they are sent: ordinary requests before, while and after the others."""
    ordinary = [one for one in attempts if one.group == "ordinary"]
    others = [one for one in attempts if one.group != "ordinary"]
    sent = list(ordinary)
    for start in range(0, len(others), EVERY):
        sent += [*others[start : start + EVERY], *ordinary]
    return sent


def requests(attempts: Sequence[Attempt]) -> int:
    """How many requests are sent."""
    return sum(one.count for one in order(attempts))


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is in one of them; a network that is a name has none."""
    for network in networks:
        try:
            if ipaddress.ip_address(address) in ipaddress.ip_network(str(network), strict=False):
                return True
        except ValueError:
            continue
    return False


def refusing(pattern: str, agent: str) -> bool:
    """Whether a user agent is one that nginx refuses by a pattern of the inventory."""
    try:
        return re.search(pattern, agent, re.IGNORECASE) is not None
    except re.error:
        return False


def announced(given: Sequence[Mapping[str, Any]], sender: str) -> list[str]:
    """What will be sent, one line for each site."""
    lines = []
    for site in map(Site.read, given):
        count, where = requests(plan(site)), f"{site.host} at {site.address}:{site.port}"
        lines.append(f"{site.subject}: {count} requests from {sender} to {where}; WAF: {site.mode}")
    return lines


def ban_problem(read: Sequence[Site], retries: int, trusted: Sequence[str], own: str) -> str:
    """Why fail2ban of the edge would ban the sender, were this run made twice in its time; empty when it would not."""
    if not retries or within(own, trusted):
        return ""
    counted = sum(one.count for site in read for one in plan(site) if one.group in (*GUARDED, "rate"))
    if 2 * counted <= retries:
        return ""
    return (
        f"Some {counted} requests are meant to be refused, and fail2ban of {read[0].edge} bans a client after {retries}"
        f" (fail2ban_edge_retries): have {own} in fail2ban_trusted, or choose one site by -e site=NAME."
        " Nothing was sent."
    )
