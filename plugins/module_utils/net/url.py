# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""URLs taken apart as they are sent: the host in its ASCII form (IDNA), all else that is not ASCII percent-encoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ansible_collections.slipway.ops.plugins.module_utils.net.address import (
    AddressError,
    bare_host,
    join_host_port,
    split_host_port,
)

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class UrlError(ValueError):
    """A text that is no URL of the wanted schemes; the message says what is."""


@dataclass(frozen=True)
class Url:
    """``host`` has no brackets; ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def tls(self) -> bool:
        return self.scheme in ("https", "wss")

    @property
    def authority(self) -> str:
        """What the Host header says: the port only when the scheme has another."""
        whole = join_host_port(self.host, self.port)
        return whole.removesuffix(f":{self.port}") if self.port == _PORTS[self.scheme] else whole


def parse_url(text: str, schemes: tuple[str, ...] = ("http", "https")) -> Url:
    """The URL in a text; UrlError when it is of another scheme, names no host, or carries credentials."""
    try:
        parts = urlsplit(text)
        if "@" in parts.netloc:
            raise UrlError(
                "credentials do not belong into a URL; use username and password, or an Authorization header"
            )
        if re.search(r"[\x00-\x20\x7f]", text):
            raise UrlError(f"{text!r} is not a URL: spaces and their like are percent-encoded, such as %20")
        if parts.scheme not in schemes or not parts.netloc:
            examples = " or ".join(f"{scheme}://shop.example/health" for scheme in schemes)
            raise UrlError(f"{text!r} is not a URL such as {examples}")
        if parts.netloc.count(":") > 1 and not parts.netloc.startswith("["):
            raise UrlError(f"{text!r} is not a URL: an IPv6 address stands in brackets, such as http://[fd00::5]:8000/")
        host, port = split_host_port(parts.netloc.removesuffix(":"), _PORTS[parts.scheme])
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Url(parts.scheme, ascii_host(host), port, percent_encoded(target.encode()))
    except UrlError:
        raise
    except ValueError as error:
        raise UrlError(f"{text!r} is not a URL: {error}") from error


def ascii_host(host: str) -> str:
    """The name as resolvers, certificates and servers have it: ``bücher.example`` is ``xn--bcher-kva.example``."""
    host = unquote(host).lower()
    if host.isascii():
        return bare_host(host)
    try:
        return bare_host(host.encode("idna").decode())
    except UnicodeError as error:
        raise AddressError(f"{host!r} is no host: {error}") from error


def percent_encoded(text: bytes) -> str:
    """What servers and people leave unencoded in a URL is encoded; what is encoded stays."""
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in text)
