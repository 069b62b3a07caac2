"""Every strategy meets every fault: users lose nothing, or no more than is declared; the decision is right; it is told.

Swarm has its own in molecule/swarm, what the hosts decide after the switch in molecule/bake.
"""

from __future__ import annotations

from typing import Any

import pytest
from matrix import (
    EDGES,
    LEAKS,
    PORTS,
    answers,
    come_to,
    comes_true,
    dead,
    deploy,
    evidence,
    felt,
    images,
    live,
    on,
    other,
    users,
)

STRATEGIES = tuple(PORTS)
BAD: dict[str, dict[str, Any]] = {
    "bad health": {"matrix_fault": {"FAIL_HEALTH": "true"}, "deploy_gate_timeout": 8},
    "5 % errors": {"matrix_fault": {"ERROR_RATE": "0.05"}, "deploy_watch_seconds": 8},
    "slow": {"matrix_fault": {"LATENCY_MS": "2500"}, "deploy_watch_latency_p95": 2},
    "leaks memory": {"deploy_watch_seconds": 20, "deploy_canary_steps": [{"share": 50, "seconds": 20}]},
    "registry down": {"matrix_image": "127.0.0.1:5999/sample"},
}
# The share of its users' requests that a bad release may cost, where that is not none at all. Recreate has an outage.
DECLARED = {"5 % errors": 0.06, "leaks memory": 0.5}
KILLED_AT = {"blue-green": "5/8 Switch", "canary": "5/8 Canary", "rolling": "end the requests that are on app2"}
DIES_AT = {"rolling": "end the requests that are on app2"}


@pytest.fixture(autouse=True)
def prepared() -> None:
    images()


@pytest.fixture(params=STRATEGIES)
def service(request: pytest.FixtureRequest) -> str:
    """A service that is live on both edges, by the strategy whose name it has."""
    name = str(request.param)
    if answers("edge1", name) == {"none"}:
        run = deploy(name, "1.0.0")
        assert run.code == 0, run.output
    return name


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_release_is_refused_and_users_keep_the_one_before(service: str, fault: str) -> None:
    before = live(service)
    version = LEAKS if fault == "leaks memory" else other(before)
    with users(service) as seen:
        run = deploy(service, version, **BAD[fault])
    failed = felt(seen, f"{service}, {fault}")
    assert run.code != 0 and live(service) == before, run.output
    result = evidence("delivery.deploy.result", service)
    if fault == "registry down":
        assert "Nothing was changed" in run.said and failed == 0, run.output
        return
    assert result["verdict"] == "fail" and version in result["reason"], result
    if service == "recreate":
        assert evidence("delivery.recreate.outage", service)["measured"] > 0
    else:
        assert failed <= DECLARED.get(fault, 0), (seen, run.output)


def test_a_host_that_dies_midway_leaves_one_release_everywhere(service: str) -> None:
    before = live(service)
    version = other(before)
    with users(service) as seen:
        run = come_to(DIES_AT.get(service, "4/8"), service, version)
        with dead("app2"):
            run.end()
            assert run.code != 0 and "app2" in run.said, run.output
            assert {answer for edge in EDGES for answer in answers(edge, service)} == {before}, run.output
    felt(seen, f"{service}, host dies midway")
    assert evidence("delivery.deploy.result", service)["verdict"] == "fail"
    assert comes_true(lambda: live(service) == before)
    again = deploy(service, version)
    assert again.code == 0 and live(service) == version, again.output


def test_after_a_killed_controller_the_service_answers_and_the_next_run_ends_well(service: str) -> None:
    before = live(service)
    version = other(before)
    with users(service) as seen:
        run = come_to(KILLED_AT.get(service, "4/8"), service, version)
        run.kill()
        again = deploy(service, version)
    failed = felt(seen, f"{service}, controller killed")
    assert again.code == 0 and live(service) == version, again.output
    assert evidence("delivery.deploy.result", service)["verdict"] == "pass"
    assert failed == 0 or service == "recreate", (seen, again.output)


def test_an_edge_that_restarts_midway_ends_with_the_same_release_as_the_other(service: str) -> None:
    """Its own requests fail meanwhile, so the release may be taken back; the other edge's users feel nothing."""
    before = live(service)
    version = other(before)
    with users(service) as seen:
        run = come_to("5/8", service, version)
        on("edge2", "systemctl restart haproxy")
        run.end()
    felt(seen, f"{service}, edge restarted")
    assert live(service) == (version if run.code == 0 else before), run.output
    assert evidence("delivery.deploy.result", service)["verdict"] == ("pass" if run.code == 0 else "fail")
    assert seen["edge1"]["failed"] == 0 or service == "recreate", (seen, run.output)
