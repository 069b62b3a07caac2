"""How an instance ends: first it stops being ready, then it stops listening, then it finishes what is running."""

from __future__ import annotations

import logging
import time
from types import FrameType

import uvicorn

LOG = logging.getLogger(__name__)


class Lifecycle:
    """Shared by the server, which decides, and the application, which answers accordingly."""

    def __init__(self, drain_time: float) -> None:
        self._drain_time = drain_time
        self._drain_started: float | None = None

    @property
    def draining(self) -> bool:
        return self._drain_started is not None

    @property
    def drained(self) -> bool:
        return self._drain_started is not None and time.monotonic() - self._drain_started >= self._drain_time

    def drain(self) -> None:
        self._drain_started = time.monotonic()


class Server(uvicorn.Server):
    """uvicorn, but with time between SIGTERM and the closed listener."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second stops at once."""
        if self._lifecycle.draining:
            self.should_exit = True
        else:
            LOG.info("draining", extra={"fields": {"signal": sig}})
            self._lifecycle.drain()

    async def on_tick(self, counter: int) -> bool:
        if self._lifecycle.drained:
            self.should_exit = True
        return await super().on_tick(counter)
