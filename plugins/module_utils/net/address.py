# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Host and port as one text and as two; an IPv6 address stands in brackets before a port."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"[^\x00-\x20\x7f\s:/?#@\[\]]*")


class AddressError(ValueError):
    """A text that is no host, port, or both; the message says what would be."""


def join_host_port(host: str, port: int | str) -> str:
    """``app1:80``, ``[fd00::5]:80``. The host may have brackets already; an empty one is every address (``:80``)."""
    host = bare_host(str(host))
    number = _port(str(port), str(port))
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def split_host_port(text: str, port: int | None = None) -> tuple[str, int]:
    """Host, without brackets, and port of ``app1:80``, ``[fd00::5]:80``; without a port in the text, ``port``."""
    text = str(text)
    alone = ":" not in text or text.endswith("]") or _is_ipv6(text)
    host, number = (text, port) if alone else text.rsplit(":", 1)
    if not host or number is None:
        missing = "port" if host else "host"
        raise AddressError(f"{text!r} has no {missing}; write such as app1:8000, 10.0.0.5:8000 or [fd00::5]:8000")
    return bare_host(host), _port(str(number), text)


def reached_at(host: str, address: str) -> str:
    """Where others reach what listens on ``address`` of a host; the host's name where that is all of its addresses."""
    return host if address in ("0.0.0.0", "::", "[::]") else address  # noqa: S104 (compared, not bound)


def bare_host(text: str) -> str:
    """The host as programs take it, without brackets; AddressError when it is none."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not (_is_ipv6(bare) or (bare == text and _HOST.fullmatch(bare))):
        raise AddressError(f"{text!r} is no host; write a name or an address such as app1, 10.0.0.5 or fd00::5")
    return bare


def _port(text: str, whole: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= 65535:
        raise AddressError(f"{whole!r}: {text!r} is no port; a port is a number from 1 to 65535")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
