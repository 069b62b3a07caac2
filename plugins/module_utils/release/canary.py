# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One step of a canary on one edge: its share of the requests, what both releases make of them, and the judge's word.

The pool of a canary has a set of both colours' servers. A step weighs them, sends the pool's requests there, and takes
them back from nobody: what follows a bad word is the release's business.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, backend_of
from ansible_collections.slipway.ops.plugins.module_utils.release.judge import (
    FLOOD,
    Judgement,
    Measured,
    Tolerance,
    judge,
    median,
)
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, MIXED

ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
LOST = ("econ", "eresp")  # connections and answers that never came


@dataclass(frozen=True)
class Counts:
    """Requests that a colour was sent and how many of them failed, since HAProxy was started."""

    requests: int = 0
    failed: int = 0

    def since(self, before: Counts) -> Counts:
        """What came after ``before``; everything when HAProxy was started anew meanwhile."""
        if self.requests < before.requests or self.failed < before.failed:
            return self
        return Counts(self.requests - before.requests, self.failed - before.failed)


@dataclass(frozen=True)
class Seen:
    """One look, ``watched`` of ``wanted`` seconds after a step's beginning, at a release and the live one beside it.

    ``down`` are the servers of the canary that are down, ``patience`` the seconds beyond ``wanted`` for which it waits
    for enough data.
    """

    watched: float
    wanted: float
    patience: float
    canary: Measured
    baseline: Measured
    down: list[str] = field(default_factory=list)


def weigh(edge: Edge, pool: str, canary: str, share: int) -> bool:
    """Gives the servers of a colour ``share`` percent of the weight; whether one had another."""
    changed = False
    for server in edge.pool(pool, having=MIXED).sets[MIXED]:
        weight = share if server.name.partition("-")[0] == canary else 100 - share
        if server.weight != weight:
            edge.worker.do(f"set weight {backend_of(pool, MIXED)}/{server.name} {weight}")
            changed = True
    return changed


def count(statistics: str, pool: str) -> dict[str, Counts]:
    """By colour, from HAProxy's ``show stat``."""
    found = dict.fromkeys(COLOURS, Counts())
    for row in csv.DictReader(statistics.lstrip("# ").splitlines()):
        colour = row["svname"].partition("-")[0]
        if row["pxname"] != backend_of(pool, MIXED) or colour not in found:
            continue
        lost = sum(int(row[name] or 0) for name in LOST)
        known = found[colour]
        requests = known.requests + lost + sum(int(row[name] or 0) for name in ANSWERS)
        found[colour] = Counts(requests, known.failed + lost + int(row["hrsp_5xx"] or 0))
    return found


def decide(seen: Seen, tolerance: Tolerance) -> Judgement | None:
    """The last word of a step, None while it goes on. What is far worse ends it early; too little data never passes."""
    if seen.down:
        return Judgement("fail", "; ".join(seen.down))
    over = seen.watched >= seen.wanted
    found = judge(seen.canary, seen.baseline, tolerance if over else replace(tolerance, chance=FLOOD))
    if found.verdict == "fail":
        return found
    if not over or (found.verdict == "hold" and seen.watched < seen.wanted + seen.patience):
        return None
    if found.verdict == "hold":
        way_out = "send more (deploy_probe_rates), or wait longer (deploy_canary_hold)"
        return Judgement("hold", f"It could not be judged: {found.reason}; {way_out}")
    return found


def described(measured: Measured) -> dict[str, Any]:
    """Plain numbers of a release."""
    middle = round(median(measured.latency), 1) if measured.latency else None
    return {
        "requests": measured.requests,
        "failed": measured.failed,
        "answers": measured.answers,
        "latency_p50": middle,
    }


def step_in_words(step: Mapping[str, Any]) -> str:
    """A step's numbers as one line: the canary's and the live release's."""
    sides = (("the canary", step["canary"]), ("the live release", step["baseline"]))
    return f"{step['share']} %: " + ", ".join(
        f"{name} failed {side['failed']} of {side['requests']}, half within {side['latency_p50']} ms"
        for name, side in sides
    )
