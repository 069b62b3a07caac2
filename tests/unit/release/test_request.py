from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.release import answers, bake_boards, pool_url, release_plan
from ansible_collections.slipway.ops.plugins.module_utils.release.request import (
    Request,
    gate_checks,
    problems,
    read_request,
)
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service

SHOP: dict[str, Any] = {
    "name": "shop",
    "image": "i",
    "port": 80,
    "ports": {"blue": 8000, "green": 8100},
    "instances": 2,
}
HOSTS: dict[str, Any] = {
    "e1": {},
    "a1": {"app_services": [SHOP]},
    "a2": {"app_services": [SHOP]},
    "a3": {},
}
GROUPS = {"edge": ["e1"], "app": ["a1", "a2", "a3"]}
MIB = 2**20


def asked(service: str = "shop", version: str = "2.0", action: str = "deploy") -> Request:
    return Request("", action, service, version, [], [])


def test_a_request_names_its_hosts_edges_first_and_gets_an_id() -> None:
    request = read_request(HOSTS, GROUPS, asked())
    assert request.problem == "" and request.hosts == ["e1", "a1", "a2"]
    assert request.run.endswith("Z-deploy-shop")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked(service=""), "Say which service with -e service=NAME (known: shop)"),
        (asked(service="shp"), "did you mean shop?"),
        (asked(version=""), "Say which version"),
        (asked(version="a b"), "cannot be a version"),
        (asked(version="a b", action="rollback"), "cannot be a version"),
    ],
)
def test_what_cannot_be_meant(request_: Request, message: str) -> None:
    assert message in read_request(HOSTS, GROUPS, request_).problem


def test_an_edge_knows_the_service_by_its_first_app_host_and_nobody_its_secrets() -> None:
    secret = [SHOP | {"secrets": {"token": "hidden"}}]
    services = read_request(HOSTS | {"a1": {"app_services": secret}}, GROUPS, asked()).services
    assert services["e1"] == services["a1"] and services["a1"]["secrets"] == {"token": ""}
    assert services["a2"]["secrets"] == {}


@pytest.mark.parametrize("services", ["shop", [SHOP | {"instances": 0}]])
def test_services_that_cannot_be_read_are_a_problem_and_no_traceback(services: Any) -> None:
    told = read_request(HOSTS | {"a1": {"app_services": services}}, GROUPS, asked()).problem
    assert told.startswith("app_services") and "wanted is" in told


def test_a_rollback_needs_no_version() -> None:
    assert read_request(HOSTS, GROUPS, asked(version="", action="rollback")).problem == ""


def test_the_wrong_inventory_is_said() -> None:
    assert "right inventory" in read_request({}, {}, asked()).problem
    assert "no hosts in group edge" in read_request(HOSTS, {"app": ["a1"]}, asked()).problem


def survey(**change: Any) -> dict[str, Any]:
    whole = {"instances": 2, "ports_taken": {"green": {}}, "disk": [{"path": "/srv", "free": 5000 * MIB}]}
    return whole | change


def plan(**change: Any) -> dict[str, Any]:
    target = {"colour": "green", "version": "2.0"}
    return {"nothing": False, "start": ["a1"], "switch": True, "target": target} | change


def pool(total: int = 2, up: int = 0) -> dict[str, Any]:
    return {"sets": {"blue": {"total": 2, "up": 2}, "green": {"total": total, "up": up}}}


def test_a_sound_plan_has_no_problems() -> None:
    assert problems({"a1": survey()}, {"e1": pool()}, plan(), 1000 * MIB) == []


@pytest.mark.parametrize(
    ("found", "seen", "change", "message"),
    [
        (
            survey(ports_taken={"green": {"8100": "nginx (process 8)"}}),
            pool(),
            {},
            "a1: port 8100, which green needs, is taken by nginx",
        ),
        (
            survey(disk=[{"path": "/srv", "free": MIB}]),
            pool(),
            {},
            "a1: only 1 MiB are free at /srv, deploy_min_free wants 1000 MiB",
        ),
        (survey(), {"sets": {"blue": {}}}, {}, "e1: the pool has no set green"),
        (survey(), pool(total=3), {}, "set green has 3 servers and the app hosts have 2 instances"),
        (survey(), pool(up=1), {"start": []}, "only 1 of 2 servers of 2.0 are up"),
    ],
    ids=["port", "space", "sets", "instances", "warm release that is not up"],
)
def test_what_cannot_end_well(found: Any, seen: Any, change: dict[str, Any], message: str) -> None:
    (problem,) = problems({"a1": found}, {"e1": seen}, plan(**change), 1000 * MIB)
    assert message in problem


