# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a release may take: until then nobody else gets its lock, and its prober goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service

AT_LEAST = 1800.0


@dataclass(frozen=True)
class Limits:
    """What a role lets each step take, in seconds; ``steps`` are a canary's, ``patience`` is added to each."""

    start: float
    gate: float
    watch: float
    drain: float
    hold: float
    patience: float
    steps: Sequence[Mapping[str, float]] = ()


def engine_timeout(service: Service, start: float) -> float:
    """Seconds that one command of Docker's may take: some wait for what may end slowly."""
    return max(start, service.stop_timeout + 60.0)


def longest(service: Service, hosts: int, limits: Limits) -> float:
    """Seconds, with the way back: what each step may take at most, one host after the other where it is so."""
    engine = engine_timeout(service, limits.start) + limits.patience
    gate, watch, drain = (seconds + limits.patience for seconds in (limits.gate, limits.watch, limits.drain))
    batch = 2 * engine + 3 * gate + drain
    migration = 2 * service.migrate.timeout + limits.patience if service.migrate.command else 0
    there = migration + 4 * engine + 3 * gate + 2 * watch + 2 * drain
    back = 4 * engine + 2 * gate + drain
    if service.strategy == "rolling":
        there += hosts * (batch + engine + watch)
        back += hosts * batch
    if service.strategy == "canary":
        there += sum(float(step["seconds"]) + limits.hold + limits.patience for step in limits.steps)
    return max(AT_LEAST, there + back)
