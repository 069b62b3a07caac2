# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a host shows an ACME authority that a name is its own: by a record in its zone, put there as RFC 2136 says."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
from ansible_collections.slipway.ops.plugins.module_utils.certificates.challenges import ChallengeError


@dataclass(frozen=True)
class Rfc2136:
    """DNS-01: a server of the zone that takes updates signed with a key (TSIG)."""

    server: str
    zone: str
    key: str
    secret: str
    algorithm: str = "hmac-sha256"
    port: int = 53
    kind: str = "dns-01"

    @contextlib.contextmanager
    def placed(self, name: str, token: str, answer: str) -> Iterator[None]:
        record = f"_acme-challenge.{name.removeprefix('*.')}."
        self._update("add", record, 60, "TXT", f'"{answer}"')
        try:
            yield
        finally:
            self._update("delete", record, "TXT", f'"{answer}"')

    def _update(self, action: str, *what: Any) -> None:
        place = f"the name server {self.server} port {self.port}"
        try:
            keyring = dns.tsigkeyring.from_text({self.key: self.secret})
            update = dns.update.Update(self.zone, keyring=keyring, keyalgorithm=self.algorithm)
            getattr(update, action)(*what)
            address = socket.getaddrinfo(self.server, self.port, proto=socket.IPPROTO_TCP)[0][4][0]
            answered = dns.query.tcp(update, str(address), timeout=20, port=self.port).rcode()
        except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
            raise ChallengeError(
                f"{place} took no update of {self.zone} ({str(error) or type(error).__name__})"
            ) from error
        if answered != dns.rcode.NOERROR:
            raise ChallengeError(f"{place} refused the update of {self.zone}: {dns.rcode.to_text(answered)}")
