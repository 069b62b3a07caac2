# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work beside the event loop that must not outlive a deadline: blocking calls and other programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

_OUTPUT_KEPT = 256 * 1024


class DaemonThreads(ThreadPoolExecutor):
    """A thread for each call, which nobody joins: a name server or file system that hangs cannot hold the run back."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # handed to whoever waits for the future
                future.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to wait for."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status (negative: the signal) and the first 256 KiB of what it wrote."""

    status: int
    output: str
    errors: str


async def run_program(argv: tuple[str, ...]) -> Ended:
    """Runs a program in a process group of its own, which is killed whole when the caller stops waiting."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: _Output(loop.create_future()),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
    try:
        await protocol.ended
        output, errors = (protocol.kept[descriptor].decode(errors="replace") for descriptor in (1, 2))
        return Ended(transport.get_returncode() or 0, output, errors)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        raise
    finally:
        transport.close()


class _Output(asyncio.SubprocessProtocol):
    """Keeps the beginning of what a program writes and lets the rest go by, until it and its pipes have ended."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self.kept = {1: bytearray(), 2: bytearray()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.kept[fd] += data[: _OUTPUT_KEPT - len(self.kept[fd])]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
