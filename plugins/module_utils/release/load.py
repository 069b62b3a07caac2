# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the instances of a colour on this host use of their processors."""

from __future__ import annotations

import time

from ansible_collections.slipway.ops.plugins.module_utils.release import engine

LATE = 2.0
"""How many times longer than asked for a measurement may take before it says nothing of its seconds."""


def processors(service: str, colour: str, cpus: float, seconds: float) -> dict[str, float | None]:
    """By instance, the percentage of its limit of ``cpus`` over ``seconds``; none of one that came, went or restarted
    meanwhile, and of all where the measurement was late or there is no limit."""
    before = _used(service, colour)
    time.sleep(seconds)
    after = _used(service, colour)
    found: dict[str, float | None] = {}
    for name in sorted(before.keys() | after.keys()):
        found[name] = None
        if name in before and name in after:
            took, used = after[name][0] - before[name][0], after[name][1] - before[name][1]
            if cpus and used >= 0 and 0 < took <= seconds * LATE:
                found[name] = round(used / 1e9 / took / cpus * 100, 1)
    return found


def _used(service: str, colour: str) -> dict[str, tuple[float, int]]:
    """By container, when it was looked at and the nanoseconds of processors that it has used."""
    labels = [f"slipway.service={service}", f"slipway.colour={colour}", "slipway.role=instance"]
    found = {}
    for container in engine.containers(labels):
        stats = engine.get(f"/containers/{container['Id']}/stats", {"stream": "false", "one-shot": "true"}) or {}
        used = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        if used and container["State"] == "running":
            found[str(container["Names"][0]).lstrip("/")] = (time.monotonic(), int(used))
    return found
