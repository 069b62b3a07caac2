"""The lock and the prober last as long as a release may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.longest import Limits, engine_timeout, longest
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service

LIMITS = Limits(start=300, gate=60, watch=10, drain=60, hold=300, patience=150)


def service(**more: Any) -> Service:
    description = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}
    return parse_service(description | {"watch": {"path": "/v"}} | more)


@pytest.mark.parametrize(
    ("more", "limits", "least"),
    [
        ({}, {}, 1800),
        ({"migrate": {"command": ["migrate"], "timeout": 7200}}, {}, 7200),
        ({"stop_timeout": 3000}, {}, 2 * 3000),
        ({"strategy": "canary"}, {"steps": [{"share": 10, "seconds": 1800}, {"share": 50, "seconds": 900}]}, 3300),
        ({"strategy": "rolling"}, {"watch": 600}, 10 * (2 * 300 + 3 * 60 + 60 + 600)),
        ({}, {"drain": 5000}, 5000),
    ],
)
def test_no_step_that_may_take_long_outlives_it(more: dict[str, Any], limits: dict[str, Any], least: float) -> None:
    seconds = longest(service(**more), 10, replace(LIMITS, **limits))
    assert seconds >= least
    assert longest(service(), 10, LIMITS) < 4 * 3600


def test_a_command_of_dockers_waits_for_what_ends_slowly() -> None:
    assert engine_timeout(service(stop_timeout=600), 300) == 660
    assert engine_timeout(service(stop_timeout=10), 300) == 300
