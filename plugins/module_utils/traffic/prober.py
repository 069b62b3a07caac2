# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process itself: sends on schedule, counts, and writes a line of its journal each second.

Open loop: a request is due at its time whether or not earlier ones were answered, and its latency counts from that
time, so a service that stalls cannot hide it. Started by `control` as ``python3 prober.pyz DIRECTORY``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .connection import FailedRequest
from .http1 import Fresh, Kept
from .http2 import Http2
from .plan import Plan
from .tally import Outcome, Successes, Tally
from .websocket import ClosedInOrder, WebSocket

MOST_WAITING = 1000  # requests under way; what is due beyond that is a failure that was not even sent
_MOST_FILES = 4096  # a connection for each of those, and the kept ones
_OVERLOADED = f"not sent: {MOST_WAITING} requests were still waiting for their answers"


class Client(Protocol):
    async def request(self) -> Outcome: ...
    async def close(self) -> None: ...


class Recorder:
    """Counts what ends, and turns the monotonic clock into Unix time."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._tallies: dict[str, Tally] = {}
        self._successes = Successes()

    def wall(self, moment: float) -> float:
        return moment + self._offset

    def tally(self, client: str) -> Tally:
        return self._tallies.setdefault(client, Tally())

    def record(self, client: str, intended: float, outcome: Outcome) -> None:
        """Counts one request that was due at `intended` and ended now."""
        start, end = self.wall(intended), self.wall(time.monotonic())
        at = datetime.datetime.fromtimestamp(start, datetime.timezone.utc).isoformat(timespec="milliseconds")
        failure = {"at": at.replace("+00:00", "Z"), "client": client, "after": round(end - start, 3)}
        self.tally(client).add(outcome, start, end, failure)
        if outcome.reason is None:
            self._successes.add(end)

    def line(self) -> dict[str, Any]:
        """Everything since the last `forget`, as one line of the journal."""
        clients = {client: tally.to_dict() for client, tally in self._tallies.items()}
        return {"time": self.wall(time.monotonic()), "successes": vars(self._successes), "clients": clients}

    def forget(self) -> None:
        self._tallies, self._successes = {}, Successes()


class Journal:
    """A file of JSON lines; what does not fit on the disk now is kept and written later."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._torn = False

    def write(self, line: dict[str, Any]) -> bool:
        """Whether the line is in the file."""
        data = (b"\n" if self._torn else b"") + json.dumps(line).encode() + b"\n"
        try:
            written = self._file.write(data) or 0
        except OSError:
            return False
        self._torn = written < len(data)
        return written >= len(data) - 1  # without its line end it is still whole


class Prober:
    """Clients, their schedules, and the recorder they share."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._journal = journal
        self._recorder = Recorder()
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until SIGTERM or `max_duration`, then lets what is under way end."""
        stop = asyncio.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
        clients = {client: self._client(client) for client in self._plan.active()}
        start = time.monotonic()
        self._journal.write({"started": self._recorder.wall(start), "url": self._plan.url})
        tasks = [asyncio.create_task(self._flush_each_second())]
        for number, (name, client) in enumerate(clients.items()):
            offset = number / len(clients) / self._plan.rates[name]  # not all at the same moment
            tasks.append(asyncio.create_task(self._send_on_schedule(name, client, start + offset)))
        because = await self._until_stopped(stop)
        ended = self._recorder.wall(time.monotonic())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._waiting)
        for client in clients.values():
            with contextlib.suppress(FailedRequest):
                await client.close()
        self._flush()
        self._journal.write({"ended": ended, "because": because})

    def _client(self, name: str) -> Client:
        def closed(how: str) -> None:
            self._recorder.tally(name).closes[how] += 1

        def cut(reason: str) -> None:
            self._recorder.record(name, time.monotonic(), Outcome(reason=reason, latency_counts=False))

        factories: dict[str, Callable[[], Client]] = {
            "keep_alive": lambda: Kept(self._plan, name, closed),
            "fresh": lambda: Fresh(self._plan, name, closed),
            "post": lambda: Kept(self._plan, name, closed),
            "websocket": lambda: WebSocket(self._plan, closed, cut),
            "http2": lambda: Http2(self._plan, closed),
        }
        return factories[name]()

    async def _until_stopped(self, stop: asyncio.Event) -> str:
        try:
            await asyncio.wait_for(stop.wait(), self._plan.max_duration)
        except asyncio.TimeoutError:
            return "max_duration"
        return "stopped"

    async def _send_on_schedule(self, name: str, client: Client, start: float) -> None:
        for number in itertools.count():
            intended = start + number / self._plan.rates[name]
            await asyncio.sleep(max(intended - time.monotonic(), 0))
            tally = self._recorder.tally(name)
            tally.late = max(tally.late, (time.monotonic() - intended) * 1000)
            if len(self._waiting) >= MOST_WAITING:
                self._recorder.record(name, intended, Outcome(reason=_OVERLOADED, latency_counts=False))
                continue
            task = asyncio.create_task(self._request(name, client, intended))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _request(self, name: str, client: Client, intended: float) -> None:
        """One request, whatever becomes of it."""
        try:
            outcome = await asyncio.wait_for(client.request(), self._plan.timeout)
        except ClosedInOrder:
            return
        except asyncio.TimeoutError:
            outcome = Outcome(reason=f"no complete answer within {self._plan.timeout:g} s")
        except FailedRequest as failed:
            outcome = Outcome(reason=str(failed), latency_counts=False)
        except Exception as error:  # a fault of the prober must show, not end the others' counting
            outcome = Outcome(reason=f"prober: {type(error).__name__}: {error}"[:200], latency_counts=False)
        self._recorder.record(name, intended, outcome)

    async def _flush_each_second(self) -> None:
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            self._flush()

    def _flush(self) -> None:
        if self._journal.write(self._recorder.line()):
            self._recorder.forget()


def main() -> None:
    """Runs the plan of a directory; the lock's descriptor stays open, and so held, until this process ends."""
    directory = Path(sys.argv[1])
    plan = Plan.from_json((directory / "plan.json").read_text(encoding="utf-8"))
    os.umask(0o077)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    signal.alarm(int(plan.max_duration + plan.timeout) + 60)  # the end, even if everything here fails
    asyncio.run(Prober(plan, Journal(directory / "journal.jsonl")).run())
