# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may connect from where: pg_hba.conf from a list of rules, which cannot say anything without TLS or SCRAM."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError

METHODS = {
    "hostssl": ("scram-sha-256", "cert", "reject"),
    "host": ("scram-sha-256", "reject"),
    "local": ("peer", "scram-sha-256", "reject"),
}
_KEYS = ("type", "database", "user", "address", "method", "options")
_HOST_NAME = re.compile(r"\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+")

Rule = Mapping[str, Any]


def lines(rules: Iterable[Rule]) -> list[str]:
    """Lines of pg_hba.conf; every mistake of the rules at once as one PostgresqlError."""
    made, problems = [], []
    for position, rule in enumerate(rules, start=1):
        try:
            made.append(line(rule))
        except PostgresqlError as error:
            problems.append(f"rule {position}: {error}")
    if problems:
        raise PostgresqlError("\n".join(problems))
    return made


def line(rule: Rule) -> str:
    """One rule as a line."""
    unknown = set(rule) - set(_KEYS)
    if unknown:
        raise PostgresqlError(f"{', '.join(sorted(unknown))} is no key of a rule; it has {', '.join(_KEYS)}")
    kind, method = str(rule.get("type", "hostssl")), str(rule.get("method", "scram-sha-256"))
    if kind not in METHODS:
        raise PostgresqlError(f"type {kind!r} is none of {', '.join(METHODS)}")
    if method not in METHODS[kind]:
        raise PostgresqlError(f"method {method!r} is refused for {kind}; it has {', '.join(METHODS[kind])}")
    words = [kind, _names(rule.get("database", "all")), _names(rule.get("user", "all"))]
    if kind != "local":
        words.append(_address(rule.get("address"), without_tls=kind == "host" and method != "reject"))
    elif rule.get("address"):
        raise PostgresqlError("a local rule has no address")
    options = [f"{name}={_quoted(str(value))}" for name, value in sorted((rule.get("options") or {}).items())]
    return " ".join([*words, method, *options])


def _names(value: Any) -> str:
    names: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise PostgresqlError(f"{value!r} is not a name or a list of names")
    return ",".join(map(_quoted, names))


def _address(value: Any, without_tls: bool) -> str:
    if not isinstance(value, str) or not value:
        raise PostgresqlError("it needs an address: a network such as 10.1.0.0/16, a host name, samenet or all")
    if value in ("all", "samehost", "samenet"):
        local = value == "samehost"
    else:
        try:
            network = ipaddress.ip_network(value)
        except ValueError as error:
            if re.fullmatch(r"[0-9./]+|[0-9a-fA-F:./]*:[0-9a-fA-F:./]*", value) or not _HOST_NAME.fullmatch(value):
                raise PostgresqlError(f"address {value!r}: {error}") from error
            local = value == "localhost"
        else:
            local, value = network.is_loopback, str(network)
    if without_tls and not local:
        raise PostgresqlError(
            f"address {value!r} is not this host's own: type must be hostssl, so that TLS is required"
        )
    return value


def _quoted(word: str) -> str:
    if re.search(r'[\r\n\0"]', word):
        raise PostgresqlError(f"{word!r} has a quote or line break")
    return word if _PLAIN.fullmatch(word) else f'"{word}"'
