"""A warm rollback, and what shows that it was one. How fast it is, benchmarks/rollback.py measures."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from playbook import Run

LIMIT = 5  # seconds, the policy's


def instances(app_containers: Iterable[str]) -> dict[str, list[str]]:
    """Every instance on the app hosts with its id, when it was started and how often Docker started it again.

    Workers are no instances: a switch moves them.
    """
    each = "docker ps --quiet --filter label=slipway.role=instance"
    inspect = "docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}}'"
    found = {}
    for name in app_containers:
        argv = ["docker", "exec", name, "sh", "-c", f"{inspect} $({each}) | sort"]
        found[name] = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return found


def warm_rollback(roll_back: Callable[[], Run], app_containers: list[str]) -> float:
    """Rolls back, which must start no instance; the seconds of the whole run."""
    before = instances(app_containers)
    began = time.monotonic()
    run = roll_back()
    wall = time.monotonic() - began
    assert run.code == 0, run.output
    assert all(before.values()) and instances(app_containers) == before
    return wall


def assert_measured(duration: dict[str, Any], wall: float) -> None:
    """The record `delivery.rollback.duration` is of that run, and its verdict follows from what was measured."""
    assert 0 < duration["measured"] <= wall, (duration, wall)
    assert (duration["unit"], duration["limit"]) == ("s", f"<= {LIMIT}")
    assert duration["verdict"] == ("pass" if duration["measured"] <= LIMIT else "fail"), duration
