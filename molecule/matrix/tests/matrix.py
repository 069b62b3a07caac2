"""What users, hosts and the evidence say of a service while something goes wrong with its release."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from containers import have_sample, shell
from machine import until
from playbook import Run, module

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
EDGES, APPS = ("edge1", "edge2"), ("app1", "app2")
PORTS = {"blue-green": 18000, "canary": 18001, "rolling": 18002, "recreate": 18003}
GOOD, LEAKS = ("1.0.0", "2.0.0"), "4.0.0"
MEASURED: list[str] = []


def container(host: str) -> str:
    return f"slipway-matrix-{host}"


def on(host: str, command: str) -> str:
    return shell(container(host), command)


def images() -> None:
    """Releases are on the app hosts, as if pulled; a release removes old ones."""
    have_sample([container(app) for app in APPS], (*GOOD, LEAKS))


def start(service: str, version: str, **variables: Any) -> Run:
    return Run("deploy", INVENTORY, service=service, version=version, **variables)


def come_to(step: str, service: str, version: str) -> Run:
    """A release under way that has come to a step."""
    run = start(service, version)
    assert run.until(step), run.output
    return run


def deploy(service: str, version: str, **variables: Any) -> Run:
    return start(service, version, **variables).end()


def answers(edge: str, service: str) -> set[str]:
    """The versions that an edge answers with, asked often enough for each instance to have its turn."""
    ask = f"for turn in 1 2 3 4 5 6 7 8; do curl -s --max-time 5 http://127.0.0.1:{PORTS[service]}/version; echo; done"
    lines = [line for line in on(edge, ask).splitlines() if line.startswith("{")]
    return {json.loads(line).get("version", "none") for line in lines} or {"none"}


def live(service: str) -> str:
    """The one version that every edge answers with; what disagrees is an error."""
    (version,) = {version for edge in EDGES for version in answers(edge, service)}
    return version


def other(version: str) -> str:
    return GOOD[1 - GOOD.index(version)]


def evidence(identifier: str, service: str) -> dict[str, Any]:
    """The newest record of an id of a service, as the store has it."""
    lines = on("edge1", "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    records = (json.loads(line) for line in reversed(lines))
    return next(one for one in records if one["id"] == identifier and one["subject"].split()[0] == service)


@contextlib.contextmanager
def users(service: str) -> Iterator[dict[str, dict[str, int]]]:
    """Clients of both edges that know nothing of releases; afterwards, what they felt, by edge."""
    url = f"http://127.0.0.1:{PORTS[service]}/version"
    options = {"url": url, "rates": {"keep_alive": 20, "fresh": 5, "post": 0}, "max_duration": 600}
    module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="started", replace=True, **options)
    seen: dict[str, dict[str, int]] = {}
    try:
        yield seen
    finally:
        stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")
    for edge, result in stopped.items():
        seen[edge] = {name: result["traffic"]["total"][name] for name in ("requests", "failed")}


def felt(seen: dict[str, dict[str, int]], what: str) -> float:
    """The share of requests that failed, over both edges."""
    failed, requests = (sum(edge[name] for edge in seen.values()) for name in ("failed", "requests"))
    MEASURED.append(f"{what}: {failed} of {requests} requests failed")
    assert requests > 0, seen
    return failed / requests


@contextlib.contextmanager
def dead(host: str) -> Iterator[None]:
    """A host that is gone, with all that runs on it, and comes back."""
    subprocess.run(["docker", "kill", container(host)], capture_output=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "start", container(host)], capture_output=True, check=True)


def comes_true(what: Callable[[], bool], seconds: float = 90) -> bool:
    """Whether it does; what cannot be asked yet is not true yet."""

    def now() -> bool:
        with contextlib.suppress(AssertionError, ValueError):
            return what()
        return False

    return bool(until(now, seconds, 0.5))
