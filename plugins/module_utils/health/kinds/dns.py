# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""dns: a name resolves on this host, as its programs resolve it, to the addresses that are expected."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding, explain, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    any_host,
    choice,
    limit_in,
    option,
    text,
    texts,
)

_FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


def ip_address(value: Any) -> str:
    """An IP address in its one spelling."""
    return str(ipaddress.ip_address(text(value)))


def ip_addresses(value: Any) -> tuple[str, ...]:
    return tuple(map(ip_address, texts(value)))


@dataclass(frozen=True, kw_only=True)
class Dns(Check):
    KIND = "dns"
    AREA = "infrastructure"

    host: str = option(any_host)
    family: str = option(choice(*_FAMILIES), "any")
    addresses: tuple[str, ...] | None = option(ip_addresses, None)
    latency: Limit | None = option(limit_in("ms"), None)

    @property
    def aspect(self) -> str:
        return "resolves"

    @property
    def statement(self) -> str:
        return f"{self.host} resolves" + (f" to {', '.join(self.addresses)}" if self.addresses else "")

    @property
    def endpoint(self) -> str:
        return self.host

    async def measure(self, client: HttpClient) -> list[Finding]:
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        try:
            answers = await loop.getaddrinfo(self.host, None, family=_FAMILIES[self.family], type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise CheckFailed(explain(error, self.host)) from error
        took = time.monotonic() - started
        found = sorted({str(answer[4][0]) for answer in answers})
        findings = [Finding("pass", ", ".join(found))]
        if missing := set(self.addresses or ()) - set(map(ip_address, found)):
            reason = f"{self.host} resolves to {', '.join(found)}, not to {', '.join(sorted(missing))}"
            findings.append(Finding("fail", ", ".join(found), reason=reason))
        if self.latency:
            findings.insert(0, within(self.latency, took, "s", f"resolving {self.host}", timed=True))
        return findings
