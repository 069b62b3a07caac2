# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bake: a release that is live is watched by its hosts for a while, with the one before it still warm.

A trigger holds when what it measures was over its limit for its time, without a good measurement in between. What could
not be measured in time is unknown: it feeds no trigger, and a bake that saw too little does not count as passed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace

DIRECTORY = Path("/var/lib/slipway/bake")
SOURCE = "bake 0.1.0"
LOOK = 1.0
"""Seconds between two looks."""
STALL = 3.0
"""Seconds beyond which the time between two looks was not watched: the host was busy, or asleep."""
SEEN = 0.9
"""The share of its time that a bake must have watched to count as passed."""
ROLLBACK_LIMIT = 10
"""Seconds from a trigger that holds to requests that go to the release before."""

Readings = Mapping[str, Mapping[str, float | None]]
"""By trigger, and by what was measured (an instance, a server, the pool), the value; ``None`` is unknown."""

TRIGGERS = {
    "error_rate": ("{:.3g} % of the requests to {} fail", "%"),
    "latency_p95": ("95 % of the answers of {1} take up to {0:.3g} s", "s"),
    "cpu": ("{1} uses {0:.3g} % of its processors", "%"),
    "memory": ("{1} uses {0:.3g} % of its memory", "%"),
}


@dataclass(frozen=True)
class Order:
    """What a host watches. ``boards`` are the addresses of the app hosts that keep what was decided, ``board`` this
    host's own; ``key`` signs what is said there. ``until`` is Unix time, ``look`` seconds between two health checks."""

    run: str
    service: str
    host: str
    version: str
    colour: str
    previous_version: str
    previous_colour: str
    seconds: float
    until: float
    key: str
    limits: dict[str, float]
    boards: list[str]
    board: str = ""
    probe: dict[str, Any] = field(default_factory=dict)
    cpus: float = 1.0
    interval: float = 1.0
    root: str = "/srv/slipway"
    edge: bool = False


@dataclass
class Standing:
    """How a bake stands or ended: ``baking``, ``passed``, ``unknown``, ``rolled_back``, ``stuck`` or ``cancelled``."""

    state: str
    run: str
    version: str
    previous_version: str
    reason: str = ""
    at: str = field(default_factory=timestamp)
    took: float | None = None
    until: float = 0.0

    def sentence(self) -> str:
        """For an operator."""
        return {
            "baking": f"{self.version} bakes; {self.previous_version} is kept warm meanwhile",
            "passed": f"{self.version} passed its bake",
            "unknown": f"{self.version} was not watched long enough: {self.reason}",
            "rolled_back": f"{self.version} was rolled back to {self.previous_version} by its bake: {self.reason}",
            "stuck": f"{self.version} is bad and could not be rolled back by its bake: {self.reason}",
            "cancelled": f"the bake of {self.version} was ended: {self.reason}",
        }[self.state]


@dataclass
class Streak:
    """For how long a measurement has been over its limit."""

    limit: float
    seconds: float
    held: float = 0.0
    unknown: float = 0.0

    def look(self, value: float | None, passed: float) -> bool:
        """Takes a measurement ``passed`` seconds after the one before; whether the trigger holds."""
        if value is None:
            self.unknown += passed
            self.held = 0.0 if self.unknown > self.seconds else self.held
            return False
        self.unknown = 0.0
        self.held = self.held + passed if value > self.limit else 0.0
        return value > self.limit and self.held >= self.seconds


