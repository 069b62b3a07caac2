# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools and their sets in a running HAProxy: what is live, what is healthy, and the switch from one set to another."""

from __future__ import annotations

import contextlib
import difflib
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.live import LiveMap
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import (
    HaproxyError,
    Server,
    Stats,
    Worker,
    old_workers,
)

POLL = 0.1
"""Seconds between two looks at servers or sessions."""

T = TypeVar("T")


@dataclass(frozen=True)
class Pool:
    """A frontend with its sets: backends `<pool>-<set>`, in the configuration's order; or one backend `<pool>`.

    By set, `sessions` are those it serves now, `requests` those it was sent since the process was started. Spare
    servers are left out.
    """

    name: str
    sets: dict[str, list[Server]]
    servers: list[Server]
    sessions: dict[str, int]
    requests: dict[str, int]


def find_pools(stats: Stats) -> dict[str, Pool]:
    """Read the pools off the proxies: a set's name has no hyphen, so the last one divides pool and set."""
    pools = {}
    for name in stats.frontends:
        backends = [backend for backend in stats.backends if backend.rpartition("-")[0] == name]
        if backends or name in stats.backends:
            pools[name] = Pool(
                name=name,
                sets={backend.rpartition("-")[2]: _used(stats.backends[backend]) for backend in backends},
                servers=stats.backends.get(name, []),
                sessions={backend.rpartition("-")[2]: stats.sessions.get(backend, 0) for backend in backends},
                requests={backend.rpartition("-")[2]: stats.requests.get(backend, 0) for backend in backends},
            )
    return pools


def _used(servers: list[Server]) -> list[Server]:
    return [server for server in servers if not server.spare]


def pick(kind: str, name: str, known: dict[str, T]) -> T:
    """The named one, or an error that knows what was meant."""
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(known) or 'none'}."
    raise HaproxyError(f"HAProxy has no {kind} {name!r}; {meant}")


def backend_of(pool: str, set_name: str) -> str:
    """The backend that holds a set."""
    return f"{pool}-{set_name}"


@dataclass(frozen=True)
class Edge:
    """The HAProxy of one host: its current process, the socket of its master, and the durable map."""

    worker: Worker
    master_socket: str
    live_map: LiveMap

    @classmethod
    def at(cls, socket: str, master_socket: str, map_path: str) -> Edge:
        """By the paths of its sockets and its map."""
        return cls(Worker(socket), master_socket, LiveMap(Path(map_path)))

    def pools(self) -> dict[str, Pool]:
        """All pools as they are now."""
        return find_pools(self.worker.stats())

    def pool(self, name: str, having: str | None = None) -> Pool:
        """One pool as it is now, after looking whether it has the set `having`."""
        found = pick("pool", name, self.pools())
        if not found.sets:
            raise HaproxyError(f"Pool {name!r} has no sets, only servers: there is nothing to switch.")
        if having is not None:
            pick(f"set of pool {name!r} called", having, found.sets)
        return found

    def running_map(self, worker: Worker | None = None) -> dict[str, str]:
        """The map that decides about requests."""
        return (worker or self.worker).map_entries(str(self.live_map.path))

    def old_workers(self) -> list[Worker]:
        """The processes that reloads left."""
        return old_workers(self.worker, self.master_socket)

    def route(self, worker: Worker, pool: str, to: str) -> None:
        """One atomic command: from the next request on, `pool` is served by set `to`."""
        path = self.live_map.path
        answer = worker.ask(f"set map {path} {pool} {to}")
        if answer.startswith("entry not found"):
            worker.do(f"add map {path} {pool} {to}")
        elif answer:
            raise HaproxyError(f"HAProxy refused to switch {pool!r} to {to!r}: {answer}")


@dataclass
class Switch:
    """What one switch did. `took` is the seconds that the command took; the others count old processes."""

    before: str
    changed: bool = False
    at: str | None = None
    took: float = 0.0
    old_workers: int = 0
    old_workers_behind: int = 0


def wait_for_servers(edge: Edge, pool: str, to: str, minimum: int | None, wait: float) -> list[Server]:
    """The servers of a set once at least `minimum` (None: all) of them are up, waiting at most `wait` seconds."""
    deadline = time.monotonic() + wait
    while True:
        servers = edge.pool(pool, having=to).sets[to]
        wanted = len(servers) if minimum is None else minimum
        if sum(server.up for server in servers) >= wanted or time.monotonic() >= deadline:
            return servers
        time.sleep(POLL)


