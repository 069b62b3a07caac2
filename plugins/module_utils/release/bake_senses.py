# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a bake measures: an edge its requests, their latency and its health checks, an app host its containers."""

from __future__ import annotations

import csv
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, backend_of
from ansible_collections.slipway.ops.plugins.module_utils.release import engine
from ansible_collections.slipway.ops.plugins.module_utils.release.bake import Order
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import Plan, TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import LATE

WINDOW = 30.0
"""Seconds over which a value is taken, less where the trigger's own time is."""
FEW = 10
"""Requests in a window below which their error rate says nothing."""

Values = dict[str, dict[str, float | None]]


class Senses(Protocol):
    """What one kind of host measures."""

    def read(self) -> Values:
        """By trigger and subject, the value; ``None`` where it could not be measured in time."""

    def health(self) -> dict[str, bool]:
        """By server, whether its health check passed; nothing while there is no new answer."""

    def close(self) -> None:
        """Leaves nothing running."""


class Rate:
    """The percentage of failed requests over the last seconds, from counters that a restart sets back to nothing."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._seen: deque[tuple[float, int, int]] = deque()

    def add(self, now: float, requests: int, failed: int) -> float | None:
        if self._seen and requests < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, requests, failed))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._window:
            self._seen.popleft()
        _, requests_before, failed_before = self._seen[0]
        sent = requests - requests_before
        return 100 * (failed - failed_before) / sent if sent >= FEW else None


def counts(statistics: str, backend: str) -> tuple[int, int]:
    """Requests of a backend and those answered with 5xx, from HAProxy's ``show stat``."""
    for row in csv.DictReader(statistics.lstrip("# ").splitlines()):
        if (row["pxname"], row["svname"]) == (backend, "BACKEND"):
            return int(row["req_tot"] or 0), int(row["hrsp_5xx"] or 0)
    return 0, 0


class EdgeSenses:
    """HAProxy's counters of all requests, a prober's latencies, and HAProxy's checks."""

    def __init__(self, order: Order, edge: Edge) -> None:
        self._order, self._edge = order, edge
        self._rate = Rate(min(WINDOW, order.limits["error_rate_seconds"]))
        self._window = min(WINDOW, max(order.limits["latency_p95_seconds"], 2.0))
        self._checked = 0.0
        self._control = Control(default_root(), f"bake-{order.service}")

    def read(self) -> Values:
        backend = backend_of(self._order.service, self._order.colour)
        requests, failed = counts(self._edge.worker.ask("show stat"), backend)
        rate = self._rate.add(time.monotonic(), requests, failed)
        return {
            "error_rate": {self._order.service: rate},
            "latency_p95": {self._order.service: self._latency()},
        }

    def _latency(self) -> float | None:
        """Of the prober, which is started again where it has died; late, it says nothing of the service."""
        if not self._order.probe:
            return None
        try:
            if self._control.running() is None:
                self._control.start(Plan(name=f"bake-{self._order.service}", **self._order.probe))
                return None
            total = self._control.summary(self._window)["total"]
        except (TrafficError, OSError, ValueError):
            return None
        if not total["requests"] or float(total["prober_late"]) > LATE or total["latency"]["p95"] is None:
            return None
        return float(total["latency"]["p95"]) / 1000

    def health(self) -> dict[str, bool]:
        now = time.monotonic()
        if now - self._checked < self._order.interval:
            return {}
        self._checked = now
        servers = self._edge.pool(self._order.service).sets.get(self._order.colour, [])
        # One in maintenance was sent away, by patch.yml or by an operator: nobody is served by it.
        return {server.name: server.up for server in servers if not _sent_away(server.status)}

    def close(self) -> None:
        self._control.remove()


def _sent_away(status: str) -> bool:
    """``MAINT (resolution)`` is a name that is gone, and nobody's wish."""
    return status == "MAINT" or status.startswith("MAINT (via")


class AppSenses:
    """Each instance's processors and memory against its limits, as Docker counts them."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._before: dict[str, tuple[float, int]] = {}

    def read(self) -> Values:
        values: Values = {"cpu": {}, "memory": {}}
        labels = [f"slipway.service={self._order.service}", f"slipway.colour={self._order.colour}"]
        for container in engine.containers([*labels, "slipway.role=instance"]):
            name = str(container["Names"][0]).lstrip("/")
            stats = engine.get(f"/containers/{container['Id']}/stats", {"stream": "false", "one-shot": "true"}, 5) or {}
            values["cpu"][name] = self._cpu(name, stats)
            values["memory"][name] = memory(stats)
        return values

    def _cpu(self, name: str, stats: Mapping[str, Any]) -> float | None:
        used = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        now, before = time.monotonic(), self._before.get(name)
        if used is None or not self._order.cpus:
            return None
        self._before[name] = (now, int(used))
        if before is None or used < before[1] or now <= before[0]:
            return None
        return (int(used) - before[1]) / 1e9 / (now - before[0]) / self._order.cpus * 100

    def health(self) -> dict[str, bool]:
        return {}

    def close(self) -> None:
        """Nothing runs."""


def memory(stats: Mapping[str, Any]) -> float | None:
    """Percent of its limit that a container uses, without what is only cached."""
    told = stats.get("memory_stats", {})
    if not told.get("limit") or "usage" not in told:
        return None
    used = int(told["usage"]) - int(told.get("stats", {}).get("inactive_file", 0))
    return 100 * used / int(told["limit"])
