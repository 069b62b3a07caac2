# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""postgresql: a server answers, its standbys follow, its connections, index reads and statements keep to limits."""

from __future__ import annotations

import asyncio
import math
import numbers
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
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
    any_host,
    any_limit,
    limit_in,
    option,
    port,
    text,
)
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

try:
    import psycopg2
    import psycopg2.errors
except ImportError:  # said by measure()
    psycopg2 = None

_MAINTENANCE = "postgres"
_ANSWER_SECONDS = 10

_LAG = """
SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
  CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
       ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END,
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
"""
_FOLLOWERS = """
SELECT coalesce(application_name, client_addr::text), coalesce(extract(epoch FROM replay_lag), 0)
FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 2 DESC
"""
_ABANDONED = "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active ORDER BY 1"
_POOL_USE = """
SELECT 100.0 * count(*) / current_setting('max_connections')::int FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""
_INDEX_HITS = """
SELECT 100.0 * sum(idx_blks_hit) / nullif(sum(idx_blks_hit + idx_blks_read), 0) FROM pg_statio_user_indexes
"""
_MEAN_QUERY_TIME = """
SELECT sum(total_exec_time) / nullif(sum(calls), 0) FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
WHERE datname = %(database)s OR %(database)s = 'postgres'
"""


def socket_or_host(value: Any) -> str:
    """The directory of the server's socket, or the host to reach over TLS."""
    return text(value) if str(value).startswith("/") else any_host(value)


@dataclass(frozen=True, kw_only=True)
class Postgresql(Check):
    KIND = "postgresql"
    AREA = "data"

    host: str = option(socket_or_host, "/var/run/postgresql")
    port: int = option(port, 5432)
    database: str = option(text, _MAINTENANCE)
    username: str = option(text, "postgres")
    password: str | None = option(text, None, secret=True)
    ca: str = option(absolute_path, "/etc/ssl/certs/ca-certificates.crt")
    query: str | None = option(text, None)
    limit: Limit | None = option(any_limit, None)
    unit: str | None = option(text, None)
    replication_lag: Limit | None = option(limit_in("s"), None)
    pool_use: Limit | None = option(limit_in("%"), None)
    index_hits: Limit | None = option(limit_in("%"), None)
    mean_query_time: Limit | None = option(limit_in("ms"), None)

    def __post_init__(self) -> None:
        if (self.query is None) != (self.limit is None):
            raise ValueError("query and limit go together: limit is for the first value that query gives")
        if self.unit and self.limit and self.limit.unit:
            self.limit.measured(1, self.unit)

    @property
    def aspect(self) -> str:
        return next((name for name, limit in self._limits if limit), "query" if self.query else "answers")

    @property
    def statement(self) -> str:
        told = [f"{name.replace('_', ' ')} {limit}" for name, limit in self._limits if limit]
        told += [f"{self.query} {self.limit}"] if self.query else []
        return f"PostgreSQL {self.database}: " + (", ".join(told) or "it answers")

    @property
    def endpoint(self) -> str | None:
        return None if self.host.startswith("/") else f"{join_host_port(self.host, self.port)}/{self.database}"

    @property
    def _limits(self) -> list[tuple[str, Limit | None]]:
        names = ("replication_lag", "pool_use", "index_hits", "mean_query_time")
        return [(name, getattr(self, name)) for name in names]

    async def measure(self, client: HttpClient) -> list[Finding]:
        if psycopg2 is None:
            raise CheckUnknown("this host's Python has no psycopg2: install python3-psycopg2")
        try:
            return await asyncio.to_thread(self._findings)
        except psycopg2.Error as error:
            raise CheckFailed(_words(error)) from error

    def _findings(self) -> list[Finding]:
        with closing(self._connect(self.database)) as connection:
            findings = [Finding("pass", "answers")]
            if self.query and self.limit:
                findings.append(self._answer(connection, self.query, self.limit))
            if self.replication_lag:
                findings += _replication(connection, self.replication_lag)
            if self.pool_use:
                findings.append(within(self.pool_use, _number(connection, _POOL_USE), "%", "used connections"))
            if self.index_hits:
                findings.append(_share_of_hits(connection, self.index_hits))
            if self.mean_query_time:
                findings.append(self._mean_query_time(connection, self.mean_query_time))
        # What was measured is worth more in a result than that it answers.
        return findings[1:] or findings

    def _connect(self, database: str) -> Any:
        remote = not self.host.startswith("/")
        connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user=self.username,
            password=self.password,
            connect_timeout=_ANSWER_SECONDS,
            application_name="slipway-health",
            options=f"-c default_transaction_read_only=on -c statement_timeout={_ANSWER_SECONDS}s",
            **({"sslmode": "verify-full", "sslrootcert": self.ca} if remote else {}),
        )
        connection.autocommit = True
        return connection

    def _answer(self, connection: Any, query: str, limit: Limit) -> Finding:
        rows = _rows(connection, query)
        if not rows or rows[0][0] is None:
            return Finding("fail", limit=limit.bare, reason=f"{query} gives no value, wanted {limit}")
        value = rows[0][0]
        if isinstance(limit.value, str) or not isinstance(value, numbers.Number) or isinstance(value, bool):
            told = str(value).lower() if isinstance(value, bool) else str(value)
            kept = limit.satisfied(told)
            reason = None if kept else f"{query} gives {told[:200]}, wanted {limit}"
            return Finding("pass" if kept else "fail", told[:200], limit=limit.bare, reason=reason)
        return within(limit, _exact(value), self.unit or limit.unit or "1", query)

    def _mean_query_time(self, connection: Any, limit: Limit) -> Finding:
        """Of the database's statements, or of the whole server's; role postgresql keeps the view in one database."""
        if self.database == _MAINTENANCE:
            return _mean(connection, self.database, limit)
        with closing(self._connect(_MAINTENANCE)) as maintenance:
            return _mean(maintenance, self.database, limit)


