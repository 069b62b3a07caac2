# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many instances of a service there shall be on each of its hosts, and what has to be done for it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.release import history
from ansible_collections.slipway.ops.plugins.module_utils.release.plan import Truth, find_truth, other
from ansible_collections.slipway.ops.plugins.module_utils.release.request import gate_checks
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service

SCALED = "scaled"
_RESTS_AFTER = (SCALED, *history.LIVE_EVENTS)


@dataclass(frozen=True)
class Decision:
    """How many instances per host, and why."""

    instances: int
    why: str


def decide(service: Service, now: int, cpu: Sequence[float | None], rested: float | None) -> Decision:
    """The rule. ``cpu`` is of each instance, in percent of its limit, ``rested`` the seconds since the last change.

    What was not measured is no reason to change anything.
    """
    measured = [value for value in cpu if value is not None]
    if not measured or len(measured) < len(cpu):
        return Decision(now, f"only {len(measured)} of {len(cpu)} instances could be measured")
    mean = sum(measured) / len(measured)
    wanted = _wanted(service, now, mean)
    told = f"{mean:.0f} % of the processors, {wanted.why}"
    cooldown = service.scaling.cooldown
    if wanted.instances != now and rested is not None and rested < cooldown:
        return Decision(now, f"{told}, but the last change is {rested:.0f} s ago and it rests for {cooldown} s")
    return Decision(wanted.instances, told)


def _wanted(service: Service, now: int, mean: float) -> Decision:
    """There are fewer, one at a time, only where those that are left would not bring it back over ``cpu_out``."""
    out, less = service.scaling.cpu_out, service.scaling.cpu_in
    if mean > out:
        wanted = min(max(math.ceil(now * mean / out), now + 1), service.most)
        why = "" if wanted > now else f", but {service.most} is the greatest number"
        return Decision(max(wanted, now), f"more than {out:g} %{why}")
    if mean >= less:
        return Decision(now, f"from {less:g} to {out:g} %")
    if now <= service.instances:
        return Decision(now, f"less than {less:g} %, but {service.instances} is the least number")
    if mean * now / (now - 1) > out:
        return Decision(now, f"less than {less:g} %, but fewer would be at more than {out:g} %")
    return Decision(now - 1, f"less than {less:g} %")


@dataclass
class Plan:
    """What a run does: hosts that get more instances or fewer, by the live release's ``colour`` and ``version``."""

    problems: list[str] = field(default_factory=list)
    colour: str = ""
    version: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    now: int = 0
    wanted: int = 0
    why: str = ""
    out: list[str] = field(default_factory=list)
    fewer: list[str] = field(default_factory=list)
    rested: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for playbooks."""
        return asdict(self) | {"nothing": not (self.out or self.fewer)}


def instances(survey: Mapping[str, Any], colour: str) -> int:
    """How many instances of a colour run on a host."""
    return sum(
        (one["role"], one["colour"], one["state"]) == ("instance", colour, "running") for one in survey["containers"]
    )


def plan(
    service: Service, surveys: Mapping[str, Any], pools: Mapping[str, Any], asked: str, now: datetime.datetime
) -> Plan:
    """What is true, and the way to the number that was ``asked`` for; without one nothing changes yet."""
    truth = find_truth({edge: pool["live"] for edge, pool in pools.items()}, surveys)
    found = Plan(problems=list(_problems(service, truth, pools, asked))[:1])
    if found.problems or not truth.live:
        return found
    found.colour, found.version = truth.live.colour, truth.live.version
    found.counts = {host: instances(survey, found.colour) for host, survey in surveys.items()}
    found.now = found.wanted = max(found.counts.values())
    changes = [str(event["at"]) for event in truth.events if event["event"] in _RESTS_AFTER]
    if changes:
        last = datetime.datetime.fromisoformat(changes[-1].replace("Z", "+00:00"))
        found.rested = max((now - last).total_seconds(), 0)
    return towards(found, Decision(int(asked), "asked for")) if asked else found


def towards(found: Plan, decision: Decision) -> Plan:
    """The same with a decision: hosts may differ where a run was killed, or an instance is just started again."""
    found.wanted, found.why = decision.instances, decision.why
    found.out = [host for host, count in found.counts.items() if count < found.wanted]
    found.fewer = [host for host, count in found.counts.items() if count > found.wanted]
    return found


def _problems(service: Service, truth: Truth, pools: Mapping[str, Any], asked: str) -> Iterator[str]:
    """Why nothing can be done, the most important first."""
    least, most = service.instances, service.most
    if not pools:
        yield f"No host of group edge has {service.name} in haproxy_pools. Give it an edge_port and run site.yml."
    if service.strategy not in ("blue_green", "recreate"):
        yield f"{service.name} has strategy {service.strategy}, whose pools have no room for more instances."
    if not service.scaling.max:
        yield f"{service.name} has no scaling.max: give it one and run site.yml, so that its pool has room."
    if asked and not (asked.isdigit() and least <= int(asked) <= most):
        yield f"instances={asked}: wanted is a number from {least} (instances) to {most} (scaling.max) for a host."
    if truth.split or history.unfinished(truth.events):
        yield f"A release of {service.name} never ended; run it, or a rollback, to its end first."
    if not truth.live or truth.incomplete:
        where = f" on {', '.join(truth.incomplete)}" if truth.incomplete else ""
        yield f"{service.name} is not whole{where}; deploy.yml with the live version makes it so."


def checks(service: Service, colour: str, address: str, host: str, first: int) -> list[dict[str, Any]]:
    """Those of the instances from number ``first`` on: one that is there may be too busy to answer, which is why."""
    return [
        check
        for check in gate_checks(service, colour, address, host)
        if int(str(check["subject"]).rpartition("-")[2]) >= first
    ]


def carried(service: Service, surveys: Mapping[str, Any], pools: Mapping[str, Any]) -> dict[str, int]:
    """How many instances a new release starts with, as many as the ``live`` one has, so that it can take its load; and
    how many the ``warm`` one has, for the case that it is started again."""
    pointed = find_truth({edge: pool["live"] for edge, pool in pools.items()}, surveys).pointed
    found = {}
    for name, colour in (("live", pointed), ("warm", other(pointed))):
        running = min((instances(survey, colour) for survey in surveys.values()), default=0)
        found[name] = max(service.instances, min(running, service.most))
    return found


def record(found: Mapping[str, Any], service: str, failed: str, began: float, ended: float) -> dict[str, Any]:
    """The evidence of a run that changed something, or tried to."""
    at = datetime.datetime.fromtimestamp(began, datetime.timezone.utc)
    result = Result(
        id="delivery.scale.result",
        area="delivery",
        subject=service,
        claim="The last change of the number of instances was made",
        verdict="fail" if failed else "pass",
        measured=f"{found['now']} to {found['wanted']} on each host",
        unit="1",
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        took=round(ended - began, 3),
        source="scale",
    )
    if failed:
        result.reason = failed
    return result.as_dict()
