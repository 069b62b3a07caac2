# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an authority that says when it wants a certificate renewed (RFC 9773) is asked and understood."""

from __future__ import annotations

import base64
import datetime

from cryptography import x509


class AcmeError(Exception):
    """Why there is no new certificate; ``limited`` when the authority's limits want fewer questions."""

    def __init__(self, message: str, limited: bool = False) -> None:
        super().__init__(message)
        self.limited = limited


def certificate_id(leaf: x509.Certificate) -> str:
    """How RFC 9773 names a certificate: its issuer's key and its serial number."""
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (issuer or b"", serial))


def moment_in(window: tuple[datetime.datetime, datetime.datetime], leaf: x509.Certificate) -> datetime.datetime:
    """One moment of a window, always the same for a certificate, so that not all come at once."""
    start, end = window
    return start + (end - start) * ((leaf.serial_number % 997) / 997)


def moment(text: str) -> datetime.datetime:
    """Of RFC 3339; a fraction of any length is dropped, which Python 3.10 does not read."""
    whole = text.replace("Z", "+00:00")
    head, _, tail = whole.partition(".")
    zone = tail.lstrip("0123456789") if tail else ""
    return datetime.datetime.fromisoformat(head + zone)