def _exact(value: Any) -> int | float:
    """An integer or numeric of the server, every digit of a whole one."""
    number = float(value)
    return int(value) if math.isfinite(number) and value == int(value) else number


def _mean(connection: Any, database: str, limit: Limit) -> Finding:
    try:
        value = _number(connection, _MEAN_QUERY_TIME, {"database": database})
    except psycopg2.errors.UndefinedTable as error:
        raise CheckUnknown(
            f"the database {_MAINTENANCE} has no pg_stat_statements: CREATE EXTENSION pg_stat_statements there"
        ) from error
    if value is None:
        return Finding("skip", limit=limit.bare, reason="no statement was counted yet")
    return within(limit, value, "ms", "the mean time of a statement")


def _replication(connection: Any, limit: Limit) -> Iterable[Finding]:
    """On a standby how old what it shows is; on a primary how far the slowest standby is behind."""
    standby, streaming, lag, shown = _rows(connection, _LAG)[0]
    if standby and not streaming:
        age = None if shown is None else round(float(shown), 1)
        reason = "the standby receives nothing from its primary: is it up, is the slot there? See the server's log"
        return [Finding("fail", age, "s", limit.bare, f"{reason} (the last change it has is {age} s old)")]
    if standby:
        return [within(limit, float(lag), "s", "the standby's lag")]
    followers = _rows(connection, _FOLLOWERS)
    abandoned = [name for (name,) in _rows(connection, _ABANDONED)]
    if abandoned:
        names = ", ".join(abandoned)
        reason = f"no standby is connected to the slot {names}, which holds the log back; start it, or drop the slot"
        return [Finding("fail", "not connected", limit=limit.bare, reason=reason)]
    if not followers:
        return [Finding("skip", limit=limit.bare, reason="no standby follows this server")]
    return [within(limit, float(seconds), "s", f"the lag of {name}") for name, seconds in followers]


def _share_of_hits(connection: Any, limit: Limit) -> Finding:
    value = _number(connection, _INDEX_HITS)
    if value is None:
        return Finding("skip", limit=limit.bare, reason="no index was read yet")
    return within(limit, value, "%", "index reads that memory served")


def _rows(connection: Any, query: str, values: dict[str, str] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def _number(connection: Any, query: str, values: dict[str, str] | None = None) -> Any:
    """The query's one value as a float, or None."""
    value = _rows(connection, query, values)[0][0]
    return None if value is None else float(value)


def _words(error: Exception) -> str:
    """The server's or library's first sentence, without the address that the subject has."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
