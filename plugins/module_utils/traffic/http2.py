# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTP/2 client over Debian's python3-h2: one connection with many requests under way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .connection import Connection, FailedRequest, open_connection
from .http1 import outcome_of
from .plan import Plan
from .tally import Outcome

_FRAME_HEAD = 9  # bytes
_GOAWAY = 7  # kept from the library, which would take no answers any more; what is under way still gets its own
_REFUSED_STREAM = 7  # error code: the service promises that it has not looked at the request
_MOST_TRIES = 3
_CUT = "HTTP/2 connection lost before the answer was complete"


class NotProcessed(Exception):
    """The service said that it never looked at this request, so sending it again sends it once."""


@dataclass
class _Stream:
    answered: asyncio.Future[None]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Session:
    """One connection and what is under way on it."""

    def __init__(self, connection: Connection, closed: Callable[[str], None]) -> None:
        import h2.connection  # noqa: PLC0415 - only hosts that use it have it

        self._connection = connection
        self._closed = closed
        self._h2 = h2.connection.H2Connection()
        self._streams: dict[int, _Stream] = {}
        self._ending = False
        self._h2.initiate_connection()
        self._flush()
        self._reader = asyncio.create_task(self._read())

    def accepts(self) -> bool:
        """Whether another request may start here: the service neither says goodbye nor has its fill."""
        room = self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams
        return room and not self._ending and self._connection.alive()

    async def request(self, headers: list[tuple[str, str]]) -> _Stream:
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = _Stream(asyncio.get_running_loop().create_future())
        try:
            self._h2.send_headers(number, headers, end_stream=True)
            self._flush()
            await stream.answered
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._streams.pop(number, None)
        return stream

    def busy(self) -> bool:
        """Whether answers are still to come; a session that ends and has none is closed for good."""
        if self._ending and not self._streams:
            self.close()
        return bool(self._streams)

    def close(self) -> None:
        self._ending = True
        self._reader.cancel()
        self._connection.close()

    def _give_up(self, number: int) -> None:
        import h2.exceptions  # noqa: PLC0415

        with contextlib.suppress(h2.exceptions.ProtocolError, FailedRequest):
            self._h2.reset_stream(number)
            self._flush()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._connection.send(data)

    async def _read(self) -> None:
        import h2.exceptions  # noqa: PLC0415

        reason = _CUT
        try:
            while True:
                head = await self._connection.exactly(_FRAME_HEAD)
                payload = await self._connection.exactly(int.from_bytes(head[:3], "big"))
                if head[3] == _GOAWAY:
                    self._goodbye(int.from_bytes(payload[:4], "big"))
                    continue
                for event in self._h2.receive_data(head + payload):
                    self._handle(event)
                self._flush()
        except FailedRequest:
            pass  # lost, as it stands
        except h2.exceptions.ProtocolError as error:
            reason = f"the answer is not HTTP/2: {type(error).__name__}"
        self._ending = True
        self._connection.close()
        for number in list(self._streams):
            self._end(number, FailedRequest(reason))

    def _handle(self, event: Any) -> None:
        """By the event's name, for the library is not there to be imported everywhere."""
        kind = type(event).__name__
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if kind == "DataReceived":
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if stream:
                stream.body += event.data
        elif stream and kind == "ResponseReceived":
            stream.headers = {_text(name).lower(): _text(value) for name, value in event.headers}
        elif kind == "StreamEnded":
            self._end(event.stream_id, None)
        elif kind == "StreamReset":
            refused = event.error_code == _REFUSED_STREAM
            reason = "the service reset the HTTP/2 stream"
            self._end(event.stream_id, NotProcessed() if refused else FailedRequest(reason))

    def _goodbye(self, last: int) -> None:
        """No more requests here; those after `last` were not processed, the others will still be answered."""
        if not self._ending:
            self._closed("goaway")
        self._ending = True
        for number in [number for number in self._streams if number > last]:
            self._end(number, NotProcessed())

    def _end(self, number: int, error: Exception | None) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.answered.done():
            return
        if error:
            stream.answered.set_exception(error)
        else:
            stream.answered.set_result(None)


class Http2:
    """All requests over one connection until the service ends it; then over a new one."""

    def __init__(self, plan: Plan, closed: Callable[[str], None]) -> None:
        self._plan = plan
        self._target = plan.target("http2")
        self._host, self._port = plan.endpoint("http2")
        self._context = plan.tls_context()
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._closed = closed
        self._opening = asyncio.Lock()
        self._sessions: list[_Session] = []
        own = {name.lower(): value for name, value in plan.headers.items()}
        authority = own.pop("host", self._target.authority)
        pseudo = {":method": "GET", ":scheme": "https", ":authority": authority, ":path": self._target.target}
        self._headers = list((pseudo | {"user-agent": "slipway-traffic", "accept": "*/*"} | own).items())

    async def request(self) -> Outcome:
        for _ in range(_MOST_TRIES):
            try:
                stream = await (await self._session()).request(self._headers)
            except NotProcessed:
                continue
            status = int(stream.headers.get(":status", "0"))
            return outcome_of(self._plan, status, stream.headers, bytes(stream.body))
        raise FailedRequest(f"the service refused the HTTP/2 request {_MOST_TRIES} times without looking at it")

    async def _session(self) -> _Session:
        async with self._opening:
            if not self._sessions or not self._sessions[-1].accepts():
                self._sessions = [session for session in self._sessions if session.busy()]
                self._sessions.append(await self._open())
            return self._sessions[-1]

    async def _open(self) -> _Session:
        name = self._plan.server_name or self._target.host
        connection = await open_connection(self._host, self._port, self._context, name)
        if connection.protocol() != "h2":
            connection.close()
            raise FailedRequest("the service does not offer HTTP/2")
        return _Session(connection, self._closed)

    async def close(self) -> None:
        for session in self._sessions:
            session.close()


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