class Judge:
    """All triggers of a host."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.limits = limits
        self.streaks: dict[tuple[str, str], Streak] = {}
        self.failures: dict[str, int] = {}
        self.watched = 0.0

    def look(self, readings: Readings, health: Mapping[str, bool], passed: float) -> str:
        """Why the release is bad, empty while nothing says so. ``health`` are new answers to health checks only."""
        known = any(value is not None for subjects in readings.values() for value in subjects.values())
        if passed > STALL:
            passed = 0.0
        self.watched += passed if known else 0.0
        reasons = [
            self._told(name, subject, value)
            for name, subjects in readings.items()
            for subject, value in subjects.items()
            if self._streak(name, subject).look(value, passed)
        ]
        if health:  # one that was sent away, and comes back, begins anew
            self.failures = {server: count for server, count in self.failures.items() if server in health}
        for server, well in health.items():
            self.failures[server] = 0 if well else self.failures.get(server, 0) + 1
        most = self.limits["health_failures"]
        reasons += [
            f"{server} failed {count} health checks in a row, over {most:g}"
            for server, count in self.failures.items()
            if count > most
        ]
        return "; ".join(reasons[:2])

    def _streak(self, name: str, subject: str) -> Streak:
        return self.streaks.setdefault((name, subject), Streak(self.limits[name], self.limits[f"{name}_seconds"]))

    def _told(self, name: str, subject: str, value: float | None) -> str:
        words, unit = TRIGGERS[name]
        seconds = self.limits[f"{name}_seconds"]
        return f"{words.format(value, subject)}, over {self.limits[name]:g} {unit} for {seconds:g} s"


def ended(order: Order, watched: float) -> Standing:
    """How a bake ends that no trigger has ended."""
    if watched >= SEEN * order.seconds:
        return standing(order, "passed")
    told = f"{order.host} measured something for {watched:.0f} of {order.seconds:g} s"
    return standing(order, "unknown", told)


def standing(order: Order, state: str, reason: str = "", took: float | None = None) -> Standing:
    """A state of this order's release."""
    return Standing(state, order.run, order.version, order.previous_version, reason, took=took, until=order.until)


def record(order: Order, outcome: Standing) -> Result:
    """The evidence of a bake on one host."""
    verdicts: dict[str, Verdict] = {"passed": "pass", "unknown": "unknown", "cancelled": "skip"}
    verdict: Verdict = verdicts.get(outcome.state, "fail")
    return Result(
        id="delivery.bake.result",
        area="delivery",
        subject=f"{order.service} on {order.host}",
        claim="The last release was good for as long as it was watched",
        verdict=verdict,
        measured=order.version,
        source=SOURCE,
        reason=None if verdict == "pass" else outcome.sentence(),
    )


def record_rollback(order: Order, took: float) -> Result:
    """How quick an edge was."""
    late = took > ROLLBACK_LIMIT
    return Result(
        id="delivery.bake.rollback",
        area="delivery",
        subject=f"{order.service} on {order.host}",
        claim="Seconds from a trigger that holds to requests that go to the release before",
        verdict="fail" if late else "pass",
        measured=took,
        unit="s",
        limit=f"<= {ROLLBACK_LIMIT}",
        source=SOURCE,
        reason=f"It took {took:g} s." if late else None,
    )


def sign(key: str, body: bytes) -> str:
    """What proves that someone who has the key said this."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def proven(key: str, body: bytes, signature: str) -> bool:
    """Whether the signature is that of the body."""
    return hmac.compare_digest(sign(key, body).encode(), signature.encode("utf-8", "replace"))


def write(service: str, name: str, content: Mapping[str, Any], mode: int = 0o600, directory: Path = DIRECTORY) -> None:
    """Replaces one of a service's files whole."""
    make_directory(directory, 0o755)
    replace(directory / f"{service}.{name}.json", json.dumps(content), mode)


def read_order(service: str, directory: Path = DIRECTORY) -> Order | None:
    """What the host was told to watch; ``None`` when nothing bakes."""
    try:
        return Order(**json.loads((directory / f"{service}.order.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def read_standing(service: str, directory: Path = DIRECTORY) -> Standing | None:
    """How the last bake stands or ended."""
    try:
        return Standing(**json.loads((directory / f"{service}.standing.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def standings(directory: Path = DIRECTORY) -> dict[str, Standing]:
    """How the last bake of each service of this host stands or ended."""
    services = [path.name.removesuffix(".standing.json") for path in sorted(directory.glob("*.standing.json"))]
    return {service: found for service in services if (found := read_standing(service, directory))}


def begin(order: Order, directory: Path = DIRECTORY) -> None:
    """Has the host watch from now on, also after it was started anew."""
    write(order.service, "standing", asdict(standing(order, "baking")), 0o644, directory)
    write(order.service, "order", asdict(order), directory=directory)


def end(order: Order, outcome: Standing, directory: Path = DIRECTORY) -> None:
    """Writes down how it ended; a host that is started anew watches no more."""
    write(order.service, "standing", asdict(outcome), 0o644, directory)
    (directory / f"{order.service}.order.json").unlink(missing_ok=True)
