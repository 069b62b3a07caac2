from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.release import release_plan, rolling_batches
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import Server
from ansible_collections.slipway.ops.plugins.module_utils.release.rolling import batch_size, batches, host_of, moves
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError

Surveys = dict[str, Any]


def survey(blue: str = "", green: str = "") -> dict[str, Any]:
    colours = {
        name: {"version": version or None, "complete": bool(version)}
        for name, version in (("blue", blue), ("green", green))
    }
    return {"colours": colours, "history": [], "instances": 1, "ports_taken": {}, "disk": []}


def pool(live: str = "blue", without: str = "", out: tuple[str, ...] = ()) -> dict[str, Any]:
    names = [f"{colour}-{host}-1" for colour in ("blue", "green") for host in ("a1", "a2", "a3")]
    servers = [{"name": name, "up": name not in out} for name in names]
    sets = {name: {"total": 3, "up": 3, "servers": servers} for name in ("blue", "green", "both") if name != without}
    return {"live": live, "sets": sets}


def planned(
    surveys: Surveys, live: str = "blue", version: str = "2", out: tuple[str, ...] = (), **asked: Any
) -> dict[str, Any]:
    request = {"action": "deploy", "service": "shop", "version": version, "strategy": "rolling", "max_unavailable": 1}
    return release_plan(surveys, {"e1": pool(live, out=out)}, request | asked, "0B")


THREE = {"a1": survey(blue="1"), "a2": survey(blue="1"), "a3": survey(blue="1")}


def test_the_hosts_change_in_batches_and_only_those_of_a_batch_serve_nothing() -> None:
    plan = planned(THREE)
    assert plan["problems"] == [] and [batch["hosts"] for batch in plan["batches"]] == [["a1"], ["a2"], ["a3"]]
    second = plan["batches"][1]
    assert second["away"] == {"a1": "green", "a2": "", "a3": "blue"}
    assert second["back"] == {"a1": "green", "a2": "green", "a3": "blue"}
    assert len(planned(THREE, max_unavailable="67%")["batches"]) == 2


@pytest.mark.parametrize(
    ("surveys", "asked"),
    [({"a1": survey(), "a2": survey()}, {}), (THREE, {"version": "1"}), (THREE, {"strategy": "blue_green"})],
    ids=["nothing is live that it could replace", "is live already", "another strategy"],
)
def test_not_every_run_goes_from_host_to_host(surveys: Surveys, asked: dict[str, Any]) -> None:
    assert planned(surveys, **asked)["batches"] == []


def test_a_rollback_goes_from_host_to_host_too() -> None:
    plan = planned(THREE, version="0.9", action="rollback")
    assert plan["target"] == {"colour": "green", "version": "0.9"} and len(plan["batches"]) == 3


@pytest.mark.parametrize("wanted", ["0", "-1", "some", "1.5", "", "3", "100%", "12 hosts"])
def test_a_size_that_leaves_nobody_or_means_nothing_is_refused_before_anything_changes(wanted: str) -> None:
    plan = planned(THREE, max_unavailable=wanted)
    assert plan["nothing"] and "deploy_rolling_max_unavailable" in plan["problems"][0]


def test_one_host_cannot_roll() -> None:
    assert "none would be left to serve" in planned({"a1": survey(blue="1")})["problems"][0]


@pytest.mark.parametrize(("text", "hosts", "size"), [("1", 5, 1), (" 25 %", 5, 1), ("50%", 5, 2), ("4", 5, 4)])
def test_the_size_of_a_batch(text: str, hosts: int, size: int) -> None:
    assert batch_size(text, hosts) == size
    with pytest.raises(RequestError):
        batch_size(text, 1)


def test_a_pool_that_cannot_serve_with_both_colours_is_refused() -> None:
    request = {"action": "deploy", "service": "shop", "version": "2", "strategy": "rolling", "max_unavailable": 1}
    plan = release_plan(THREE, {"e1": pool(without="both")}, request, "0B")
    assert "e1: the pool has no set both" in plan["problems"][0]


def test_what_a_killed_run_left_is_taken_up_where_it_stopped() -> None:
    """a1 has changed, a2 runs nothing, a3 still serves."""
    left = {"a1": survey(green="2"), "a2": survey(), "a3": survey(blue="1")}
    on = planned(left, "both")
    assert [batch["hosts"] for batch in on["batches"]] == [["a2"], ["a3"]]
    assert on["batches"][0]["away"] == {"a1": "green", "a2": "", "a3": "blue"} and on["previous"]["version"] == "1"
    back = planned(left, "both", version="1")
    assert [batch["hosts"] for batch in back["batches"]] == [["a2"], ["a1"]] and back["target"]["colour"] == "blue"
    other = planned(left, "both", version="3")
    assert [batch["hosts"] for batch in other["batches"]] == [["a2"], ["a1"], ["a3"]]


def test_what_no_gate_has_let_in_is_replaced_before_any_other_host() -> None:
    """a3 runs the new release, and its servers are in maintenance: it never passed its check."""
    left = {"a1": survey(green="2"), "a2": survey(blue="1"), "a3": survey(green="2")}
    assert [batch["hosts"] for batch in planned(left, "both", out=("green-a3-1",))["batches"]] == [["a3"], ["a2"]]
    assert [batch["hosts"] for batch in planned(left, "both")["batches"]] == [["a2"]]


def test_killed_when_every_host_had_changed_the_edges_are_only_told() -> None:
    plan = planned({host: survey(green="2") for host in THREE}, "both")
    assert plan["batches"] == [] and not plan["nothing"] and plan["pointed"] == "green"
    assert plan["live"] == {"colour": "green", "version": "2"} and plan["start"] == []


def test_the_way_back_begins_with_the_hosts_that_serve_nothing_and_leaves_alone_what_never_changed() -> None:
    way = rolling_batches({"a1": "green", "a2": "", "a3": "blue"}, "blue", "1")
    assert [batch["hosts"] for batch in way] == [["a2"], ["a1"]]
    assert way[0]["away"] == {"a1": "green", "a2": "", "a3": "blue"}
    assert way[-1]["back"] == dict.fromkeys(THREE, "blue")
    assert batches({"a1": "blue"}, "blue", 1) == []


def server(name: str, status: str = "UP", weight: int = 100) -> Server:
    return Server(name, "?", status, "L7OK", "200", "", 1, weight, 0, 0)


def test_a_server_is_brought_in_or_taken_out_only_where_it_is_not_so() -> None:
    servers = [
        server("blue-app-1-1"),
        server("blue-app-2-1"),
        server("green-app-1-1", "MAINT"),
        server("green-app-2-1", "DOWN"),
    ]
    assert host_of("blue-app-1-12") == ("blue", "app-1")
    assert moves(servers, {"app-1": "green", "app-2": ""}) == [
        ("blue-app-1-1", "maint"),
        ("blue-app-2-1", "maint"),
        ("green-app-1-1", "ready"),
        ("green-app-2-1", "maint"),
    ]
    assert moves(servers, {"app-1": "blue", "app-2": "blue"}) == [("green-app-2-1", "maint")]
    assert moves(servers, None) == [("green-app-1-1", "ready")]
    assert moves([server("blue-a-1", weight=80)], {"a": "blue"}) == [("blue-a-1", "ready")], "a canary left its share"
