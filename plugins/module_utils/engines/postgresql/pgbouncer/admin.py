# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The administration of the host's own pgBouncer, by its socket as root: the kernel says who asks, not a password."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError

try:
    import psycopg2
except ImportError:  # said by Admin
    psycopg2 = None

SOCKET = "/run/pgbouncer"
PORT = 6432
_ADMINISTRATION = "pgbouncer"
_LOOKUP = "lookup."
_ANSWER_SECONDS = 10.0

Row = dict[str, Any]


class Admin:
    """A connection to the administration; it takes one command at a time."""

    def __init__(self, socket: str = SOCKET, port: int = PORT) -> None:
        if psycopg2 is None:
            raise PgbouncerError("Python has no psycopg2 here: install python3-psycopg2")
        self._connection: Any = None
        try:
            self._connection = psycopg2.connect(
                host=socket, port=port, user="root", dbname=_ADMINISTRATION, async_=True
            )
            self._wait(_ANSWER_SECONDS)
        except (psycopg2.Error, TimeoutError) as error:
            self.close()
            raise PgbouncerError(
                f"pgBouncer's administration, {socket}/.s.PGSQL.{port}, does not answer: {_first_line(error)};"
                " see journalctl -u pgbouncer"
            ) from error

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def command(self, words: str, timeout: float = _ANSWER_SECONDS) -> None:
        """Raises TimeoutError when it was not done after so many seconds; the connection is of no use then."""
        with self._connection.cursor() as cursor:
            self._run(cursor, words, timeout)

    def show(self, what: str) -> list[Row]:
        """The rows of a SHOW, for example of ``POOLS``."""
        with self._connection.cursor() as cursor:
            self._run(cursor, f"SHOW {what}", _ANSWER_SECONDS)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _run(self, cursor: Any, words: str, timeout: float) -> None:
        try:
            cursor.execute(words)
            self._wait(timeout)
        except psycopg2.Error as error:
            raise PgbouncerError(f"pgBouncer refused {words}: {_first_line(error)}") from error

    def _wait(self, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while (state := self._connection.poll()) != psycopg2.extensions.POLL_OK:
            reads = [self._connection] if state == psycopg2.extensions.POLL_READ else []
            writes = [] if reads else [self._connection]
            left = give_up - time.monotonic()
            if left <= 0 or not any(select.select(reads, writes, [], left)):
                raise TimeoutError(f"no answer within {seconds:g} s")


def databases(rows: Iterable[Row]) -> list[Row]:
    """Those of SHOW DATABASES that clients may ask for."""
    return [row for row in rows if row["name"] != _ADMINISTRATION and not row["name"].startswith(_LOOKUP)]


def lookups(rows: Iterable[Row], pools: Iterable[Row]) -> list[Row]:
    """Those by which the clients of these databases are looked up, on the same servers."""
    servers = {(row["host"], row["port"]) for row in pools}
    return [row for row in rows if row["name"].startswith(_LOOKUP) and (row["host"], row["port"]) in servers]


def quoted(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
