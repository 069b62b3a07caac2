# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host leaves the pools for maintenance and comes back.

Who was sent away is written down before it happens: whoever comes after a run that was killed knows whom to bring
back, and does not bring back what an operator took out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import POLL, Edge, Pool, backend_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Server, Worker
from ansible_collections.slipway.ops.plugins.module_utils.host.files import replace
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, MIXED

NOTE = "away.json"
Place = tuple[str, str]  # backend, server


@dataclass(frozen=True)
class Away:
    """Which servers of which host are away, durably."""

    path: Path

    @classmethod
    def of(cls, edge: Edge) -> Away:
        return cls(edge.live_map.path.with_name(NOTE))

    def read(self) -> dict[str, list[Place]]:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise HaproxyError(
                f"{self.path} cannot be read ({error}). See with `show stat` who is in MAINT, bring them back, and "
                "remove the file."
            ) from error
        return {host: [(backend, server) for backend, server in places] for host, places in told.items()}

    def write(self, away: dict[str, list[Place]]) -> None:
        replace(self.path, json.dumps(away, indent=1) + "\n", 0o644)


def places_of(host: str, pools: Iterable[Pool]) -> dict[Place, Server]:
    """A host's servers, which role haproxy names after it."""
    name = re.escape(host)
    in_set = re.compile(rf"{name}-[0-9]+")
    in_mixed = re.compile(rf"({'|'.join(COLOURS)})-{name}-[0-9]+")  # another prefix is another host's name
    alone = re.compile(rf"{name}(-[0-9]+)?")
    found: dict[Place, Server] = {}
    for pool in pools:
        for set_name, servers in pool.sets.items():
            named = in_mixed if set_name == MIXED else in_set
            found |= {(backend_of(pool.name, set_name), s.name): s for s in servers if named.fullmatch(s.name)}
        found |= {(pool.name, s.name): s for s in pool.servers if alone.fullmatch(s.name)}
    return found


def leave(edge: Edge, host: str, last: bool, timeout: float, dry_run: bool = False) -> tuple[list[Place], int]:
    """Sends nothing more to a host and waits until it serves nothing: what has left now, and the sessions left."""
    away = Away.of(edge)
    with edge.live_map.locked():
        pools = edge.pools()
        mine = places_of(host, pools.values())
        going = [place for place, server in mine.items() if not server.status.startswith("MAINT")]
        if not last:
            _refuse_to_empty(edge, pools.values(), host, going)
        if dry_run or not going:
            return going, 0
        known = away.read()
        away.write(known | {host: sorted({*known.get(host, []), *going})})
        for place in going:
            _set(edge, place, "maint")
    return going, _wait_until_idle(edge, going, timeout)


def _refuse_to_empty(edge: Edge, pools: Iterable[Pool], host: str, going: Iterable[Place]) -> None:
    """Of a pool that serves now, somebody stays."""
    running = edge.running_map() if any(pool.sets for pool in pools) else {}
    for pool in pools:
        live = running.get(pool.name, next(iter(pool.sets), ""))
        backend, servers = (backend_of(pool.name, live), pool.sets[live]) if pool.sets else (pool.name, pool.servers)
        up = {server.name for server in servers if server.up}
        leaving = {name for of, name in going if of == backend} & up
        if leaving and leaving == up:
            down = sorted({server.describe() for server in servers if not server.up})
            raise HaproxyError(
                f"Pool {pool.name!r} has no other server up than those of {host}: users would get 503. Nothing was "
                f"changed. Bring the others up ({'; '.join(down) or 'there are none'}), or allow the interruption."
            )


def come_back(edge: Edge, host: str, timeout: float, dry_run: bool = False) -> list[Place]:
    """Sends requests to a host again once its checks pass; where they do not, it stays away."""
    away = Away.of(edge)
    with edge.live_map.locked():
        known = away.read()
        there = places_of(host, edge.pools().values())
        coming = [place for place in known.get(host, []) if place in there]
        if dry_run or host not in known:
            return coming
        for place in coming:
            _set(edge, place, "ready")
        down = _wait_until_up(edge, host, [place for place in coming if _serves(edge, place)], timeout)
        if down:
            for place in coming:
                _set(edge, place, "maint")
            raise HaproxyError(
                f"{host} did not come up within {timeout:g} s: {'; '.join(down)}. It is away from the pools again."
            )
        away.write({name: places for name, places in known.items() if name != host})
    return coming


def _serves(edge: Edge, place: Place) -> bool:
    """Whether requests go to the server's set now; another set may have nothing running."""
    pools = edge.pools()
    if place[0] in pools:
        return True
    pool, _, set_name = place[0].rpartition("-")
    return edge.running_map().get(pool, next(iter(pools[pool].sets))) == set_name


def _set(edge: Edge, place: Place, state: str) -> None:
    """In the present process, which has to obey, and in those that a reload left, which may end meanwhile."""
    edge.worker.do(f"set server {place[0]}/{place[1]} state {state}")
    for worker in edge.old_workers():
        try:
            worker.ask(f"set server {place[0]}/{place[1]} state {state}")
        except HaproxyError:
            continue


def _wait_until_idle(edge: Edge, places: Iterable[Place], timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        left = sum(_sessions(worker, places) for worker in [edge.worker, *edge.old_workers()])
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(POLL)


def _sessions(worker: Worker, places: Iterable[Place]) -> int:
    try:
        backends = worker.stats().backends
    except HaproxyError:
        return 0  # an old process that ended
    return sum(s.sessions for backend, name in places for s in backends.get(backend, []) if s.name == name)


def _wait_until_up(edge: Edge, host: str, places: Iterable[Place], timeout: float) -> list[str]:
    """What is wrong with those that are not up when the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        now = places_of(host, edge.pools().values())
        down = [now[place].describe() for place in places if not now[place].up]
        if not down or time.monotonic() >= deadline:
            return down
        time.sleep(POLL)
