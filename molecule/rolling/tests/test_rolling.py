"""A release that goes from host to host under traffic, and every way in which it may stop on its way; in this order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import have_sample, shell
from playbook import Run, module, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
EDGES, APPS = ("edge1", "edge2"), ("app1", "app2", "app3")
VERSIONS = ("1.0.0", "2.0.0", "3.1.0")


def on(host: str, command: str) -> str:
    return shell(f"slipway-rolling-{host}", command)


@pytest.fixture(autouse=True)
def images() -> None:
    have_sample([f"slipway-rolling-{app}" for app in APPS], VERSIONS)


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, **variables)


def live() -> set[str]:
    """The set that each edge serves with."""
    return {on(edge, "grep '^sample ' /var/lib/slipway/haproxy/live.map").split()[1] for edge in EDGES}


def running() -> dict[str, list[str]]:
    """By app host, versions of the containers that run."""
    ask = "docker ps --filter label=slipway.service=sample --format '{{.Label \"slipway.version\"}}'"
    return {app: on(app, ask).split() for app in APPS}


def containers() -> dict[str, str]:
    return {app: on(app, "docker ps --quiet --filter label=slipway.service=sample") for app in APPS}


def everywhere(version: str) -> dict[str, list[str]]:
    return {app: [version] for app in APPS}


def in_maintenance() -> list[str]:
    """Servers that a release left out."""
    known = module(INVENTORY, "edge", "slipway.ops.pool_info", pools=["sample"])
    servers = [server for edge in EDGES for server in known[edge]["pools"]["sample"]["sets"]["both"]["servers"]]
    return [server["name"] for server in servers if server["status"].startswith("MAINT")]


@contextlib.contextmanager
def users() -> Iterator[dict[str, Any]]:
    """Clients of both edges that know nothing of releases; afterwards, what they felt."""
    options = {"url": "http://127.0.0.1:18000/version", "rates": {"keep_alive": 20, "fresh": 5, "post": 0}}
    started = {"state": "started", "replace": True, "max_duration": 600}
    module(INVENTORY, "edge", "slipway.ops.traffic", name="users", **started, **options)
    seen: dict[str, Any] = {}
    yield seen
    stopped = module(INVENTORY, "edge", "slipway.ops.traffic", name="users", state="stopped")
    traffic = [stopped[edge]["traffic"] for edge in EDGES]
    seen |= {name: sum(one["total"][name] for one in traffic) for name in ("requests", "failed")}
    seen["versions"] = {entry["version"] for one in traffic for entry in one["versions"]}


def test_the_first_release_replaces_nothing_and_starts_everywhere_at_once() -> None:
    run = deploy("1.0.0")
    assert run.code == 0 and "Rolling: stop" not in run.said, run.output
    assert running() == everywhere("1.0.0") and len(live()) == 1


def test_hosts_change_one_after_the_other_and_no_request_is_lost() -> None:
    with users() as seen:
        run = deploy("2.0.0")
    assert run.code == 0, run.output
    assert running() == everywhere("2.0.0"), "no host has room for two"
    assert live() <= {"blue", "green"} and len(live()) == 1 and in_maintenance() == []
    assert seen["failed"] == 0 and seen["requests"] > 0 and seen["versions"] == {"1.0.0", "2.0.0"}, seen
    assert "stays warm" not in run.said and "0 of" in run.said
    assert deploy("2.0.0").changed == 0


def test_a_release_that_leaks_errors_is_met_on_the_first_host_and_the_others_never_change() -> None:
    before, edges = containers(), live()
    run = deploy("3.1.0")
    assert run.code != 0 and "5/8 Rolling" in run.said and "app1" in run.said, run.output
    assert running() == everywhere("2.0.0") and live() == edges and in_maintenance() == []
    after = containers()
    assert (after["app2"], after["app3"]) == (before["app2"], before["app3"]) and after["app1"] != before["app1"]


def test_when_the_last_host_fails_those_that_had_changed_are_changed_back() -> None:
    edges = live()
    with users() as seen:
        run = deploy("1.0.0", bad_host="app3", deploy_gate_timeout=8)
    assert run.code != 0 and "every new instance answers" in run.said and "2.0.0" in run.said, run.output
    assert running() == everywhere("2.0.0") and live() == edges and in_maintenance() == []
    assert seen["failed"] == 0 and seen["versions"] == {"1.0.0", "2.0.0"}, seen


def test_killed_half_way_the_service_stays_up_and_the_next_run_goes_on_from_there() -> None:
    with users() as seen:
        run = Run("deploy", INVENTORY, service="sample", version="1.0.0")
        assert run.until("end the requests that are on app2"), run.output
        run.kill()
        changed = containers()["app1"]
        assert running()["app1"] == ["1.0.0"] and running()["app3"] == ["2.0.0"] and live() == {"both"}
        on("edge1", "systemctl reload haproxy.service")
        again = deploy("1.0.0")
    assert again.code == 0 and "never ended" in again.said, again.output
    assert running() == everywhere("1.0.0") and containers()["app1"] == changed and in_maintenance() == []
    assert live() <= {"blue", "green"} and seen["failed"] == 0, seen


def test_a_rollback_that_fails_is_not_rolled_back_and_the_next_one_ends_it() -> None:
    with users() as seen:
        run = play("rollback", INVENTORY, service="sample", bad_host="app2", deploy_gate_timeout=8)
        assert run.code != 0 and "is live on app1 of app1, app2, app3 only, and stays there" in run.said, run.output
        assert running()["app1"] == ["2.0.0"] and running()["app3"] == ["1.0.0"] and live() == {"both"}
        again = play("rollback", INVENTORY, service="sample")
    assert again.code == 0 and running() == everywhere("2.0.0"), again.output
    assert live() <= {"blue", "green"} and in_maintenance() == [] and seen["failed"] == 0, seen


def test_a_size_that_would_leave_nobody_is_refused() -> None:
    before = containers()
    run = deploy("1.0.0", deploy_rolling_max_unavailable=3)
    assert run.code != 0 and "none would be left to serve" in run.said and "Nothing was changed" in run.said, run.output
    assert containers() == before
