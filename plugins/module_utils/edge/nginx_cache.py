# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`pool_cache` of a location of nginx: what cannot be meant, and how long an answer stays.

Its directives are in templates/cache.j2 and cache.conf.j2 of role nginx; playbook purge.yml empties a site's cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

STALE = 60
"""Seconds for which an old answer is kept when `stale` does not say."""

_PATH_IN_KEY = re.compile(r"\$\{?(request_uri|uri)\b")
_COOKIE = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
_NOT_KEPT = {204: "has no body", 206: "is a part", 304: "has no body"}


def cache_problems(location: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the `pool_cache` of a location that its types cannot say."""
    wanted = location.get("pool_cache")
    if not wanted:
        return
    for option in ("streaming", "websocket"):
        if location.get(option):
            yield f"pool_cache keeps whole answers, and {option} passes them on as they come"
    if location.get("users"):
        yield "pool_cache does nothing with users: a request with a password is never answered from the cache"
    if int(wanted.get("seconds") or 0) < 1:
        yield f"pool_cache.seconds is {wanted.get('seconds')}; an answer is kept for 1 second or longer"
    if int(wanted.get("stale") or 0) < 0:
        yield f"pool_cache.stale is {wanted['stale']}; 0 keeps no old answers"
    for status in wanted.get("statuses") or []:
        if not 200 <= int(status) <= 499 or int(status) in _NOT_KEPT:
            why = _NOT_KEPT.get(int(status), "is the pool's failure" if int(status) >= 500 else "is no answer")
            yield f"pool_cache.statuses has {status}, which {why}"
    key = wanted.get("key")
    if key is not None and location.get("match") != "exact" and not _PATH_IN_KEY.search(str(key)):
        yield f"pool_cache.key {key!r} has neither $request_uri nor $uri: all pages would be the first one"
    for cookie in wanted.get("personal_cookies") or []:
        if not _COOKIE.fullmatch(str(cookie)):
            yield f"pool_cache.personal_cookies has {cookie!r}, which is no name of a cookie"


def kept_seconds(site: Mapping[str, Any]) -> int:
    """How long a site's cache keeps an answer that nobody asks for: the longest of its locations; 0 without a cache."""
    caches = [location["pool_cache"] for location in site["locations"] if location.get("pool_cache")]
    return max((int(each["seconds"]) + int(each.get("stale", STALE)) for each in caches), default=0)