def test_a_rollback_without_history_is_a_problem_of_its_plan() -> None:
    alone = survey(history=[], colours={"blue": {"version": "1", "complete": True}, "green": {"version": None}})
    plan = release_plan({"a1": alone}, {"e1": {"live": "blue"}}, {"action": "rollback", "version": ""}, "1GiB")
    assert plan["problems"] == ["There is no earlier release in the history; name one with -e to=VERSION."]


def test_a_service_that_no_edge_has_is_a_problem() -> None:
    plan = release_plan({"a1": survey()}, {}, {"action": "deploy", "service": "shop", "version": "1"}, "1GiB")
    assert plan["problems"] == [
        "No host of group edge has shop in haproxy_pools. Give the service an edge_port and run site.yml."
    ]


def test_every_instance_is_asked_for_health_and_readiness() -> None:
    service = parse_service(SHOP | {"ready": {"path": "/ready"}})
    urls = [check["url"] for check in gate_checks(service, "green", "10.0.0.5", "a1")]
    assert urls == [f"http://10.0.0.5:{port}{path}" for port in (8100, 8101) for path in ("/health", "/ready")]
    assert gate_checks(service, "blue", "0.0.0.0", "a1")[0]["url"].startswith("http://127.0.0.1:8000/")
    assert gate_checks(service, "blue", "fd00::5", "a1")[0]["url"].startswith("http://[fd00::5]:8000/")
    assert gate_checks(service, "blue", "::", "a1")[0]["url"].startswith("http://[::1]:8000/")


def test_answers_leave_out_who_was_skipped_or_failed() -> None:
    hostvars = {
        "a": {"seen": {"pools": {"shop": 1}}},
        "b": {"seen": {"skipped": True, "pools": {"shop": 1}}},
        "c": {"seen": {"failed": True}},
        "d": {},
    }
    assert answers(hostvars, "seen", list(hostvars)) == {"a": {"pools": {"shop": 1}}}
    assert answers(hostvars, "seen", list(hostvars), "pools", "shop") == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1:18000", "http://127.0.0.1:18000"),
        ("*:80", "http://127.0.0.1:80"),
        ("10.1.2.3:80", "http://10.1.2.3:80"),
    ],
)
def test_the_url_of_a_pool(bind: str, url: str) -> None:
    assert pool_url([{"name": "x", "bind": "*:1"}, {"name": "shop", "bind": bind}], "shop") == url
    assert pool_url([], "shop") == ""


CANARY = {"action": "deploy", "live": {"colour": "blue", "version": "1.0"}}


def test_a_canary_needs_a_set_of_both_colours_and_another_version() -> None:
    plain, mixed = pool(), pool()
    mixed["sets"]["both"] = {"total": 4, "up": 2}
    assert problems({"a1": survey()}, {"e1": mixed}, plan(**CANARY), 1000 * MIB, "canary") == []
    (missing,) = problems({"a1": survey()}, {"e1": plain}, plan(**CANARY), 1000 * MIB, "canary")
    assert missing == "e1: the pool has no set both, which a canary needs; run site.yml."
    again = plan(**CANARY | {"live": {"colour": "blue", "version": "2.0"}})
    (same,) = problems({"a1": survey()}, {"e1": mixed}, again, 1000 * MIB, "canary")
    assert "2.0 is live already" in same
    assert problems({"a1": survey()}, {"e1": plain}, plan(**CANARY), 1000 * MIB, "blue_green") == []
    assert (
        problems({"a1": survey()}, {"e1": plain}, plan(**CANARY | {"action": "rollback"}), 1000 * MIB, "canary") == []
    )


def test_boards_are_asked_where_their_hosts_are_not_where_everybody_listens() -> None:
    surveys = {"app1": {"address": "10.0.0.5"}, "app2": {"address": "0.0.0.0"}, "app3": {"address": "fd00::5"}}
    assert bake_boards(surveys, 8900) == ["10.0.0.5:8900", "app2:8900", "[fd00::5]:8900"]
