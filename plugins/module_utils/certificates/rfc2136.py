# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a host shows an ACME authority that a name is its own: by a record in its zone, put there as RFC 2136 says."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
from ansible_collections.slipway.ops.plugins.module_utils.certificates.challenges import ChallengeError

PAUSE = 2.0
PATIENCE = 5.0  # with a server that does not answer


@dataclass(frozen=True)
class Rfc2136:
    """DNS-01: a server of the zone that takes updates signed with a key (TSIG)."""

    server: str
    zone: str
    key: str
    secret: str
    algorithm: str = "hmac-sha256"
    port: int = 53
    wait: int = 120  # seconds for the other servers of the zone to have the record
    kind: str = "dns-01"

    @contextlib.contextmanager
    def placed(self, name: str, token: str, answer: str) -> Iterator[None]:
        record = f"_acme-challenge.{name.removeprefix('*.')}."
        self._update("add", record, 60, "TXT", f'"{answer}"')
        try:
            self._wait_for_all(record, answer)
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

    def _wait_for_all(self, record: str, answer: str) -> None:
        """The authority asks whichever server of the zone it likes; one that is late costs a failed validation."""
        late = self._others()
        give_up = time.monotonic() + self.wait
        while late := {name: where for name, where in late.items() if self._lacks(where, record, answer)}:
            if time.monotonic() >= give_up:
                lacking = ", ".join(f"{name} ({where})" for name, where in late.items())
                raise ChallengeError(
                    f"{self.server} took the record {record} of {self.zone}, but after {self.wait} s these name "
                    f"servers of the zone lack it: {lacking}. See whether they follow {self.server} (notify, transfers)"
                )
            time.sleep(PAUSE)

    def _others(self) -> dict[str, str]:
        """The zone's name servers beside the one that took the update, and an address of each that has one."""
        try:
            address = self._address(self.server)
            names = [str(one.target).rstrip(".") for one in self._answers(address, self.port, self.zone, "NS")]
        except (dns.exception.DNSException, OSError, ValueError, EOFError):
            return {}  # it tells nobody, as a hidden one does
        found = {name: self._whereabouts(name, address) for name in names}
        return {name: where for name, where in found.items() if where not in ("", address)}

    def _whereabouts(self, name: str, primary: str) -> str:
        """A name server's address, as this host or else the primary knows it; empty where neither does."""
        with contextlib.suppress(OSError):
            return self._address(name)
        with contextlib.suppress(dns.exception.DNSException, OSError, ValueError, EOFError):
            return next((str(one.address) for one in self._answers(primary, self.port, name, "A")), "")
        return ""

    def _lacks(self, where: str, record: str, answer: str) -> bool:
        """False of one that does not answer: the authority asks another then, and this host may not reach it at all."""
        try:
            found = self._answers(where, 53, record, "TXT")
        except (dns.exception.DNSException, OSError, ValueError, EOFError):
            return False
        return answer.encode() not in [b"".join(one.strings) for one in found]

    @staticmethod
    def _address(name: str) -> str:
        return str(socket.getaddrinfo(name, 53, proto=socket.IPPROTO_TCP)[0][4][0])

    @staticmethod
    def _answers(where: str, port: int, name: str, kind: str) -> list[Any]:
        question = dns.message.make_query(name, kind)
        question.flags &= ~dns.flags.RD
        told = dns.query.tcp(question, where, timeout=PATIENCE, port=port)
        if told.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ValueError(dns.rcode.to_text(told.rcode()))  # as good as silent: a resolver asks the next one, too
        wanted = dns.rdatatype.from_text(kind)
        return [one for rrset in told.answer if rrset.rdtype == wanted for one in rrset]
