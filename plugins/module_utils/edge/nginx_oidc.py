# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`oidc` of sites and locations of nginx: places for people who have signed in, and what cannot be meant of them.

Role oauth2_proxy answers who has; its directives are in templates/oidc.j2 and oidc.conf.j2 of role nginx.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

PREFIX = "/oauth2"
"""Beneath it people sign in and out."""
SESSION = "__Host-slipway_session"
"""The cookie that a session is in."""
WHO = {"oidc_groups": "allowed_groups", "oidc_emails": "allowed_emails"}
"""Options of a location, and what oauth2-proxy calls them."""

_NAME = re.compile(r"[^,\x00-\x1f\x7f]+")
Site = Mapping[str, Any]
Location = Mapping[str, Any]


def signed_in_only(location: Location, site: Site) -> bool:
    """Whether a location is for people who have signed in: as it says itself, else as its site says."""
    own = location.get("oidc")
    return bool(site.get("oidc") if own is None else own)


def signs_in(site: Site) -> bool:
    """Whether people sign in on a site."""
    return any(signed_in_only(location, site) for location in site.get("locations") or [])


def sign_in_query(location: Location) -> str:
    """What oauth2-proxy is asked beside whether somebody has signed in; it takes an empty list for everybody."""
    asked = [
        f"{name}={','.join(quote(str(one), safe='') for one in location[option])}"
        for option, name in WHO.items()
        if location.get(option)
    ]
    return "?" + "&".join(asked) if asked else ""


def oidc_problems(sites: Sequence[Site], served: bool) -> list[str]:
    """What is wrong with the `oidc` of sites that its types cannot say; `served` is whether the host has the role."""
    asking = [site["name"] for site in sites if signs_in(site)]
    if asking and not served:
        return [f"{asking[0]}: oidc needs role oauth2_proxy on this host; put the host into group oauth2_proxy"]
    return [f"{site['name']}{problem}" for site in sites for problem in _site_problems(site)]


def _site_problems(site: Site) -> Iterator[str]:
    yield from _not_a_truth("", site)
    for location in site["locations"]:
        where = f" {location['path']}: "
        yield from _not_a_truth(f" {location['path']}", location)
        for problem in _location_problems(location, signed_in_only(location, site)):
            yield f"{where}{problem}"
    if not signs_in(site):
        return
    if not (site.get("certificate") or site.get("behind_tls")):
        yield ": oidc needs TLS, for whoever reads a session has it; give the site a certificate or behind_tls"
    for location in site["locations"]:
        if (location["path"] + "/").startswith(PREFIX + "/") and location.get("match") != "regex":
            yield f" {location['path']}: {PREFIX} is where people sign in on this site"


def _not_a_truth(where: str, place: Mapping[str, Any]) -> Iterator[str]:
    """A word would count as true, and nothing as the site's."""
    if "oidc" in place and not isinstance(place["oidc"], bool):
        yield f"{where}: oidc is {place['oidc']!r}, neither true nor false"


def _location_problems(location: Location, asks: bool) -> Iterator[str]:
    for option in WHO:
        names = location.get(option)
        if names is None:
            continue
        if not asks:
            yield f"{option} does nothing without oidc: true"
        elif not names:
            yield f"{option} is empty, which is everybody; leave it out, or answer with respond"
        for name in names:
            if not _NAME.fullmatch(str(name)):
                yield f"{option} has {name!r}, and oauth2-proxy takes no comma or control character in a name"
    if not asks:
        return
    if location.get("users"):
        yield "oidc and users ask twice who comes, each in its own way; keep one"
    if location.get("pool_cache"):
        yield "pool_cache does nothing good with oidc: what one has signed in for would be kept for others"
