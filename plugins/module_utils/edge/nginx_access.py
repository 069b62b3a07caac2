# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may ask nginx, and how often: user agents that are refused, users with a password, places not open to all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.bcrypt_hash import HashError, bcrypt_hash
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_oidc import signed_in_only

COST = 6
"""Of passwords that are hashed here. nginx hashes in each request, and its worker does nothing else meanwhile: 4 ms."""
HIGHEST_COST = 10

_USER = re.compile(r"[A-Za-z0-9@._+-]{1,64}")
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_ANYBODY = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Safari/604.1",
)
"""Ordinary browsers. An expression that finds all of them finds everybody."""


def for_some(location: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether a location is for some people only, by their address, password or session."""
    return any(location.get(limit) for limit in ("allow", "users")) or signed_in_only(location, site)


def not_for_all(location: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether a location refuses some requests, also by their number."""
    return bool(location.get("rate_limit")) or for_some(location, site)


def agent_problems(expressions: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the regular expressions of user agents that are refused."""
    for expression in expressions:
        text = str(expression)
        if re.search(r"[\x00-\x1f\x7f]", text):
            yield f"the user agent {text!r} is not one line without control characters"
            continue
        try:
            found = re.compile(text, re.IGNORECASE)
        except re.error as error:
            yield f"the user agent {text!r} is no regular expression: {error}"
            continue
        if all(found.search(agent) for agent in _ANYBODY):
            yield f"the user agent {text!r} is found in every browser's, so that nobody could come"


def refused_agents(expressions: Sequence[str]) -> list[str]:
    """The keys of a map of nginx that finds them. It never asks an expression about an agent that is not sent."""
    keys = [f"~*{expression}" for expression in dict.fromkeys(expressions)]
    return [*keys, *([""] if any(re.search(expression, "") for expression in expressions) else [])]


def nginx_user_problems(users: Sequence[Mapping[str, Any]], sites: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with `nginx_users`, and with who of them `nginx_sites` names. No password is in it."""
    return [*_own_problems(users), *_named_problems({str(user["name"]) for user in users}, sites)]


def _own_problems(users: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = [str(user["name"]) for user in users]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is there {names.count(name)} times"
    for user in users:
        name = str(user["name"])
        if not _USER.fullmatch(name):
            yield f"{name!r} is no user's name; it has letters, digits and @._+- only"
        if (user.get("password") is None) == (user.get("hash") is None):
            yield f"{name} needs exactly one of password, hash"
        elif user.get("hash") is not None:
            yield from _hash_problems(name, str(user["hash"]))
        elif not 0 < len(str(user["password"]).encode()) <= 72:
            yield f"{name}: the password must have 1 to 72 bytes"


def _hash_problems(name: str, given: str) -> Iterator[str]:
    found = _HASH.fullmatch(given)
    if not found:
        yield f"{name}: the hash is none of bcrypt's; htpasswd -nB {name} makes one"
    elif int(found[1]) > HIGHEST_COST:
        yield (
            f"{name}: the hash has the cost {int(found[1])}, and nginx would answer nobody else while it looks at a "
            f"password; make one of {COST}, at most {HIGHEST_COST}"
        )


def _named_problems(known: set[str], sites: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for site in sites:
        for location in site["locations"]:
            where = f"{site['name']} {location['path']}"
            if location.get("users") == []:
                yield f"{where}: users is empty, so that nobody could come; leave it out, or answer with respond"
            for name in location.get("users") or []:
                if name not in known:
                    yield f"{where} names {name}, who is none of nginx_users"


def nginx_password_file(names: Sequence[str], users: Sequence[Mapping[str, Any]], place: str) -> str:
    """A password file of nginx for those users. The same names, passwords and place give the same file."""
    by_name = {str(user["name"]): user for user in users}
    return "".join(f"{name}:{_hashed(by_name[name], place)}\n" for name in dict.fromkeys(names))


def _hashed(user: Mapping[str, Any], place: str) -> str:
    if user.get("hash") is not None:
        return str(user["hash"])
    try:
        return bcrypt_hash(str(user["password"]), f"{user['name']}@{place}", COST)
    except HashError as error:
        raise ValueError(f"nginx_users: {error}") from None
