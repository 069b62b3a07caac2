# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A TCP or TLS connection that knows exactly when and how it ended."""

from __future__ import annotations

import asyncio
import errno
import select
import ssl
from typing import cast

LARGEST_HEAD = 64 * 1024
LARGEST_ANSWER = 16 * 1024 * 1024

_OPEN_ERRORS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset while it was being opened",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "connection timed out",
}


class FailedRequest(Exception):
    """A request did not get its answer; the text says why in a few words that do not vary from request to request."""


class Connection(asyncio.Protocol):
    """Bytes received wait in a buffer until they are read; reading past the end raises FailedRequest."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # clients call these

    def send(self, data: bytes) -> None:
        if self._ended or self._transport is None:
            raise self._cut()
        self._transport.write(data)

    async def until(self, separator: bytes) -> bytes:
        """Everything up to and with a separator that must come within 64 KiB."""
        while (position := self._buffer.find(separator)) < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise FailedRequest("the answer is not HTTP: a line or head is longer than 64 KiB")
            await self._more()
        return self._take(position + len(separator))

    async def exactly(self, count: int) -> bytes:
        if count > LARGEST_ANSWER:
            raise FailedRequest("the answer is larger than 16 MiB")
        while len(self._buffer) < count:
            await self._more()
        return self._take(count)

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        while not self._ended:
            if len(self._buffer) > LARGEST_ANSWER:
                raise FailedRequest("the answer is larger than 16 MiB")
            await self._more()
        if self._error:
            raise self._cut()
        return self._take(len(self._buffer))

    def alive(self) -> bool:
        """Whether no end was seen yet."""
        return self._transport is not None and not (self._ended or self._transport.is_closing())

    def protocol(self) -> str | None:
        """What was negotiated in the TLS handshake (ALPN)."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return tls.selected_alpn_protocol() if tls else None

    async def still_idle(self) -> bool:
        """Whether a kept connection can carry another request: neither closed nor holding bytes nobody asked for.

        An end that the kernel has but the event loop has not read yet is seen too, so only an end that arrives after
        the request has left counts against the service.
        """
        if self._transport is None or not self.alive():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        if poll.poll(0):
            for _ in range(3):  # let the loop read it, and TLS decrypt it
                await asyncio.sleep(0)
        return self.alive() and not self._buffer

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    async def _more(self) -> None:
        if self._ended:
            raise self._cut()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _cut(self) -> FailedRequest:
        how = "reset" if isinstance(self._error, ConnectionResetError | BrokenPipeError) else "closed"
        return FailedRequest(f"connection {how} before the answer was complete")


async def open_connection(host: str, port: int, context: ssl.SSLContext | None, server_name: str | None) -> Connection:
    """A connection, through its TLS handshake when there is a context; FailedRequest when it cannot be had."""
    loop = asyncio.get_running_loop()
    try:
        _transport, connection = await loop.create_connection(
            Connection, host, port, ssl=context, server_hostname=server_name if context else None
        )
    except ssl.SSLCertVerificationError as error:
        raise FailedRequest(f"certificate not accepted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise FailedRequest(f"TLS handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}") from None
    except OSError as error:
        number = errno.ECONNRESET if isinstance(error, ConnectionResetError) else error.errno or 0
        other = f"connection cannot be opened: {error.strerror or error or type(error).__name__}"
        raise FailedRequest(_OPEN_ERRORS.get(number, other)) from None
    return connection
