# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections to the host's own server as its superuser by the socket: the kernel says who asks, not a password."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError

try:
    import psycopg2
except ImportError:  # said by connect()
    psycopg2 = None

SOCKET = "/var/run/postgresql"
SUPERUSER = "postgres"
_TRY_AGAIN_AFTER = 0.25


@contextmanager
def acting_as(user: str) -> Iterator[None]:
    """Root acts as the user within; anybody else stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    account = pwd.getpwnam(user)
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def connect(database: str = SUPERUSER, port: int = 5432, *, wait: float = 0.0, socket: str = SOCKET) -> Any:
    """An autocommitting connection whose statements leave no trace in logs and statistics.

    ``wait`` is how many seconds a server that is still starting is waited for.
    """
    if psycopg2 is None:
        raise PostgresqlError("Python has no psycopg2 here: install python3-psycopg2")
    give_up = time.monotonic() + wait
    while True:
        try:
            return _connect(database, port, socket)
        except psycopg2.OperationalError as error:
            if time.monotonic() >= give_up:
                raise PostgresqlError(
                    f"the server on port {port} of this host does not answer: {_first_line(error)};"
                    " see journalctl -u 'postgresql@*' and /var/log/postgresql"
                ) from error
            time.sleep(_TRY_AGAIN_AFTER)


def _connect(database: str, port: int, socket: str) -> Any:
    with acting_as(SUPERUSER):
        connection = psycopg2.connect(
            host=socket, port=port, user=SUPERUSER, dbname=database, connect_timeout=10, application_name="slipway"
        )
    connection.autocommit = True
    with connection.cursor() as cursor:
        # A verifier is no password, yet nobody needs to read it.
        cursor.execute(
            "SET log_statement = none; SET log_min_duration_statement = -1; SET log_min_error_statement = panic;"
            "SET pg_stat_statements.track = none; SET lock_timeout = '30s'"
        )
    return connection


def rows(connection: Any, query: Any, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
