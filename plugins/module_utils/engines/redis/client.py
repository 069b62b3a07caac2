# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The protocol of Redis and Valkey over a socket of this host: commands, and a snapshot as a replica would get it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import RedisError

_PATIENCE = 60.0  # seconds without a byte; while a snapshot is made the server sends one each second
_BLOCK = 1 << 20


class Client:
    """One connection. Answers are text, numbers, lists or None."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")

    def call(self, *words: str) -> Any:
        self._send(*words)
        return self._answer()

    def info(self, section: str) -> dict[str, str]:
        lines = (line.partition(":") for line in str(self.call("INFO", section)).splitlines() if ":" in line)
        return {name: value for name, _, value in lines}

    def keyspace(self) -> dict[str, dict[str, int]]:
        """By database, ``keys`` and ``expires``."""
        found = {}
        for name, value in self.info("keyspace").items():
            counts = dict(pair.partition("=")[::2] for pair in value.split(","))
            found[name] = {"keys": int(counts["keys"]), "expires": int(counts["expires"])}
        return found

    def await_primary(self, patience: float) -> None:
        """Until a replica follows its primary again, seconds at most; a server that is no replica is ready at once."""
        until = time.monotonic() + patience
        while (link := self.info("replication")).get("master_link_status", "up") != "up":
            if time.monotonic() >= until:
                primary = link.get("master_host", "its primary")
                raise RedisError(
                    f"this replica has not followed {primary} for {patience:g} s, so that it gives no snapshot: "
                    f"is {primary} running, and does it let this server in?"
                )
            time.sleep(0.5)

    def snapshot(self, sink: IO[bytes]) -> int:
        """All data of one moment, as an RDB; its bytes. The server makes it anew for this."""
        self._send("SYNC")
        line = self._line()
        while line == b"":  # it is being made
            line = self._line()
        if line[:1] == b"-":
            raise RedisError(f"the server gives no snapshot: {line[1:].decode(errors='replace')}")
        if line[:1] != b"$" or not line[1:].isdigit():
            raise RedisError(f"the server answered {line[:60]!r} instead of a snapshot")
        size = left = int(line[1:])
        while left:
            block = self._stream.read(min(left, _BLOCK))
            if not block:
                raise RedisError(f"the server ended in the middle of its snapshot: {left} bytes of {size} are missing")
            sink.write(block)
            left -= len(block)
        return size

    def _send(self, *words: str) -> None:
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)]
        self._connection.sendall(b"".join(parts))

    def _line(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise RedisError("the server closed the connection: its log says why")
        return line.strip()

    def _answer(self) -> Any:
        line = self._line()
        kind, rest = line[:1], line[1:].decode(errors="replace")
        if kind == b"-":
            raise RedisError(f"the server says: {rest}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._stream.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        return rest


@contextmanager
def connected(path: str, user: str = "", password: str = "") -> Iterator[Client]:
    """The server that listens on a socket of this host, for as long as the block lasts."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(path)
            client = Client(connection)
            if user:
                client.call("AUTH", user, password)
            yield client
        except OSError as error:
            raise RedisError(f"the server on {path} cannot be asked ({error}): is it running?") from error
