# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the unit slipway-bake@SERVICE runs on each edge and app host: watch the release, and go back when it is bad."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, switch, too_few_up
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool
from ansible_collections.slipway.ops.plugins.module_utils.release import bake, history, metrics
from ansible_collections.slipway.ops.plugins.module_utils.release.bake import Judge, Order, Standing
from ansible_collections.slipway.ops.plugins.module_utils.release.bake_board import WENT_BACK, Board, Said, exchange
from ansible_collections.slipway.ops.plugins.module_utils.release.bake_senses import AppSenses, EdgeSenses, Senses
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.release.host import Host, ReleaseError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError

LINGER = 15.0
"""Seconds for which an app host keeps its board after the end, for an edge that decides at the last moment."""


def main(argv: list[str]) -> int:
    """Entry point of the unit; its instance is the service."""
    order = bake.read_order(argv[1])
    if order is None:
        return 0
    outcome = watch(order)
    Spool().leave([bake.record(order, outcome).as_dict()], f"bake-{order.service}")
    bake.end(order, outcome)
    metrics.publish(Path(order.root))
    alert = "<1>" if outcome.state in ("rolled_back", "stuck") else "<5>"
    sys.stdout.write(f"{alert}{order.service}: {outcome.sentence()}\n")
    sys.stdout.flush()
    if order.edge and outcome.state == "rolled_back":
        tell_the_rest(order, outcome)
    if order.board:
        time.sleep(LINGER)  # its board stays for an edge that has not heard yet
    return 0


def tell_the_rest(order: Order, outcome: Standing) -> None:
    """Says that this edge went back until every app host has heard it: one may be away for a while, and then go on."""
    said = Said(order.run, outcome.reason, order.host, {order.host: WENT_BACK})
    left = set(order.boards)
    while left and time.time() < order.until + LINGER:
        left -= exchange(sorted(left), order.key, said)
        time.sleep(bake.LOOK)


def watch(order: Order) -> Standing:
    """What this host is for: an edge, an app host, or both at once; then what the edge did counts."""
    if not order.edge:
        return watch_app(order)
    if not order.board:
        return watch_edge(order)
    with ThreadPoolExecutor(max_workers=1) as pool:
        app = pool.submit(watch_app, order)
        outcome = watch_edge(order)
        app.result()
        return outcome


class Watcher:
    """Looks each second until the time is over."""

    def __init__(self, order: Order, senses: Senses) -> None:
        self.judge, self._order, self._senses = Judge(order.limits), order, senses
        self._last = time.monotonic()

    def look(self) -> str:
        """Why the release is bad; empty while nothing says so. What cannot be measured now is unknown."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        try:
            return self.judge.look(self._senses.read(), self._senses.health(), passed)
        except (HaproxyError, EngineError, OSError) as error:
            sys.stdout.write(f"<4>{self._order.service}: not measured: {error}\n")
            return ""

    def rest(self, started: float) -> None:
        sys.stdout.flush()
        time.sleep(max(bake.LOOK - (time.monotonic() - started), 0.1))


def watch_edge(order: Order) -> Standing:
    """Follows its own triggers and what any board says; switches HAProxy back by itself."""
    edge = Edge.at("/run/haproxy/admin.sock", "/run/haproxy-master.sock", "/var/lib/slipway/haproxy/live.map")
    senses, said, held = EdgeSenses(order, edge), Said(order.run), 0.0
    watcher = Watcher(order, senses)
    try:
        while True:
            started = time.monotonic()
            reason = watcher.look()
            if reason and not said.reason:
                said.reason, said.by, held = reason, order.host, started
            exchange(order.boards, order.key, said)
            if said.reason:
                held = held or started
                stuck = go_back(edge, order)
                if not stuck:
                    return _went_back(order, said, round(time.monotonic() - held, 3))
                said.edges[order.host] = stuck
            if time.time() >= order.until:
                stuck = said.edges.get(order.host, "")
                if stuck:
                    return bake.standing(order, "stuck", f"{said.reason}; {stuck}")
                return bake.ended(order, watcher.judge.watched)
            watcher.rest(started)
    finally:
        with contextlib.suppress(OSError, TrafficError):
            senses.close()


def _went_back(order: Order, said: Said, took: float) -> Standing:
    said.edges[order.host] = WENT_BACK
    exchange(order.boards, order.key, said)
    Spool().leave([bake.record_rollback(order, took).as_dict()], f"bake-rollback-{order.service}")
    return bake.standing(order, "rolled_back", said.reason, took)


def go_back(edge: Edge, order: Order) -> str:
    """Sends requests to the release before, if it is there; else why not. One server is better than a bad release."""
    try:
        servers = edge.pool(order.service, having=order.previous_colour).sets[order.previous_colour]
        problem = too_few_up(order.service, order.previous_colour, servers, 1)
        if problem:
            return problem
        switch(edge, order.service, order.previous_colour, expect=order.colour)
    except HaproxyError as error:
        return str(error)
    return ""


def watch_app(order: Order) -> Standing:
    """Watches its containers, keeps a board, and writes into the history what the edges did; they read all boards."""
    board = Board(order.board, order.key, order.run)
    watcher = Watcher(order, AppSenses(order))
    said = Said(order.run)
    while True:
        started = time.monotonic()
        reason = watcher.look()
        if reason and not said.reason:
            said.reason, said.by = reason, order.host
        said = board.exchange(said)
        if WENT_BACK in said.edges.values():
            return _record_rollback(order, said)
        if time.time() >= order.until + LINGER:
            if not said.reason:
                return bake.ended(order, watcher.judge.watched)
            told = [f"{edge}: {why}" for edge, why in said.edges.items()] or ["no edge has said that it went back"]
            return bake.standing(order, "stuck", "; ".join([said.reason, *told]))
        watcher.rest(started)


def _record_rollback(order: Order, said: Said) -> Standing:
    """The release before is live: what a rollback writes, and its workers."""
    event = {
        "at": timestamp(),
        "run": f"{order.run}-bake",
        "event": "done",
        "action": "rollback",
        "version": order.previous_version,
        "colour": order.previous_colour,
        "previous": {"version": order.version, "colour": order.colour},
        "by": f"{history.BAKE}{said.by}",
        "reason": said.reason,
    }
    host = Host(order.service, Path(order.root) / order.service)
    while True:
        try:
            with host.held() as held:
                history.append(host.history, event)
                metrics.publish(host.directory.parent)
                _tell(order, lambda: host.hand_over_workers(order.previous_version, order.previous_colour, held))
            break
        except ReleaseError as error:  # somebody else works on this service; what was said must not be forgotten
            sys.stdout.write(f"<4>{order.service}: the way back is not recorded yet: {error}\n")
    return bake.standing(order, "rolled_back", f"{said.reason} (seen by {said.by})")


def _tell(order: Order, work: Callable[[], object]) -> None:
    try:
        work()
    except (ReleaseError, EngineError, OSError) as error:
        sys.stdout.write(f"<3>{order.service}: the workers of {order.previous_version} do not run: {error}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
