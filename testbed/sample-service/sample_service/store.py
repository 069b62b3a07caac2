"""Where items are kept: DATABASE_URL's scheme chooses. A new kind is a class and a line in `open_store`."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit


class StoreError(Exception):
    """The store cannot be opened."""


class Store(Protocol):
    """Blocking calls, safe from several threads."""

    def add(self, key: str, body: str) -> None: ...
    def get(self, key: str) -> tuple[str, str | None] | None:
        """Body and digest (None until a worker has made it), or None when there is no such item."""

    def unfinished(self, most: int) -> list[tuple[str, str]]:
        """Keys and bodies of items without a digest, oldest first."""

    def finish(self, key: str, digest: str) -> None: ...
    def ping(self) -> None:
        """Returns when the store answers, raises when not."""

    def close(self) -> None: ...


class SqliteStore:
    """A file on a volume; several processes of one host may share it."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS items (key TEXT PRIMARY KEY, body TEXT NOT NULL, digest TEXT)"
            )
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; mount a writable volume on {path.parent} or set DATABASE_URL") from None
        self._lock = threading.Lock()

    def add(self, key: str, body: str) -> None:
        with self._lock:
            self._connection.execute("INSERT INTO items (key, body) VALUES (?, ?)", (key, body))

    def get(self, key: str) -> tuple[str, str | None] | None:
        with self._lock:
            return self._connection.execute("SELECT body, digest FROM items WHERE key = ?", (key,)).fetchone()

    def unfinished(self, most: int) -> list[tuple[str, str]]:
        query = "SELECT key, body FROM items WHERE digest IS NULL ORDER BY rowid LIMIT ?"
        with self._lock:
            return self._connection.execute(query, (most,)).fetchall()

    def finish(self, key: str, digest: str) -> None:
        with self._lock:
            self._connection.execute("UPDATE items SET digest = ? WHERE key = ?", (digest, key))

    def ping(self) -> None:
        with self._lock:
            self._connection.execute("SELECT 1 FROM items LIMIT 1").fetchone()

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def open_store(url: str, password: str = "") -> Store:
    """The store at `url`, e.g. ``sqlite:////data/items.db`` or ``postgresql://sample@app1:6432/sample?sslmode=verify-full``."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return SqliteStore(Path(parts.path[1:]))
    if parts.scheme == "postgresql":
        from .postgres import PostgresStore  # noqa: PLC0415 (its driver is wanted only where it is used)

        return PostgresStore(url, password)
    known = "sqlite:////path/to/file and postgresql://user@host/database"
    raise StoreError(f"DATABASE_URL={parts.scheme}://…: this service knows {known}")
