"""The application: what it answers to whom."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from . import metrics
from .lifecycle import Lifecycle
from .middleware import App, Message, Observed
from .settings import Settings
from .store import Store

LARGEST_ITEM = 1024 * 1024  # bytes
LONGEST_WORK = 60_000  # milliseconds


class Service:
    """The endpoints of one instance."""

    def __init__(self, settings: Settings, store: Store, lifecycle: Lifecycle) -> None:
        self._settings = settings
        self._store = store
        self._lifecycle = lifecycle
        self._started = time.monotonic()

    def routes(self) -> list[Route | WebSocketRoute]:
        return [
            Route("/", self.version),
            Route("/version", self.version),
            Route("/health", self.health),
            Route("/api/health", self.health),
            Route("/api/health/detailed", self.health_detailed),
            Route("/ready", self.ready),
            Route("/work", self.work),
            Route("/stream", self.stream),
            Route("/items", self.add_item, methods=["POST"]),
            Route("/items/{key}", self.get_item),
            Route("/api/models", self.models),
            Route("/api/users", self.users),
            WebSocketRoute("/ws", self.echo),
            *([] if self._settings.metrics_port else [Route("/metrics", self.metrics)]),
        ]

    def _identity(self) -> dict[str, str]:
        return {
            "version": self._settings.version,
            "colour": self._settings.colour,
            "instance": self._settings.instance,
        }

    async def version(self, request: Request) -> Response:
        return JSONResponse({"service": "sample", **self._identity()})

    async def health(self, request: Request) -> Response:
        """Alive: does not ask the store, for a restart would not mend that."""
        failing = self._settings.fail_health
        return JSONResponse({"status": "failing" if failing else "ok"}, 503 if failing else 200)

    async def _unready(self) -> str | None:
        if self._lifecycle.draining:
            return "draining"
        if self._settings.fail_health:
            return "failing"
        try:
            await run_in_threadpool(self._store.ping)
        except Exception as error:  # whatever a store's driver raises means the same here
            return f"store: {error}"
        return None

    async def ready(self, request: Request) -> Response:
        reason = await self._unready()
        return JSONResponse({"ready": reason is None, "reason": reason}, 503 if reason else 200)

    async def health_detailed(self, request: Request) -> Response:
        reason = await self._unready()
        uptime = round(time.monotonic() - self._started, 1)
        answer = {"status": reason or "ok", "uptime_seconds": uptime, **self._identity()}
        return JSONResponse(answer, 503 if reason else 200)

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def work(self, request: Request) -> Response:
        """Takes `?ms=` milliseconds."""
        milliseconds = _number(request, "ms", 10, LONGEST_WORK)
        if milliseconds is None:
            return _refused(f"ms must be a number from 0 to {LONGEST_WORK}")
        await asyncio.sleep(milliseconds / 1000)
        return JSONResponse({"worked_ms": milliseconds, **self._identity()})

    async def stream(self, request: Request) -> Response:
        """Sends `?n=` server-sent events, one every `?ms=` milliseconds."""
        count, pause = _number(request, "n", 5, 10_000), _number(request, "ms", 200, LONGEST_WORK)
        if count is None or pause is None:
            return _refused(f"n must be a number from 0 to 10000 and ms one from 0 to {LONGEST_WORK}")

        async def events() -> AsyncIterator[str]:
            for number in range(int(count)):
                yield f"data: {json.dumps({'n': number, **self._identity()})}\n\n"
                await asyncio.sleep(pause / 1000)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def add_item(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_ITEM:
                return JSONResponse({"error": f"an item has at most {LARGEST_ITEM} bytes"}, 413)
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return _refused("an item is UTF-8 text")
        key = uuid.uuid4().hex
        await run_in_threadpool(self._store.add, key, text)
        metrics.ITEMS.inc()
        return JSONResponse({"id": key, **self._identity()}, 201, {"location": f"/items/{key}"})

    async def get_item(self, request: Request) -> Response:
        key = request.path_params["key"]
        item = await run_in_threadpool(self._store.get, key)
        if item is None:
            return JSONResponse({"error": "no such item"}, 404)
        body, digest = item
        return JSONResponse({"id": key, "body": body, "sha256": digest})

    def _authorised(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").encode("latin-1")
        expected = self._settings.api_token.encode()
        return bool(expected) and hmac.compare_digest(given, b"Bearer " + expected)

    async def _behind_token(self, request: Request, answer: dict[str, list[str]]) -> Response:
        if not self._authorised(request):
            return JSONResponse({"error": "a token is needed"}, 401, {"www-authenticate": "Bearer"})
        return JSONResponse(answer)

    async def models(self, request: Request) -> Response:
        return await self._behind_token(request, {"models": []})

    async def users(self, request: Request) -> Response:
        return await self._behind_token(request, {"users": []})

    async def echo(self, websocket: WebSocket) -> None:
        """Says who it is, then sends back what it gets."""
        await websocket.accept()
        with metrics.WEBSOCKETS.track_inprogress(), contextlib.suppress(WebSocketDisconnect):
            await websocket.send_json(self._identity())
            async for text in websocket.iter_text():
                await websocket.send_text(text)


def _number(request: Request, name: str, default: float, most: float) -> float | None:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        return None
    return value if 0 <= value <= most else None


def _refused(reason: str) -> Response:
    return JSONResponse({"error": reason}, 400)


def create_app(settings: Settings, store: Store, lifecycle: Lifecycle) -> App:
    """The ASGI application."""
    routes = Service(settings, store, lifecycle).routes()
    plain = {route.path for route in routes}
    patterns = {route.endpoint: route.path for route in routes}

    def path_of(scope: Message) -> str:
        # A metric's labels must stay few: the route's pattern, not whatever path was asked for.
        return scope["path"] if scope["path"] in plain else patterns.get(scope.get("endpoint"), "other")

    return Observed(Starlette(routes=routes), settings, lifecycle, path_of)
