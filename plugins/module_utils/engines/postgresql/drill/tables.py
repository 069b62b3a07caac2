# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A moment of a running PostgreSQL that a restore can be brought to, and what is in every table at that moment.

Writers wait for the blink in which the restore point is made: while all tables are locked against writes nothing can
commit between the snapshot and the point. Reading the tables then takes as long as it takes, in the snapshot alone.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import SOCKET, connect, rows

try:
    from psycopg2 import Error, errors
except ImportError:  # said by connect()
    Error, errors = OSError, None

ATTEMPTS = 20
_PAUSE = 1.0  # seconds between two attempts, in which writers go on
# Text of a row must not depend on the server that makes it.
_CANONICAL = (
    "SET search_path = pg_catalog; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601';"
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lc_monetary = 'C'; SET row_security = off;"
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY n.nspname, c.relname
"""
_BLOCKERS = """
SELECT format('process %s of %s in %s, in a transaction since %s', a.pid, a.usename, a.datname, a.xact_start)
  FROM pg_stat_activity a
 WHERE a.xact_start < now() - interval '1 second' AND a.backend_xid IS NOT NULL ORDER BY a.xact_start LIMIT 1
"""

_CONTENT = """
SELECT count(*), coalesce(sum(hashtextextended((slipway_row.*)::text, 0)), 0)::text FROM ONLY {} AS slipway_row
"""


@dataclass(frozen=True)
class Table:
    """A table; ``name`` is how people and patterns write it."""

    database: str
    schema: str
    table: str

    @property
    def name(self) -> str:
        return f"{self.database}.{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.table)}"


@dataclass(frozen=True)
class Content:
    """How many rows, and a hash that does not depend on their order."""

    rows: int
    hash: str


@dataclass
class Point:
    """The named moment. ``segment`` is the WAL that has it, ``held`` for how many seconds writers waited at most."""

    name: str
    segment: str
    held: float
    tables: list[Table]
    snapshots: dict[str, Any]

    def contents(self) -> dict[Table, Content]:
        """What is in the tables at that moment."""
        return {table: content(self.snapshots[table.database], table) for table in self.tables}


def open_canonical(database: str, port: int, socket: str = SOCKET) -> Any:
    """A connection in which rows have the same text on every server."""
    connection = connect(database, port, socket=socket)
    with connection.cursor() as cursor:
        cursor.execute(_CANONICAL)
    return connection


def tables_of(connection: Any, database: str, excluded: Sequence[str]) -> list[Table]:
    """The tables that a restore brings back, without those that match a pattern; unlogged ones come back empty."""
    found = [Table(database, schema, name) for schema, name in rows(connection, _TABLES)]
    return [table for table in found if not any(fnmatch.fnmatchcase(table.name, pattern) for pattern in excluded)]


def content(connection: Any, table: Table) -> Content:
    """Reads all of a table: the sum of its rows' 64-bit hashes does not depend on their order."""
    try:
        ((count, total),) = rows(connection, _CONTENT.format(table.sql))
    except Error as error:
        raise DrillError(f"the table {table.name} cannot be read: {_first_line(error)}") from error
    return Content(count, total)


@contextmanager
def held(name: str, port: int, excluded: Sequence[str]) -> Iterator[Point]:
    """A restore point of that name, with snapshots of exactly that moment for as long as the block lasts.

    Writers that are in the way are waited for briefly, so that no deadlock can arise, and again and again.
    """
    for attempt in range(ATTEMPTS):
        with ExitStack() as stack:
            try:
                point = _attempt(name, port, excluded, stack)
            except (errors.QueryCanceled, errors.LockNotAvailable, errors.UndefinedTable) as error:
                if attempt == ATTEMPTS - 1:
                    raise DrillError(_busy(port, error)) from error
                time.sleep(_PAUSE)
                continue
            except Error as error:
                raise DrillError(f"the source's tables cannot be held still: {_first_line(error)}") from error
            yield point
            return


def _attempt(name: str, port: int, excluded: Sequence[str], stack: ExitStack) -> Point:
    snapshots: dict[str, Any] = {}
    tables: list[Table] = []
    control = stack.enter_context(_closing(open_canonical("postgres", port)))
    patience = _patience(control)
    for (database,) in rows(control, _DATABASES):
        session = stack.enter_context(_closing(open_canonical(database, port)))
        found = tables_of(session, database, excluded)
        _execute(session, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _execute(session, f"SET LOCAL statement_timeout = {patience}")
        if found:
            # Kept to the end: no TRUNCATE or ALTER while the tables are read.
            _lock(session, found, "ACCESS SHARE")
        snapshots[database] = session
        tables += found
    began = time.monotonic()
    for database, session in snapshots.items():
        _execute(session, "SAVEPOINT still")
        mine = [table for table in tables if table.database == database]
        if mine:
            _lock(session, mine, "SHARE")
    for session in snapshots.values():
        rows(session, "SELECT pg_current_snapshot()")  # the first query makes the snapshot
    ((lsn,),) = rows(control, "SELECT pg_create_restore_point(%s)::text", (name,))
    for session in snapshots.values():
        _execute(session, "ROLLBACK TO SAVEPOINT still")  # writers go on
        _execute(session, "SET LOCAL statement_timeout = 0")
    still = time.monotonic() - began
    ((segment,),) = rows(control, "SELECT pg_walfile_name(%s::pg_lsn)", (lsn,))
    rows(control, "SELECT pg_switch_wal()")
    return Point(name, segment, round(still, 3), tables, snapshots)


def _patience(connection: Any) -> int:
    """Milliseconds for which a lock may be waited for: less than it takes anyone to look for a deadlock, for who looks
    finds one and aborts, and that must not be the application."""
    ((timeout,),) = rows(connection, "SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'")
    return max(10, timeout * 7 // 10)


def _lock(session: Any, tables: Sequence[Table], mode: str) -> None:
    names = ", ".join(f"ONLY {table.sql}" for table in tables)
    _execute(session, f"LOCK TABLE {names} IN {mode} MODE")


def _busy(port: int, error: BaseException) -> str:
    with _closing(open_canonical("postgres", port)) as control:
        found = rows(control, _BLOCKERS)
    who = f"; in the way is {found[0][0]}" if found else ""
    return f"the source's tables were never free of long write transactions in {ATTEMPTS} attempts{who}" + (
        "" if found else f": {_first_line(error)}"
    )


@contextmanager
def _closing(connection: Any) -> Iterator[Any]:
    try:
        yield connection
    finally:
        connection.close()


def _execute(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
