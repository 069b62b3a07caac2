"""Items in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

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
        self._url, self._password = url, password
        self._renewing, self._renewed = Lock(), 0.0
        self._pool = self._opened()
        self._made = False

    def _opened(self) -> ConnectionPool:
        # The pooler gives each transaction another connection, so nothing is prepared on one. A peer that is gone
        # without a word is given up after that many milliseconds.
        options = {
            "password": self._password or None,
            "connect_timeout": WAIT,
            "prepare_threshold": None,
            "tcp_user_timeout": 1000 * WAIT,
            "keepalives_idle": WAIT,
        }
        return ConnectionPool(
            self._url,
            kwargs=options,
            min_size=1,
            max_size=4,
            timeout=WAIT,
            reconnect_timeout=2 * WAIT,  # its pauses double; begin anew with the next request
            check=ConnectionPool.check_connection,
            open=True,
        )

    def _renew(self) -> None:
        """A new pool in place of one that does not answer, whatever became of its connections."""
        with self._renewing:
            if time.monotonic() - self._renewed < 2 * WAIT:
                return
            self._renewed = time.monotonic()
            old, self._pool = self._pool, self._opened()
        old.close(timeout=0)

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
        try:
            with self._transaction(wait=1) as connection:  # who asks for readiness does not wait long
                connection.execute("SELECT 1 FROM items LIMIT 1").fetchone()
        except psycopg.Error:  # a pool's timeout is one
            self._renew()
            raise

    def close(self) -> None:
        self._pool.close()
