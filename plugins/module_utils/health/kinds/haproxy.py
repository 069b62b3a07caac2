# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""haproxy: every server that a pool may send requests to now is up, as the running HAProxy of this edge sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, Pool, pick
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Server
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import absolute_path, option, text


@dataclass(frozen=True, kw_only=True)
class Haproxy(Check):
    KIND = "haproxy"
    AREA = "application"

    pool: str | None = option(text, None)
    socket: str = option(absolute_path, "/run/haproxy/admin.sock")
    master_socket: str = option(absolute_path, "/run/haproxy-master.sock")
    map: str = option(absolute_path, "/var/lib/slipway/haproxy/live.map")

    @property
    def aspect(self) -> str:
        return self.pool or "pools"

    @property
    def statement(self) -> str:
        return f"Every live server of {f'the pool {self.pool}' if self.pool else 'each pool'} is up"

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            return await asyncio.to_thread(self._look)
        except HaproxyError as error:
            raise CheckFailed(str(error)) from error

    def _look(self) -> list[Finding]:
        edge = Edge.at(self.socket, self.master_socket, self.map)
        pools = edge.pools()
        chosen = {self.pool: pick("pool", self.pool, pools)} if self.pool else pools
        running = edge.running_map() if any(pool.sets for pool in chosen.values()) else {}
        return judge(list(chosen.values()), running, edge.live_map.entries())


def judge(pools: list[Pool], running: dict[str, str], durable: dict[str, str]) -> list[Finding]:
    """Servers that are not up are a failure; a map file that a restart would not come back the same from, a warning."""
    findings = []
    for pool in pools:
        live = running.get(pool.name, next(iter(pool.sets), None))
        servers = pool.sets.get(live, pool.servers) if live else pool.servers
        findings.append(_servers(f"{pool.name}, set {live}" if live else pool.name, servers))
        if live and durable.get(pool.name, live) != live:
            reason = (
                f"pool {pool.name} serves {live}, but a restart would come back with {durable[pool.name]}, which the"
                " map file says; the next deploy or rollback writes it"
            )
            findings.append(Finding("warn", durable[pool.name], reason=reason))
    return findings or [Finding("skip", reason="this HAProxy has no pools")]


def _servers(name: str, servers: list[Server]) -> Finding:
    down = [server.describe() for server in servers if not server.up]
    up = len(servers) - len(down)
    reason = f"{up} of {len(servers)} servers of {name} are up: {'; '.join(down)}" if down else None
    return Finding("fail" if down else "pass", up, "1", f">= {len(servers)}", reason)