def too_few_up(pool: str, to: str, servers: list[Server], minimum: int | None) -> str | None:
    """Why a set may not go live, saying which servers are down and what their checks said; None when it may."""
    wanted = max(len(servers), 1) if minimum is None else minimum
    up = sum(server.up for server in servers)
    if up >= wanted:
        return None
    down = "; ".join(server.describe() for server in servers if not server.up)
    return f"Pool {pool!r}, set {to!r}: {up} of {len(servers)} servers are up and {wanted} must be. {down}."


def switch(edge: Edge, pool: str, to: str, expect: str | None = None, dry_run: bool = False) -> Switch:
    """Send a pool's requests to the set `to`, durably.

    A set that is live already makes this write the map file if it is behind (a run killed half-way), nothing else.
    """
    with contextlib.nullcontext() if dry_run else edge.live_map.locked():
        current = edge.pool(pool, having=to)
        running = edge.running_map()
        before = running.get(pool, next(iter(current.sets)))
        if expect is not None and before not in (expect, to):
            raise HaproxyError(
                f"Pool {pool!r} serves {before!r}, not {expect!r} as was expected: nothing was switched."
            )
        # The file is written whole; what other pools serve comes from the running process too.
        entries = {**edge.live_map.entries(), **running, pool: to}
        behind = edge.live_map.text() != edge.live_map.render(entries)
        done = Switch(before=before, changed=before != to or behind)
        if dry_run:
            return done
        if behind:
            edge.live_map.stage(entries)
        if before != to:
            started = time.monotonic()
            edge.route(edge.worker, pool, to)
            done.at, done.took = utc_now(), round(time.monotonic() - started, 6)
        if behind:
            edge.live_map.commit()
        _switch_old_workers(edge, pool, to, done)
        return done


def _switch_old_workers(edge: Edge, pool: str, to: str, done: Switch) -> None:
    """Connections that a reload left with an old process follow, where that process knows the set as healthy.

    An old process checks no more: one that last saw the set down would answer 503, so it stays with the old set.
    """
    for worker in edge.old_workers():
        done.old_workers += 1
        try:
            if any(server.up for server in worker.stats().backends.get(backend_of(pool, to), [])):
                edge.route(worker, pool, to)
            else:
                done.old_workers_behind += 1
        except HaproxyError:  # it ended meanwhile, and its connections with it
            done.old_workers -= 1


@dataclass(frozen=True)
class Left:
    """What a set still serves after a wait of `waited` seconds: sessions, of which `tunnels` are WebSockets."""

    sessions: int
    tunnels: int = 0
    waited: float = 0.0


def drain(edge: Edge, pool: str, set_name: str, timeout: float, tunnels: bool = True) -> Left:
    """Wait until a set serves nothing and nothing can be sent to it any more; without `tunnels` not for WebSockets."""
    started = time.monotonic()
    while True:
        left, waited = _left(edge, pool, set_name, count_tunnels=not tunnels), time.monotonic() - started
        if left.sessions == (0 if tunnels else left.tunnels) or waited >= timeout:
            return replace(left, waited=round(waited, 3))
        time.sleep(POLL)


def _left(edge: Edge, pool: str, set_name: str, count_tunnels: bool) -> Left:
    """Requests and WebSockets that a set still serves; an old process that would send it more counts as one."""
    backend = backend_of(pool, set_name)
    sessions = edge.worker.stats().sessions.get(backend, 0)
    tunnels = edge.worker.tunnels(backend) if sessions and count_tunnels else 0
    for worker in edge.old_workers():
        try:
            more = worker.stats().sessions.get(backend, 0)
            sessions += more or int(edge.running_map(worker).get(pool) == set_name)
            tunnels += worker.tunnels(backend) if more and count_tunnels else 0
        except HaproxyError:
            continue  # it ended between the two looks
    return Left(sessions, min(tunnels, sessions))


def utc_now() -> str:
    """Now, as RFC 3339 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe_pools(edge: Edge, names: list[str] | None) -> dict[str, object]:
    """The pools (all, or the named ones) as M(pool_info) returns them."""
    pools = edge.pools()
    chosen = pools if names is None else {name: pick("pool", name, pools) for name in names}
    running = edge.running_map() if any(pool.sets for pool in chosen.values()) else {}
    durable = edge.live_map.entries()
    return {name: _describe(pool, running, durable) for name, pool in chosen.items()}


def _describe(pool: Pool, running: dict[str, str], durable: dict[str, str]) -> dict[str, object]:
    live = running.get(pool.name, next(iter(pool.sets), None))
    return {
        "live": live,
        "durable": not pool.sets or durable.get(pool.name) == live,
        "sets": {
            name: {
                "total": len(servers),
                "up": sum(server.up for server in servers),
                "sessions": pool.sessions[name],
                "servers": [server.as_dict() for server in servers],
            }
            for name, servers in pool.sets.items()
        },
        "servers": [server.as_dict() for server in pool.servers],
    }
