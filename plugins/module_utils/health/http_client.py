# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small HTTP/1.1 client on asyncio streams: bounded in every direction, connections kept between requests.

It exists because the standard library's client blocks: a thread for each of a thousand slow answers is dear, and a
socket's timeout starts anew with every byte that a dripping server sends.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
import time
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.health.connection import (
    Streams,
    connect,
    connect_unix,
    trust,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, explain
from ansible_collections.slipway.ops.plugins.module_utils.net.address import split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.url import parse_url, percent_encoded

BODY_LIMIT = 1024 * 1024
_HEADER_LINES = 256
_META_CHARSET = re.compile(rb"""<meta[^>]+charset=["']?([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15  # what zlib calls window bits
_UNREADABLE = ("br", "zstd", "compress", "x-compress", "dcb", "dcz")
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
    """``headers`` by lower-case name, repeated ones joined; ``body`` up to ``BODY_LIMIT`` bytes; ``took`` seconds.

    ``coding`` names what the body is still encoded with, where the standard library cannot decode it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    took: float
    coding: str = ""

    @property
    def text(self) -> str:
        return self.body.decode(self._charset or "utf-8", errors="replace")

    def json(self) -> Any:
        """The body as JSON, by RFC 8259 in UTF-8 unless the server says otherwise; ValueError when it is none."""
        try:
            return json.loads(self.body.decode(self._charset) if self._charset else self.body)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error

    @property
    def _charset(self) -> str | None:
        """The character set that Content-Type or, in HTML, a meta element names; None for UTF-8 and unknown ones."""
        message = Message()
        message["Content-Type"] = self.headers.get("content-type", "")
        name = message.get_content_charset()
        if name is None and message.get_content_type() == "text/html":
            meta = _META_CHARSET.search(self.body[:1024])
            name = meta[1].decode() if meta else None
        try:
            b"a".decode(name or "utf-8", errors="replace")  # some codecs of Python are no character sets
            return None if codecs.lookup(name or "utf-8").name == "utf-8" else name
        except (LookupError, UnicodeError, ValueError):
            return None


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
        url = parse_url(request.url)
        authority = url.authority
        key = (url.scheme, authority, request.address, request.ca, request.socket)
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
            took = time.monotonic() - started
            reusable = complete and persistent and not _until_closed(request.method, status, headers)
            decoded, coding = _decode(body, headers.get("content-encoding", ""), complete)
            whole = complete and len(decoded) <= BODY_LIMIT
            return Answer(status, headers, decoded[:BODY_LIMIT], not whole, took, coding)
        except (asyncio.LimitOverrunError, ValueError, zlib.error) as error:
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


async def _open(request: Request) -> Streams:
    if request.socket:
        return await connect_unix(request.socket)
    url = parse_url(request.url)
    host, port = split_host_port(request.address, url.port) if request.address else (url.host, url.port)
    return await connect(host, port, trust(request.ca) if url.tls else None, server_name=url.host)


def _serialize(request: Request) -> bytes:
    url = parse_url(request.url)
    headers = {"Host": url.authority, "User-Agent": "slipway-health-check"}
    headers |= {"Accept": "*/*", "Accept-Encoding": "identity"}
    given = {name.lower() for name in request.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | request.headers
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(request.body))
    head = f"{request.method} {url.target} HTTP/1.1"
    lines = [head, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8") + request.body


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bool]:
    """Status, headers and whether the connection may be kept; interim answers (1xx) are skipped."""
    while True:
        version, status = _status_line(await _first_line(reader))
        headers = _headers(await _header_lines(reader))
        if status >= 200 or status == 101:
            return status, headers, version != "HTTP/1.0" and "close" not in headers.get("connection", "").lower()


async def _header_lines(reader: asyncio.StreamReader) -> list[bytes]:
    """The lines up to the empty one; one that is folded (RFC 9112, 5.2) is one line."""
    lines: list[bytes] = []
    for _ in range(_HEADER_LINES):
        line = (await reader.readuntil(b"\n")).rstrip(b"\r\n")
        if not line:
            return lines
        if lines and line[:1] in (b" ", b"\t"):
            lines[-1] += b" " + line.strip()
        else:
            lines.append(line)
    raise ValueError(f"more than {_HEADER_LINES} header lines")


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"a header line without a colon: {line[:60].decode('latin-1')!r}")
        key = name.strip().decode("latin-1").lower()
        # Servers send names of files in Location as they are; what a URL may hold is ASCII.
        told = percent_encoded(value.strip()) if key == "location" else _words(value.strip())
        headers[key] = f"{headers[key]}, {told}" if key in headers and key != "location" else told
    return headers


def _words(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


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
        length = _length(headers["content-length"])
        return await reader.readexactly(min(length, BODY_LIMIT)), length <= BODY_LIMIT
    body = bytearray()
    while len(body) <= BODY_LIMIT and (piece := await reader.read(65536)):
        body += piece
    return bytes(body[:BODY_LIMIT]), len(body) <= BODY_LIMIT


def _length(value: str) -> int:
    """Of a Content-Length; several that agree are one (RFC 9110, 8.6)."""
    told = {item.strip() for item in value.split(",")}
    length = told.pop()
    if told or not re.fullmatch(r"[0-9]{1,18}", length):
        raise ValueError(f"its Content-Length is {value[:60]!r}")
    return int(length)


def _decode(body: bytes, codings: str, complete: bool) -> tuple[bytes, str]:
    """The body without its codings, and the one that cannot be undone here. Names that are no coding mean none."""
    for coding in reversed([name.strip().lower() for name in codings.split(",")]):
        if not body or coding in _UNREADABLE:
            return body, coding if body else ""
        if coding in ("gzip", "x-gzip"):
            body = _inflated(body, _GZIP, complete)
        elif coding == "deflate":
            # zlib's format is meant (RFC 9110, 8.4.1.2), but some servers send what is inside of it.
            zlibs = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            body = _inflated(body, _ZLIB if zlibs else _DEFLATE, complete)
    return body, ""


def _inflated(body: bytes, window: int, complete: bool) -> bytes:
    """At most one byte more than BODY_LIMIT; of gzip every member."""
    inflated = b""
    while body and len(inflated) <= BODY_LIMIT:
        decoder = zlib.decompressobj(window)
        inflated += decoder.decompress(body, BODY_LIMIT + 1 - len(inflated))
        if not decoder.eof:
            if complete and len(inflated) <= BODY_LIMIT:
                raise ValueError("its compressed body ends in the middle")
            break
        body = decoder.unused_data if window == _GZIP else b""
    return inflated


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
