# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pgbouncer: a pooler answers, its pools are not paused, and clients neither wait too many nor too long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.admin import (
    PORT,
    SOCKET,
    Admin,
    databases,
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
    absolute_path,
    limit_in,
    option,
    port,
    text,
)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pgbouncer(Check):
    KIND = "pgbouncer"
    AREA = "data"

    socket: str = option(absolute_path, SOCKET)
    port: int = option(port, PORT)
    database: str | None = option(text, None)
    waiting: Limit | None = option(limit_in("1"), None)
    waited: Limit | None = option(limit_in("s"), None)
    pool_use: Limit | None = option(limit_in("%"), None)

    @property
    def aspect(self) -> str:
        return next((name for name, limit in self._limits if limit), "answers")

    @property
    def statement(self) -> str:
        told = [f"{name.replace('_', ' ')} {limit}" for name, limit in self._limits if limit]
        return f"pgBouncer{f' {self.database}' if self.database else ''}: " + (", ".join(told) or "it answers")

    @property
    def _limits(self) -> list[tuple[str, Limit | None]]:
        return [("waiting", self.waiting), ("waited", self.waited), ("pool_use", self.pool_use)]

    async def measure(self, client: HttpClient) -> list[Finding]:
        try:
            wanted, pools = await asyncio.to_thread(self._look)
        except PgbouncerError as error:
            raise (CheckUnknown if "no psycopg2" in str(error) else CheckFailed)(str(error)) from error
        if not wanted:
            raise CheckFailed(f"pgBouncer has no database {self.database}" if self.database else "it has no database")
        return list(self._findings(wanted, pools))

    def _look(self) -> tuple[dict[str, Row], list[Row]]:
        with Admin(self.socket, self.port) as admin:
            rows = databases(admin.show("DATABASES"))
            wanted = {row["name"]: row for row in rows if self.database in (None, row["name"])}
            return wanted, [row for row in admin.show("POOLS") if row["database"] in wanted]

    def _findings(self, wanted: dict[str, Row], pools: list[Row]) -> Iterable[Finding]:
        paused = [name for name, row in wanted.items() if int(row["paused"])]
        if paused:
            reason = f"{', '.join(paused)} is paused and clients wait; end the pause with RESUME"
            yield Finding("warn", "paused", reason=reason)
        if self.waiting:
            count = sum(int(pool["cl_waiting"]) for pool in pools)
            yield within(self.waiting, count, "1", "the count of clients that wait for a connection")
        if self.waited:
            longest = max((float(pool["maxwait"]) + float(pool["maxwait_us"]) / 1e6 for pool in pools), default=0.0)
            yield within(self.waited, longest, "s", "how long the first of the waiting clients has waited")
        if self.pool_use:
            name, used = max(
                ((_name(pool), _use(pool, wanted)) for pool in pools), key=lambda it: it[1], default=("", 0.0)
            )
            yield within(self.pool_use, used, "%", f"the used part of the pool {name}")
        if not paused and not any(limit for _, limit in self._limits):
            yield Finding("pass", "answers")


def _name(pool: Row) -> str:
    return f"{pool['database']} of {pool['user']}"


def _use(pool: Row, wanted: dict[str, Row]) -> float:
    """How much of its connections a pool uses, in percent; its reserve does not count as its own."""
    return 100.0 * int(pool["sv_active"]) / max(int(wanted[pool["database"]]["pool_size"]), 1)
