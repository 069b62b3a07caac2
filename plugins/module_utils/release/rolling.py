# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A release host by host: which hosts change in which batch, and what serves on each host meanwhile.

The pool has a set of both colours' servers. On each host one colour of it gets requests, or none while the host's
containers are replaced; the others are in HAProxy's maintenance, which also overrides cookies and cuts nothing.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import POLL, Edge, backend_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Server, Worker
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, MIXED

NONE = ""
"""The colour of a host that gets no requests."""
WEIGHT = 100
STATES = ("ready", "maint")
Pools = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Batch:
    """The ``hosts`` that change together. By host, the colour that serves while they are ``away`` and with them
    ``back``."""

    hosts: list[str]
    away: dict[str, str]
    back: dict[str, str]


def batch_size(text: str, hosts: int) -> int:
    """How many of ``hosts`` may be away at a time: a number, or percent, rounded down but at least one."""
    found = re.fullmatch(r"(\d{1,6})(\s?%)?", str(text).strip())
    if not found or not int(found.group(1)):
        raise RequestError(
            f"deploy_rolling_max_unavailable is {text!r}; wanted are hosts, like 1, or percent, like 25%."
        )
    size = max(hosts * int(found.group(1)) // 100, 1) if found.group(2) else int(found.group(1))
    if size >= hosts:
        raise RequestError(
            f"deploy_rolling_max_unavailable is {text} and the service has {hosts} app host{'s' if hosts > 1 else ''}: "
            "none would be left to serve. Use fewer, or strategy recreate."
        )
    return size


def serving(pointed: str, surveys: Mapping[str, Mapping[str, Any]], pools: Pools) -> dict[str, str]:
    """By host, the colour that gets its requests: that which the edges point at, or what a killed run left there.

    What runs and gets none, because no gate has let it in, does not count.
    """
    preferred = (pointed, *(colour for colour in COLOURS if colour != pointed))
    return {
        host: next((colour for colour in preferred if _serves(host, colour, survey, pools)), NONE)
        for host, survey in surveys.items()
    }


def _serves(host: str, colour: str, survey: Mapping[str, Any], pools: Pools) -> bool:
    mixed = [pool["sets"][MIXED]["servers"] for pool in pools.values() if pool["live"] == MIXED]
    ours = [server for servers in mixed for server in servers if host_of(server["name"]) == (colour, host)]
    complete = (survey["colours"].get(colour) or {}).get("complete")
    return bool(complete) and all(server["up"] for server in ours)


def batches(now: Mapping[str, str], to: str, size: int, hosts: Collection[str] | None = None) -> list[Batch]:
    """The way from what serves ``now`` to the colour ``to`` on ``hosts`` (where it is not so); first those that are
    away already."""
    wanted = [host for host in now if (host in hosts if hosts is not None else now[host] != to)]
    wanted.sort(key=lambda host: now[host] != NONE)
    found, state = [], dict(now)
    for first in range(0, len(wanted), size):
        group = wanted[first : first + size]
        away = state | dict.fromkeys(group, NONE)
        state = state | dict.fromkeys(group, to)
        found.append(Batch(group, away, state))
    return found


def rolls(strategy: str, plan: Mapping[str, Any]) -> bool:
    """Whether a run goes from host to host: not where nothing serves that it could replace."""
    left_mixed = MIXED in plan["split"].values()
    return strategy == "rolling" and bool(plan["start"]) and (left_mixed or bool(plan["switch"] and plan["previous"]))


def plan_batches(
    plan: Mapping[str, Any], surveys: Mapping[str, Mapping[str, Any]], pools: Pools, unavailable: str
) -> list[Batch]:
    """The batches of a run; :class:`RequestError` says why there can be none."""
    without = [edge for edge, pool in pools.items() if MIXED not in pool["sets"]]
    if without:
        raise RequestError(
            f"{', '.join(without)}: the pool has no set {MIXED}, which strategy rolling needs; run site.yml."
        )
    target, now = plan["target"], serving(plan["pointed"], surveys, pools)
    hosts = [
        host
        for host in plan["start"]
        if now[host] != target["colour"] or surveys[host]["colours"][target["colour"]]["version"] != target["version"]
    ]
    return batches(now, target["colour"], batch_size(unavailable, len(now)), hosts)


def host_of(server: str) -> tuple[str, str]:
    """Colour and host of a server of the set of both colours, like ``blue-app1-2``."""
    colour, _dash, rest = server.partition("-")
    return colour, rest.rpartition("-")[0]


def moves(servers: Sequence[Server], colours: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Which server has to become ready or go into maintenance; all are ready when there are no colours."""
    found = []
    for server in servers:
        colour, host = host_of(server.name)
        wanted = colours is None or colours.get(host, NONE) == colour
        if wanted == server.status.startswith("MAINT") or (wanted and server.weight != WEIGHT):
            found.append((server.name, "ready" if wanted else "maint"))
    return found


def serve(edge: Edge, pool: str, colours: Mapping[str, str] | None, states: Collection[str] = STATES) -> bool:
    """Gives each host's requests to its colour, in processes that a reload left too; whether anything changed.

    ``states`` limits it to servers that have to come into one of them.
    """
    edge.pool(pool, having=MIXED)
    changed = _serve(edge.worker, pool, colours, states)
    for worker in edge.old_workers():
        with contextlib.suppress(HaproxyError):  # it ended meanwhile, and its connections with it
            _serve(worker, pool, colours, states)
    return changed


def _serve(worker: Worker, pool: str, colours: Mapping[str, str] | None, states: Collection[str]) -> bool:
    backend = backend_of(pool, MIXED)
    servers = worker.stats().backends.get(backend, [])
    found = [(name, state) for name, state in moves(servers, colours) if state in states]
    for name, state in found:
        worker.do(f"set weight {backend}/{name} {WEIGHT}")  # a canary may have left another
        worker.do(f"set server {backend}/{name} state {state}")
    return bool(found)


def down(edge: Edge, pool: str, colours: Mapping[str, str], hosts: Collection[str]) -> list[str]:
    """The servers of ``hosts`` that should serve and are not up, each with what its check said."""
    servers = edge.pool(pool, having=MIXED).sets[MIXED]
    return [
        server.describe()
        for server in servers
        for colour, host in (host_of(server.name),)
        if host in hosts and colours.get(host) == colour and not server.up
    ]


def wait_up(edge: Edge, pool: str, colours: Mapping[str, str], hosts: Collection[str], wait: float) -> list[str]:
    """What is still down of ``hosts`` after at most ``wait`` seconds."""
    deadline = time.monotonic() + wait
    while (found := down(edge, pool, colours, hosts)) and time.monotonic() < deadline:
        time.sleep(POLL)
    return found


def drain(edge: Edge, pool: str, hosts: Collection[str], timeout: float) -> tuple[int, float]:
    """Waits until hosts serve nothing of the pool, whichever set sent it: (sessions left, seconds waited)."""
    started = time.monotonic()
    while True:
        left, waited = sessions(edge, pool, hosts), time.monotonic() - started
        if left == 0 or waited >= timeout:
            return left, round(waited, 3)
        time.sleep(POLL)


def sessions(edge: Edge, pool: str, hosts: Collection[str]) -> int:
    """Requests and WebSockets that hosts serve, of every process of HAProxy."""
    left = _sessions(edge.worker, pool, hosts)
    for worker in edge.old_workers():
        with contextlib.suppress(HaproxyError):
            left += _sessions(worker, pool, hosts)
    return left


def _sessions(worker: Worker, pool: str, hosts: Collection[str]) -> int:
    backends = worker.stats().backends
    mixed = backends.get(backend_of(pool, MIXED), [])
    plain = [server for colour in COLOURS for server in backends.get(backend_of(pool, colour), [])]
    return sum(server.sessions for server in mixed if host_of(server.name)[1] in hosts) + sum(
        server.sessions for server in plain if server.name.rpartition("-")[0] in hosts
    )
