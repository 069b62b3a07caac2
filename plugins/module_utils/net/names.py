# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of hosts as DNS, certificates and proxies compare them: one spelling for each."""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DISPUTED = "ßς\u200c\u200d"


class HostNameError(ValueError):
    """A text that is no host name; the message says why."""


def ascii_name(name: str) -> str:
    """A host name in small letters, its labels of other letters as ``xn--``; one ``*`` may stand as the first label."""
    name = str(name)
    if disputed := sorted(set(name) & set(_DISPUTED)):
        # IDNA 2003 turns ß into ss, IDNA 2008 does not: those are two domains, with two owners.
        raise HostNameError(f"{name!r} is read in two ways because of {disputed[0]!r}; write it in its form with xn--")
    try:
        labels = [label if label.isascii() else label.encode("idna").decode() for label in name.lower().split(".")]
    except UnicodeError as error:
        raise HostNameError(f"{name!r} is no host name ({error})") from error
    named = labels[1:] if labels[0] == "*" else labels
    if not named or not all(_LABEL.fullmatch(label) for label in named) or len(".".join(labels)) > 253:
        raise HostNameError(f"{name!r} is no host name, such as www.example.com")
    return ".".join(labels)


def canonical(name: str) -> str:
    """The one spelling of an address (``fd00::10``) or a host name."""
    return str(ipaddress.ip_address(str(name))) if is_address(str(name)) else ascii_name(name)


def subject_alt_names(names: list[str]) -> list[str]:
    """Names as a certificate request has them, ``DNS:www.example.com`` and ``IP:fd00::10``; each once."""
    return list(dict.fromkeys(_typed(canonical(name)) for name in names))


def _typed(name: str) -> str:
    return f"{'IP' if is_address(name) else 'DNS'}:{name}"


def is_address(text: str) -> bool:
    """Whether it is an address, not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
