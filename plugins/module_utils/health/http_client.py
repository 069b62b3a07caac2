# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small HTTP/1.1 client on asyncio streams: bounded in every direction, connections kept between requests.

It exists because the standard library's client blocks: a thread for each of a thousand slow answers is dear, and a
socket's timeout starts anew with every byte that a dripping server sends.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.slipway.ops.plugins.module_utils.health.connection import (
    Streams,
    connect,
    connect_unix,
    trust,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, explain
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port, split_host_port

BODY_LIMIT = 1024 * 1024
_HEADER_LINES = 256
_IDEMPOTENT = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Request:
    """What to ask; ``address`` (host or host:port) or the Unix ``socket`` is connected to instead of the URL's host."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ca: str | None = None
    address: str | None = None
    socket: str | None = None


@dataclass(frozen=True)
class Answer:
    """``headers`` by lower-case name, repeated ones joined; ``body`` up to ``BODY_LIMIT`` bytes; ``took`` seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    took: float

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class HttpClient:
    """Keeps idle connections for the next request to the same place. For one event loop."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str | None, ...], list[Streams]] = defaultdict(list)

    def close(self) -> None:
        for connections in self._idle.values():
            for _, writer in connections:
                writer.transport.abort()
        self._idle.clear()

    async def fetch(self, request: Request) -> Answer:
        """One request and its answer. The caller bounds the time; what goes wrong is CheckFailed."""
        started = time.monotonic()
        scheme, authority = _origin(request.url)
        key = (scheme, authority, request.address, request.ca, request.socket)
        if request.method in _IDEMPOTENT and self._idle[key]:
            try:
                return await self._exchange(self._idle[key].pop(), key, request, started)
            except _Unanswered:
                pass  # the server closed the idle connection: that says nothing about its health
        try:
            return await self._exchange(await _open(request), key, request, started)
        except _Unanswered as error:
            raise CheckFailed(f"{authority}: {error}") from error

    async def _exchange(
        self, streams: Streams, key: tuple[str | None, ...], request: Request, started: float
    ) -> Answer:
        reader, writer = streams
        reusable = False
        try:
            writer.write(_serialize(request))
            status, headers, persistent = await _read_head(reader)
            body, complete = await _read_body(reader, request.method, status, headers)
            reusable = complete and persistent and not _until_closed(request.method, status, headers)
            return Answer(status, headers, body, not complete, time.monotonic() - started)
        except (asyncio.LimitOverrunError, ValueError) as error:
            raise CheckFailed(f"{key[1]}: the answer is not valid HTTP/1.1: {error}") from error
        except asyncio.IncompleteReadError as error:
            raise CheckFailed(f"{key[1]}: the connection was closed in the middle of the answer") from error
        finally:
            if reusable:
                self._idle[key].append(streams)
            else:
                writer.transport.abort()


class _Unanswered(Exception):
    """The connection ended before the first byte of an answer."""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


async def _open(request: Request) -> Streams:
    if request.socket:
        return await connect_unix(request.socket)
    parts = urlsplit(request.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    context = trust(request.ca) if parts.scheme == "https" else None
    to_host, to_port = split_host_port(request.address, port) if request.address else (host, port)
    return await connect(to_host, to_port, context, server_name=host)


def _serialize(request: Request) -> bytes:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = 443 if parts.scheme == "https" else 80
    host = join_host_port(parts.hostname or "", parts.port) if parts.port not in (None, default) else parts.netloc
    headers = {"Host": host, "User-Agent": "slipway-health-check", "Accept": "*/*", "Accept-Encoding": "identity"}
    given = {name.lower() for name in request.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | request.headers
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8") + request.body


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bool]:
    """Status, headers and whether the connection may be kept; interim answers (1xx) are skipped."""
    while True:
        version, status = _status_line(await _first_line(reader))
        headers: dict[str, str] = {}
        for _ in range(_HEADER_LINES):
            line = (await reader.readuntil(b"\n")).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"a header line without a colon: {line[:60]!r}")
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        else:
            raise ValueError(f"more than {_HEADER_LINES} header lines")
        if status >= 200 or status == 101:
            return status, headers, version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise _Unanswered("the connection was closed without an answer") from error
    except OSError as error:
        raise _Unanswered(f"no answer: {explain(error)}") from error


def _status_line(line: bytes) -> tuple[str, int]:
    words = line.decode("latin-1").split(None, 2)
    if len(words) < 2 or words[0] not in ("HTTP/1.1", "HTTP/1.0") or not (words[1].isdigit() and len(words[1]) == 3):
        raise ValueError(f"it begins with {line[:60].decode('latin-1').strip()!r}; is this port another protocol's?")
    return words[0], int(words[1])


def _bodiless(method: str, status: int) -> bool:
    return method == "HEAD" or status in (101, 204, 304)


def _chunked(headers: dict[str, str]) -> bool:
    return "chunked" in headers.get("transfer-encoding", "").lower()


def _until_closed(method: str, status: int, headers: dict[str, str]) -> bool:
    return not (_bodiless(method, status) or _chunked(headers) or "content-length" in headers)


async def _read_body(
    reader: asyncio.StreamReader, method: str, status: int, headers: dict[str, str]
) -> tuple[bytes, bool]:
    """The body up to BODY_LIMIT and whether that is all of it."""
    if _bodiless(method, status):
        return b"", True
    if _chunked(headers):
        return await _read_chunks(reader)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return await reader.readexactly(min(length, BODY_LIMIT)), length <= BODY_LIMIT
    body = bytearray()
    while len(body) <= BODY_LIMIT and (piece := await reader.read(65536)):
        body += piece
    return bytes(body[:BODY_LIMIT]), len(body) <= BODY_LIMIT


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    body = bytearray()
    while True:
        size = int((await reader.readuntil(b"\n")).split(b";")[0].strip(), 16)
        if size == 0:
            break
        if len(body) + size > BODY_LIMIT:
            body += await reader.readexactly(BODY_LIMIT - len(body))
            return bytes(body), False
        body += await reader.readexactly(size)
        await reader.readuntil(b"\n")
    while (await reader.readuntil(b"\n")).strip():
        pass  # trailers
    return bytes(body), True
