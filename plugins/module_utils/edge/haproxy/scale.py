# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many servers of each host a set has in use: spare ones join when their checks pass, others leave when idle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import POLL, Edge, backend_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Server, Worker

WEIGHT = 100


@dataclass
class Scaled:
    """What joined, what left, and how many sessions those still had when the time was over."""

    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    sessions: int = 0


def number_of(server: str) -> int:
    """The number of the instance behind a server called like ``app1-3``; 0 of one that is called otherwise."""
    number = server.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


@dataclass(frozen=True)
class Set:
    """One set of a pool on an edge, its spare servers included."""

    edge: Edge
    pool: str
    name: str

    @property
    def backend(self) -> str:
        return backend_of(self.pool, self.name)

    def servers(self) -> list[Server]:
        return self.edge.worker.stats().backends.get(self.backend, [])

    def scale(self, instances: int, wait: float, drain: float, checked: bool = True) -> Scaled:
        """Has ``instances`` servers of each host in use.

        New ones get requests once HAProxy's own check of them has passed, and all of them or none; not ``checked``,
        nothing is waited for: nobody sends requests to the set yet.
        """
        self.edge.pool(self.pool, having=self.name)
        servers = self.servers()
        room = max((number_of(server.name) for server in servers), default=0)
        if instances > room:
            raise HaproxyError(
                f"Pool {self.pool!r}, set {self.name!r} has room for {room} instances of a host and {instances} are "
                "wanted; run site.yml with scaling.max of the service."
            )
        done = Scaled(
            joined=[one.name for one in servers if number_of(one.name) <= instances and one.spare],
            left=[one.name for one in servers if number_of(one.name) > instances and not one.spare],
        )
        self._join(done.joined, wait, checked)
        self._leave(done.left)
        done.sessions = self._wait_until_idle(done.left, drain)
        return done

    def _join(self, names: Collection[str], wait: float, checked: bool) -> None:
        """Without a weight a server is checked and gets nothing: HAProxy takes one that was away for up, unseen."""
        for name in names:
            self.edge.worker.do(f"set server {self.backend}/{name} state ready")
            self.edge.worker.do(f"set server {self.backend}/{name} health down")  # until a check of now has passed
        if checked and (down := self._wait_until_checked(names, wait)):
            self._leave(names)
            raise HaproxyError(
                f"Pool {self.pool!r}: after {wait:g} s {'; '.join(down)}. None of {', '.join(names)} gets requests."
            )
        for name in names:
            self.edge.worker.do(f"set weight {self.backend}/{name} {WEIGHT}")

    def _wait_until_checked(self, names: Collection[str], wait: float) -> list[str]:
        deadline = time.monotonic() + wait
        while True:
            down = [one.describe() for one in self.servers() if one.name in names and not one.checked]
            if not down or time.monotonic() >= deadline:
                return down
            time.sleep(POLL)

    def _leave(self, names: Collection[str]) -> None:
        """Maintenance cuts nothing and overrides cookies; also in processes that a reload left."""
        for name in names:
            _spare(self.edge.worker, f"{self.backend}/{name}")
        for worker in self.edge.old_workers() if names else []:
            with contextlib.suppress(HaproxyError):  # it ended meanwhile, and its connections with it
                for name in names:
                    _spare(worker, f"{self.backend}/{name}")

    def _wait_until_idle(self, names: Collection[str], timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while True:
            sessions = sum(_sessions(one, self.backend, names) for one in [self.edge.worker, *self.edge.old_workers()])
            if not sessions or time.monotonic() >= deadline:
                return sessions
            time.sleep(POLL)


def _spare(worker: Worker, server: str) -> None:
    worker.do(f"set server {server} state maint")
    worker.do(f"set weight {server} 0")


def _sessions(worker: Worker, backend: str, names: Collection[str]) -> int:
    try:
        servers = worker.stats().backends.get(backend, [])
    except HaproxyError:
        return 0  # an old process that ended
    return sum(one.sessions for one in servers if one.name in names)
