"""How many instances there shall be: the rule, the way there, and that a release carries the number on."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.release import release_plan
from ansible_collections.slipway.ops.plugins.filter.scaling import scale_decision
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.plan import pools_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import find_pools
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import Server, Stats
from ansible_collections.slipway.ops.plugins.module_utils.release import scaling
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, parse_service

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.timezone.utc)
SHOP: dict[str, Any] = {
    "name": "shop",
    "image": "r:5000/shop",
    "port": 80,
    "ports": {"blue": 8000, "green": 8100},
    "edge_port": 18000,
    "instances": 2,
    "scaling": {"max": 6},
}
SERVICE = parse_service(SHOP)


@pytest.mark.parametrize(
    ("now", "cpu", "rested", "wanted", "why"),
    [
        (2, [71.0, 71.0], None, 3, "more than 70 %"),
        (2, [70.0, 70.0], None, 2, "from 30 to 70 %"),
        (2, [50.0, 80.0], None, 2, "from 30 to 70 %"),  # the mean counts
        (2, [100.0, 100.0], None, 3, "more than 70 %"),
        (4, [100.0] * 4, None, 6, "more than 70 %"),  # as many as would be at 70 %
        (5, [100.0] * 5, None, 6, "more than 70 %"),  # and no more than there may be
        (6, [100.0] * 6, None, 6, "6 is the greatest number"),
        (4, [29.0] * 4, None, 3, "less than 30 %"),
        (4, [0.0] * 4, None, 3, "less than 30 %"),  # one at a time
        (4, [30.0] * 4, None, 4, "from 30 to 70 %"),
        (2, [0.0, 0.0], None, 2, "2 is the least number"),
        (2, [90.0, 90.0], 299.0, 2, "rests for 300 s"),
        (2, [90.0, 90.0], 300.0, 3, "more than 70 %"),
        (4, [5.0] * 4, 299.0, 4, "rests for 300 s"),
        (4, [5.0] * 4, 300.0, 3, "less than 30 %"),
        (4, [90.0, None, 90.0, 90.0], None, 4, "only 3 of 4 instances"),
        (4, [1.0, None, 1.0, 1.0], None, 4, "only 3 of 4 instances"),
        (4, [], None, 4, "only 0 of 0 instances"),
    ],
)
def test_the_rule(now: int, cpu: list[float | None], rested: float | None, wanted: int, why: str) -> None:
    decision = scaling.decide(SERVICE, now, cpu, rested)
    assert decision.instances == wanted and why in decision.why


def test_fewer_are_not_what_would_bring_more_at_once() -> None:
    close = parse_service(SHOP | {"instances": 1, "scaling": {"max": 4, "cpu_out": 50, "cpu_in": 40}})
    decision = scaling.decide(close, 2, [39.0, 39.0], None)
    assert decision.instances == 2 and "fewer would be at more than 50 %" in decision.why
    assert scaling.decide(close, 4, [36.0] * 4, None).instances == 3


def survey(*counts: tuple[str, int], events: tuple[dict[str, Any], ...] = (), least: int = 2) -> dict[str, Any]:
    containers = [
        {"role": "instance", "colour": colour, "state": "running"} for colour, count in counts for _ in range(count)
    ]
    colours = {colour: {"version": "1.0", "complete": count >= least} for colour, count in counts}
    return {"containers": containers, "colours": colours, "history": list(events), "instances": least, "disk": []}


def event(name: str, at: str, **more: Any) -> dict[str, Any]:
    return {"at": at, "run": at, "event": name, "version": "1.0", "colour": "blue"} | more


DONE = event("done", "2026-11-30T11:00:00.000Z")
EDGE = {"edge1": {"live": "blue", "sets": {"blue": {"total": 2}, "green": {"total": 5}}}}


def planned(asked: str = "", *, service: Any = SERVICE, pools: Any = EDGE, **surveys: dict[str, Any]) -> dict[str, Any]:
    return scaling.plan(service, surveys, pools, asked, NOW).as_dict()


def test_hosts_that_differ_come_to_the_same_number() -> None:
    found = planned("3", app1=survey(("blue", 2), events=(DONE,)), app2=survey(("blue", 4)), app3=survey(("blue", 3)))
    assert (found["out"], found["fewer"], found["nothing"]) == (["app1"], ["app2"], False)
    assert (found["colour"], found["version"], found["now"], found["rested"]) == ("blue", "1.0", 4, 3600)
    assert planned("3", app1=survey(("blue", 3)))["nothing"]


def test_the_rule_alone_changes_nothing_of_what_is_unequal() -> None:
    """One is being started again: that is no reason to take one away elsewhere."""
    found = planned(app1=survey(("blue", 3)), app2=survey(("blue", 4)))
    assert found["nothing"] and found["now"] == 4
    calm = {"app1": {"a": 50.0, "b": 50.0, "c": 50.0}, "app2": dict.fromkeys("abcd", 50.0)}
    assert scale_decision(found, SHOP, calm)["nothing"]
    busy = scale_decision(found, SHOP, {host: dict.fromkeys(cpu, 90.0) for host, cpu in calm.items()})
    assert (busy["wanted"], busy["out"]) == (6, ["app1", "app2"])
    assert scale_decision(found, SHOP, {"app2": calm["app2"]})["nothing"]  # app1 could not be measured


def test_a_change_and_a_release_are_both_rested_after() -> None:
    later = event("scaled", "2026-11-30T11:59:00.000Z")
    assert planned(app1=survey(("blue", 2), events=(DONE, later)))["rested"] == 60
    failed = event("failed", "2026-11-30T11:59:59.000Z")
    assert planned(app1=survey(("blue", 2), events=(DONE, failed)))["rested"] == 3600


@pytest.mark.parametrize(
    ("asked", "change", "told"),
    [
        ("1", {}, "wanted is a number from 2 (instances) to 6 (scaling.max)"),
        ("7", {}, "wanted is a number from 2"),
        ("many", {}, "wanted is a number from 2"),
        ("3", {"scaling": {}}, "has no scaling.max"),
        ("3", {"strategy": "canary"}, "has strategy canary"),
        ("3", {"strategy": "rolling"}, "has strategy rolling"),
    ],
)
def test_what_cannot_be_is_refused(asked: str, change: dict[str, Any], told: str) -> None:
    found = planned(asked, service=parse_service(SHOP | change), app1=survey(("blue", 2)))
    assert told in found["problems"][0] and found["nothing"]


def test_nothing_is_scaled_that_is_not_whole_or_in_a_release() -> None:
    assert "No host of group edge" in planned("3", pools={}, app1=survey(("blue", 2)))["problems"][0]
    assert "is not whole" in planned("3", app1=survey())["problems"][0]
    assert "not whole on app2" in planned("3", app1=survey(("blue", 2)), app2=survey(("blue", 1)))["problems"][0]
    begun = event("begun", "2026-11-30T11:30:00.000Z")
    assert "never ended" in planned("3", app1=survey(("blue", 2), events=(DONE, begun)))["problems"][0]


def test_a_release_starts_with_as_many_as_are_live() -> None:
    surveys = {"app1": survey(("blue", 5), ("green", 2)), "app2": survey(("blue", 4), ("green", 2))}
    assert scaling.carried(SERVICE, surveys, EDGE) == {"live": 4, "warm": 2}
    assert scaling.carried(SERVICE, {"app1": survey()}, EDGE) == {"live": 2, "warm": 2}
    assert scaling.carried(SERVICE, {"app1": survey(("blue", 9))}, EDGE)["live"] == 6  # the inventory allows no more


def test_a_pool_left_at_another_number_is_no_reason_against_a_release() -> None:
    asked = {"action": "deploy", "service": "shop", "version": "2.0"}
    surveys = {"app1": survey(("blue", 2), events=(DONE,)) | {"ports_taken": {}}}
    pools = {
        "edge1": {
            "live": "blue",
            "sets": {name: {"total": total, "up": 2} for name, total in (("blue", 2), ("green", 5))},
        }
    }
    assert release_plan(surveys, pools, asked | {"scales": True}, "0B")["problems"] == []
    assert "has 5 servers" in release_plan(surveys, pools, asked, "0B")["problems"][0]


def test_pools_have_room_and_new_instances_their_own_checks() -> None:
    (pool,) = pools_of([SERVICE], ["app1", "app2"], {})
    spare = {server["name"]: server.get("spare", False) for server in pool["sets"]["blue"]}
    assert [name for name, of in spare.items() if not of] == ["app1-1", "app1-2", "app2-1", "app2-2"]
    assert len(spare) == 12 and pool["sets"]["green"][5]["address"] == "app1:8105"
    (fixed,) = pools_of([parse_service(SHOP | {"scaling": {}})], ["app1"], {})
    assert [server["name"] for server in fixed["sets"]["blue"]] == ["app1-1", "app1-2"]
    asked = scaling.checks(parse_service(SHOP | {"instances": 4}), "blue", "10.0.0.5", "app1", 3)
    assert {check["subject"] for check in asked} == {"app1-3", "app1-4"} and "10.0.0.5:8002" in asked[0]["url"]


def test_colours_may_not_share_ports_when_there_are_more() -> None:
    with pytest.raises(ServiceError, match="blue and green would share port 8003; leave 6 ports"):
        parse_service(SHOP | {"ports": {"blue": 8000, "green": 8003}})


def server(name: str, status: str, weight: int) -> Server:
    return Server(name, "10.0.0.5:8000", status, "L7OK", "200", "", 1, weight, 0, 0)


def test_only_what_is_away_without_a_weight_is_spare() -> None:
    """Whoever takes a host out for maintenance leaves its weight, and it goes on counting."""
    servers = [server("app1-1", "UP", 100), server("app1-2", "MAINT", 100), server("app1-3", "MAINT", 0)]
    stats = Stats(["shop"], {"shop-blue": servers, "shop-green": []}, {}, {})
    assert [one.name for one in find_pools(stats)["shop"].sets["blue"]] == ["app1-1", "app1-2"]


def test_the_record_says_what_was_tried() -> None:
    found = planned("3", app1=survey(("blue", 2)))
    good = scaling.record(found, "shop", "", 1_700_000_000.0, 1_700_000_009.5)
    assert (good["id"], good["verdict"], good["measured"], good["took"]) == (
        "delivery.scale.result",
        "pass",
        "2 to 3 on each host",
        9.5,
    )
    bad = scaling.record(found, "shop", "app1-3 is unhealthy", 1_700_000_000.0, 1_700_000_009.5)
    assert (bad["verdict"], bad["reason"]) == ("fail", "app1-3 is unhealthy")
