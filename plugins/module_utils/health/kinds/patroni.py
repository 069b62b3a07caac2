# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""patroni: one member leads, all others follow it, none is too far behind; asked of this host's member."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.status import Cluster, problems
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.switch import look
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import integer, limit_in, option


@dataclass(frozen=True, kw_only=True)
class Patroni(Check):
    KIND = "patroni"
    AREA = "data"

    members: int = option(integer(1, 99), 3)
    lag: Limit | None = option(limit_in("By"), None)

    @property
    def aspect(self) -> str:
        return "lag" if self.lag else "whole"

    @property
    def statement(self) -> str:
        told = f"Patroni: one of {self.members} members leads, the others follow"
        return f"{told}, behind by {self.lag}" if self.lag else told

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            cluster, synchronous = await asyncio.to_thread(_look)
        except PatroniError as error:
            raise (CheckUnknown if "python3-yaml" in str(error) else CheckFailed)(str(error)) from error
        found = problems(cluster, synchronous=synchronous)
        if len(cluster.members) < self.members:
            found.append(f"{len(cluster.members)} of {self.members} members are in the cluster")
        if found:
            raise CheckFailed("; ".join(found))
        return list(self._findings(cluster))

    def _findings(self, cluster: Cluster) -> list[Finding]:
        found = []
        waiting = [member.name for member in cluster.members if member.restart]
        if cluster.paused:
            found.append(Finding("warn", "paused", reason="Patroni is paused: nobody takes over; patronictl resume"))
        elif waiting:
            reason = f"settings wait for a restart on {', '.join(waiting)}; switchover.yml -e restart=true"
            found.append(Finding("warn", "pending", reason=reason))
        if self.lag:
            furthest = max((member.lag or 0 for member in cluster.replicas), default=0)
            found.append(within(self.lag, furthest, "By", "how far the last of the replicas is behind"))
        return found or [Finding("pass", "whole")]


def _look() -> tuple[Cluster, bool]:
    client = Client.of_this_host()
    return look(client), bool(client.ask("/config").body.get("synchronous_mode"))
