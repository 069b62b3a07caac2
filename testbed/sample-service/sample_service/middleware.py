"""Around every request: its id, its faults, its metrics and its line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import metrics
from .faults import ErrorRate
from .lifecycle import Lifecycle
from .settings import Settings

LOG = logging.getLogger("sample_service.access")

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# These tell the truth even in a release that breaks everything else.
HONEST = frozenset(("/health", "/api/health", "/api/health/detailed", "/ready", "/metrics"))


class Observed:
    """An ASGI application with what every request needs around it."""

    def __init__(self, app: App, settings: Settings, lifecycle: Lifecycle, path_of: Callable[[Message], str]) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._path_of = path_of
        self._errors = ErrorRate(settings.error_rate)
        self._latency = settings.latency
        self._identity = [
            (b"x-service-version", settings.version.encode()),
            (b"x-service-colour", settings.colour.encode()),
            (b"x-instance-id", settings.instance.encode()),
        ]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        request_id = request_id or uuid.uuid4().hex.encode()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), *self._identity, (b"x-request-id", request_id)]
                if self._lifecycle.draining:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        metrics.IN_FLIGHT.inc()
        try:
            await self._answer(scope, receive, send_with_headers)
        finally:
            metrics.IN_FLIGHT.dec()
            self._record(scope, status, time.perf_counter() - started, request_id)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] not in HONEST:
            if self._latency:
                await asyncio.sleep(self._latency)
            if self._errors.strikes():
                body = b'{"error": "this release leaks errors"}'
                headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
                await send({"type": "http.response.start", "status": 500, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await self._app(scope, receive, send)

    def _record(self, scope: Message, status: int, seconds: float, request_id: bytes) -> None:
        path = self._path_of(scope)
        metrics.REQUESTS.labels(scope["method"], path, status).inc()
        metrics.DURATION.labels(scope["method"], path).observe(seconds)
        if LOG.isEnabledFor(logging.INFO):
            fields = {
                "request_id": request_id.decode("latin-1"),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": round(seconds * 1000, 2),
            }
            LOG.info("request", extra={"fields": fields})
