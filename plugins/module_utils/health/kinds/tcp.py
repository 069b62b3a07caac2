# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""tcp: a port accepts connections, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.connection import connect
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import any_host, limit_in, option, port
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port


@dataclass(frozen=True, kw_only=True)
class Tcp(Check):
    KIND = "tcp"
    AREA = "infrastructure"

    host: str = option(any_host)
    port: int = option(port)
    latency: Limit | None = option(limit_in("ms"), None)

    @property
    def aspect(self) -> str:
        return "connects"

    @property
    def statement(self) -> str:
        return f"{self.endpoint} accepts connections" + (f" in {self.latency}" if self.latency else "")

    @property
    def endpoint(self) -> str:
        return join_host_port(self.host, self.port)

    async def measure(self, client: HttpClient) -> list[Finding]:
        started = time.monotonic()
        _, writer = await connect(self.host, self.port)
        took = time.monotonic() - started
        writer.transport.abort()
        if self.latency is None:
            return [Finding("pass", round(took * 1000, 3), "ms")]
        return [within(self.latency, took, "s", f"connecting to {self.endpoint}", timed=True)]
