# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One open WebSocket, pinged at a fixed rate; what counts is that it is not cut."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable

from .connection import Connection, FailedRequest, open_connection
from .http1 import read_head, request_head, version_of
from .plan import Plan
from .tally import Outcome

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
# Closed so that the client comes again elsewhere: normal, going away, service restart.
_ORDERLY = (1000, 1001, 1012)
_LOST = "WebSocket cut: connection lost without a close frame"


class ClosedInOrder(Exception):
    """The service closed the WebSocket in order, so a ping that was under way is no failed request."""


def frame(opcode: int, payload: bytes) -> bytes:
    """A final client frame; clients must mask."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked


async def read_frame(connection: Connection) -> tuple[int, bytes]:
    """Opcode and payload of the next frame."""
    first, second = await connection.exactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(await connection.exactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await connection.exactly(8), "big")
    return first & 0x0F, await connection.exactly(length)


class WebSocket:
    """A request is a ping that gets its pong.

    Messages that the service sends are read for its version. `closed` is told the code of a close frame,
    `cut` why the WebSocket ended when no ping was under way to tell of it. The next request opens a new one.
    """

    def __init__(self, plan: Plan, closed: Callable[[str], None], cut: Callable[[str], None]) -> None:
        self._plan = plan
        self._target = plan.target("websocket")
        self._host, self._port = plan.endpoint("websocket")
        self._context = plan.tls_context() if self._target.tls else None
        self._closed = closed
        self._cut = cut
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: dict[bytes, asyncio.Future[None]] = {}
        self._version: str | None = None

    async def request(self) -> Outcome:
        async with self._opening:
            if self._connection is None:
                await self._open()
            connection = self._connection
        if connection is None:
            raise ClosedInOrder
        key = os.urandom(8)
        pong = self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            connection.send(frame(_PING, key))
            await pong
        except asyncio.CancelledError:  # it took too long: the next ping shall not wait on the same dead connection
            if self._connection is connection:
                self._drop()
            raise
        finally:
            self._pending.pop(key, None)
        return Outcome("pong", version=self._version)

    async def close(self) -> None:
        if self._connection:
            with contextlib.suppress(FailedRequest):
                self._connection.send(frame(_CLOSE, (1000).to_bytes(2, "big")))
            self._drop()

    def _drop(self) -> None:
        if self._reader:
            self._reader.cancel()
        if self._connection:
            self._connection.close()
        self._connection = self._reader = None

    async def _open(self) -> None:
        name = self._plan.server_name or self._target.host
        connection = await open_connection(self._host, self._port, self._context, name)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
            security = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
            connection.send(request_head("GET", self._plan, "websocket", upgrade | security))
            status, headers, _modern = await read_head(connection)
            if status != 101:
                raise FailedRequest(f"WebSocket refused: HTTP {status}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._version = version_of(self._plan, headers, b"")
        self._reader = asyncio.create_task(self._read(connection))

    async def _read(self, connection: Connection) -> None:
        """Reads until the end and says how it ended, to those who wait or else to `cut`."""
        reason: str | None = _LOST
        with contextlib.suppress(FailedRequest):  # lost, as it stands
            reason = await self._read_frames(connection)
        self._connection = None
        connection.close()
        waiting = [pong for pong in self._pending.values() if not pong.done()]
        for pong in waiting:
            pong.set_exception(FailedRequest(reason) if reason else ClosedInOrder())
        if reason and not waiting:
            self._cut(reason)

    async def _read_frames(self, connection: Connection) -> str | None:
        """Returns when the service closes: None when in order, else why it is a failure."""
        while True:
            opcode, payload = await read_frame(connection)
            if opcode == _PONG and payload in self._pending:
                pong = self._pending[payload]
                if not pong.done():
                    pong.set_result(None)
            elif opcode == _PING:
                connection.send(frame(_PONG, payload[:125]))
            elif opcode == _TEXT:
                self._version = version_of(self._plan, {}, payload) or self._version
            elif opcode == _CLOSE:
                code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                self._closed(str(code))
                return None if code in _ORDERLY else f"WebSocket closed by the service with code {code}"
