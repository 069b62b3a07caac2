# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/release/scaling.py``."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.release import scaling
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service
from ansible_collections.slipway.ops.plugins.module_utils.service.rules import plain


def scale_plan(
    surveys: Mapping[str, Any], pools: Mapping[str, Any], description: Mapping[str, Any], asked: str = ""
) -> dict[str, Any]:
    """See scale_plan.yml."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return scaling.plan(parse_service(description), surveys, pools, str(asked), now).as_dict()


def scale_decision(
    found: Mapping[str, Any], description: Mapping[str, Any], cpu: Mapping[str, Mapping[str, float | None]]
) -> dict[str, Any]:
    """See scale_decision.yml."""
    # What Ansible gives is of its own types, which cannot be copied.
    plan = scaling.Plan(**{name: value for name, value in plain(found).items() if name != "nothing"})
    measured = [value for host in plan.counts for value in (cpu.get(host) or {"": None}).values()]
    decision = scaling.decide(parse_service(description), plan.now, measured, plan.rested)
    if decision.instances == plan.now:  # whatever is unequal now, it is not the rule's to change
        return plan.as_dict() | {"why": decision.why}
    return scaling.towards(plan, decision).as_dict()


def scale_checks(description: Mapping[str, Any], colour: str, address: str, host: str, first: int) -> list[Any]:
    """See scale_checks.yml."""
    return scaling.checks(parse_service(description), colour, address, host, int(first))


def scale_carried(
    surveys: Mapping[str, Any], pools: Mapping[str, Any], description: Mapping[str, Any]
) -> dict[str, int]:
    """See scale_carried.yml."""
    return scaling.carried(parse_service(description), surveys, pools)


def scale_record(found: Mapping[str, Any], service: str, failed: str, began: float, ended: float) -> dict[str, Any]:
    """See scale_record.yml."""
    return scaling.record(found, service, failed, float(began), float(ended))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        public = (scale_carried, scale_checks, scale_decision, scale_plan, scale_record)
        return {function.__name__: function for function in public}
