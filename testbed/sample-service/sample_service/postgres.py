"""Items in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import ConnectionPool

from .store import StoreError

WAIT = 5  # seconds for a connection


class PostgresStore:
    """A table of a PostgreSQL database, by a pooler of transactions or directly; away, it makes the service unready."""

    TABLE = """CREATE TABLE IF NOT EXISTS items (
        number bigint GENERATED ALWAYS AS IDENTITY, key text PRIMARY KEY, body text NOT NULL, digest text)"""
    UNFINISHED = "CREATE INDEX IF NOT EXISTS items_unfinished ON items (number) WHERE digest IS NULL"
    ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('sample-service'))"  # CREATE IF NOT EXISTS is not

    def __init__(self, url: str, password: str) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise StoreError(f"DATABASE_URL: {error}") from None
        # The pooler gives each transaction another connection, so nothing is prepared on one.
        options = {"password": password or None, "connect_timeout": WAIT, "prepare_threshold": None}
        self._pool = ConnectionPool(
            url,
            kwargs=options,
            min_size=1,
            max_size=4,
            timeout=WAIT,
            reconnect_timeout=2 * WAIT,  # its pauses double; begin anew with the next request
            check=ConnectionPool.check_connection,
            open=True,
        )
        self._made = False

    @contextmanager
    def _transaction(self, wait: float = WAIT) -> Iterator[psycopg.Connection]:
        with self._pool.connection(wait) as connection:
            if not self._made:
                for statement in (self.ONE_AT_A_TIME, self.TABLE, self.UNFINISHED):
                    connection.execute(statement)
                connection.commit()
                self._made = True
            yield connection

    def add(self, key: str, body: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO items (key, body) VALUES (%s, %s)", (key, body))

    def get(self, key: str) -> tuple[str, str | None] | None:
        with self._transaction() as connection:
            return connection.execute("SELECT body, digest FROM items WHERE key = %s", (key,)).fetchone()

    def unfinished(self, most: int) -> list[tuple[str, str]]:
        query = "SELECT key, body FROM items WHERE digest IS NULL ORDER BY number LIMIT %s"
        with self._transaction() as connection:
            return connection.execute(query, (most,)).fetchall()

    def finish(self, key: str, digest: str) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE items SET digest = %s WHERE key = %s", (digest, key))

    def ping(self) -> None:
        with self._transaction(wait=1) as connection:  # who asks for readiness does not wait long
            connection.execute("SELECT 1 FROM items LIMIT 1").fetchone()

    def close(self) -> None:
        self._pool.close()
