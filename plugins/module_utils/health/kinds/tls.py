# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""tls: the chain is trusted for the name, the certificate lives long enough, and old protocols are refused."""

from __future__ import annotations

import ssl
import time
import warnings
from dataclasses import dataclass
from functools import cache

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.connection import (
    Streams,
    connect,
    trust,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    any_address,
    any_host,
    choice,
    limit_in,
    option,
    port,
    text,
)
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port, split_host_port

_OLDER = {"1.2": ssl.TLSVersion.TLSv1_1, "1.3": ssl.TLSVersion.TLSv1_2}


@dataclass(frozen=True, kw_only=True)
class Tls(Check):
    KIND = "tls"
    AREA = "security"

    host: str = option(any_host)
    port: int = option(port, 443)
    server_name: str | None = option(any_host, None)
    address: str | None = option(any_address, None)
    ca: str | None = option(text, None)
    expires: Limit | None = option(limit_in("d"), None)
    minimum_protocol: str = option(choice(*_OLDER), "1.2")

    @property
    def aspect(self) -> str:
        return "certificate"

    @property
    def statement(self) -> str:
        life = f"its life is {self.expires}" if self.expires else "it does not end soon"
        older = f"TLS older than {self.minimum_protocol}"
        return f"{self.endpoint} has a trusted certificate, {life}, and {older} is refused"

    @property
    def endpoint(self) -> str:
        return join_host_port(self.server_name or self.host, self.port)

    @property
    def weight(self) -> int:
        return 2

    async def measure(self, client: HttpClient) -> list[Finding]:
        days, life = await self._days()
        wanted = self.expires or _soon(life)
        return [within(wanted, days, "d", "the rest of the certificate's life"), await self._old_protocol()]

    async def _days(self) -> tuple[float, float]:
        """Of the certificate's life, the rest and the whole."""
        _, writer = await self._handshake(trust(self.ca))
        certificate = writer.get_extra_info("peercert")
        writer.transport.abort()
        begins, ends = (ssl.cert_time_to_seconds(certificate[moment]) for moment in ("notBefore", "notAfter"))
        return (ends - time.time()) / 86400, (ends - begins) / 86400

    async def _old_protocol(self) -> Finding:
        newest_refused = _OLDER[self.minimum_protocol]
        try:
            _, writer = await self._handshake(_only_older(newest_refused))
        except CheckFailed:
            return Finding("pass", f"TLS {self.minimum_protocol}")
        spoken = writer.get_extra_info("ssl_object").version()
        writer.transport.abort()
        reason = f"it still accepts {spoken}; the oldest wanted is TLS {self.minimum_protocol}"
        return Finding("fail", spoken, reason=reason)

    async def _handshake(self, context: ssl.SSLContext) -> Streams:
        host, number = split_host_port(self.address, self.port) if self.address else (self.host, self.port)
        return await connect(host, number, context, server_name=self.server_name or self.host)


def _soon(life: float) -> Limit:
    """What must be left of so many days: two weeks, or a sixth. It is renewed at a third, or half when it is short."""
    return Limit(">", round(min(14.0, life / 6), 1), "d")


@cache
def _only_older(newest: ssl.TLSVersion) -> ssl.SSLContext:
    """Offers nothing newer. Whom it talks to does not matter, so nothing is verified and nothing is sent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        except (ssl.SSLError, ValueError) as error:
            raise CheckUnknown("this host's OpenSSL cannot offer old protocols to see them refused") from error
    return context
