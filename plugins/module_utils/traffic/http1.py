# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTP/1.1 clients: one that keeps its connections, one that opens a new one each time. Nothing is ever sent twice."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .connection import Connection, FailedRequest, open_connection
from .plan import Plan
from .tally import Outcome

_BODYLESS = (204, 304)
_VERSION_LENGTH = 64
_BODY_READ_FOR_VERSION = 64 * 1024


@dataclass(frozen=True)
class Response:
    """Header names are lower case; `reusable` says whether the connection may carry another request."""

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


def request_head(method: str, plan: Plan, client: str, extra: dict[str, str]) -> bytes:
    """The head of a request; the plan's headers win over ours."""
    target = plan.target(client)
    headers = {"Host": target.authority, "User-Agent": "slipway-traffic", "Accept": "*/*", **extra}
    own = {name.lower() for name in plan.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own} | plan.headers
    lines = [f"{method} {target.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def version_of(plan: Plan, headers: dict[str, str], body: bytes) -> str | None:
    """Which version answered: the header `version_header`, else the field `version_field` of a JSON body."""
    version = headers.get(plan.version_header.lower()) if plan.version_header else None
    if version is None and plan.version_field and body[:1] == b"{" and len(body) <= _BODY_READ_FOR_VERSION:
        try:
            version = json.loads(body).get(plan.version_field)
        except ValueError:
            return None
    return None if version is None else str(version)[:_VERSION_LENGTH]


def outcome_of(plan: Plan, status: int, headers: dict[str, str], body: bytes) -> Outcome:
    """What a complete HTTP answer means."""
    reason = None if plan.succeeds(status) else f"HTTP {status}"
    return Outcome(str(status), reason, version_of(plan, headers, body))


async def read_head(connection: Connection) -> tuple[int, dict[str, str], bool]:
    """Status, headers and whether it is HTTP/1.1, of the next answer that is not merely informational."""
    while True:
        lines = (await connection.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise FailedRequest("the answer is not HTTP/1.1")
        status = int(rest[:3])
        if status >= 200 or status == 101:
            pairs = (line.partition(":") for line in lines[1:] if line)
            return status, {name.lower(): value.strip() for name, _, value in pairs}, version == "HTTP/1.1"


async def read_response(connection: Connection) -> Response:
    """One whole answer to a request that was not HEAD."""
    status, headers, modern = await read_head(connection)
    reusable = modern and "close" not in headers.get("connection", "").lower()
    if status in _BODYLESS:
        return Response(status, headers, b"", reusable)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Response(status, headers, await _read_chunks(connection), reusable)
    if "content-length" in headers:
        length = headers["content-length"]
        if not length.isdigit():
            raise FailedRequest("the answer is not HTTP: its Content-Length is no number")
        return Response(status, headers, await connection.exactly(int(length)), reusable)
    return Response(status, headers, await connection.rest(), False)


async def _read_chunks(connection: Connection) -> bytes:
    body = bytearray()
    while True:
        line = await connection.until(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise FailedRequest("the answer is not HTTP: a chunk's size is no number") from None
        if size == 0:
            while await connection.until(b"\r\n") != b"\r\n":  # trailers
                pass
            return bytes(body)
        chunk = await connection.exactly(size + 2)
        body += chunk[: max(_BODY_READ_FOR_VERSION + 1 - len(body), 0)]


class Http1:
    """What both kinds share. `closed` is told when the service closed a kept connection between requests."""

    def __init__(self, plan: Plan, client: str, closed: Callable[[str], None]) -> None:
        self._plan = plan
        self._target = plan.target(client)
        self._host, self._port = plan.endpoint(client)
        self._context = plan.tls_context() if self._target.tls else None
        self._closed = closed
        self._message = self._compose(client)

    def _compose(self, client: str) -> bytes:
        if client != "post":
            return request_head("GET", self._plan, client, {"Connection": "close"} if client == "fresh" else {})
        body = self._plan.body.encode()
        headers = {"Content-Type": self._plan.content_type, "Content-Length": str(len(body))}
        return request_head("POST", self._plan, client, headers) + body

    async def _open(self) -> Connection:
        name = self._plan.server_name or self._target.host
        return await open_connection(self._host, self._port, self._context, name)

    async def _exchange(self, connection: Connection) -> tuple[Outcome, bool]:
        connection.send(self._message)
        response = await read_response(connection)
        return outcome_of(self._plan, response.status, response.headers, response.body), response.reusable


class Fresh(Http1):
    """A connection for each request."""

    async def request(self) -> Outcome:
        connection = await self._open()
        try:
            return (await self._exchange(connection))[0]
        finally:
            connection.close()

    async def close(self) -> None:
        """Holds nothing."""


class Kept(Http1):
    """Opens `connections` of them, then uses the one that rested longest: each sees what befalls idle connections."""

    def __init__(self, plan: Plan, client: str, closed: Callable[[str], None]) -> None:
        super().__init__(plan, client, closed)
        self._idle: deque[Connection] = deque()
        self._busy = 0

    async def _take(self) -> Connection:
        while self._idle and len(self._idle) + self._busy >= self._plan.connections:
            connection = self._idle.popleft()
            if await connection.still_idle():
                return connection
            connection.close()
            self._closed("idle")
        return await self._open()

    async def request(self) -> Outcome:
        connection = await self._take()
        self._busy += 1
        reusable = False
        try:
            outcome, reusable = await self._exchange(connection)
        finally:
            self._busy -= 1
            if reusable and len(self._idle) < self._plan.connections:
                self._idle.append(connection)
            else:
                connection.close()
        return outcome

    async def close(self) -> None:
        while self._idle:
            self._idle.popleft().close()
