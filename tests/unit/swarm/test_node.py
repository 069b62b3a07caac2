"""Nodes become what the inventory says, and what is wrong with a swarm is said and measured."""

from __future__ import annotations

import http.client
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.swarm import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.release import engine as docker
from ansible_collections.slipway.ops.plugins.module_utils.swarm import api, instances, node, watch
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError
from ansible_collections.slipway.ops.plugins.module_utils.swarm.node import Member
from ansible_collections.slipway.ops.plugins.modules import swarm_node
from engine import Engine

ACTIVE = {"LocalNodeState": "active", "ControlAvailable": True, "Error": ""}


@pytest.fixture
def swarm(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine(("a", "b", "c"))
    monkeypatch.setattr(node, "call", engine.call)
    monkeypatch.setattr(node, "get", engine.get)
    return engine


def test_nodes_get_role_labels_and_availability_and_a_second_time_nothing(swarm: Engine) -> None:
    members = [Member("x", "a", "worker", "active"), Member("y", "b", "manager", "drain", {"rack": "2"})]
    told = node.arrange(members, check=False)
    assert told == ["y: availability drain, labels {'rack': '2'}", "x: role worker"], "those who manage come first"
    assert swarm.nodes["b"]["Spec"] == {"Availability": "drain", "Role": "manager", "Labels": {"rack": "2"}}
    assert node.arrange(members, check=False) == []


def test_a_dry_run_arranges_nothing(swarm: Engine) -> None:
    assert node.arrange([Member("x", "a", "worker")], check=True) == ["x: role worker"] and swarm.calls == []


def test_a_host_of_another_swarm_is_refused(swarm: Engine) -> None:
    with pytest.raises(SwarmError, match="x is a node of another swarm"):
        node.arrange([Member("x", "z", "worker")], check=False)


def test_a_node_that_nobody_is_goes_only_when_asked_and_first_loses_its_tasks_and_vote(swarm: Engine) -> None:
    (gone,) = node.absent([Member("x", "a", "manager"), Member("y", "b", "manager")])
    assert node.named(gone).startswith("c (") and swarm.calls == []
    node.remove(gone)
    assert swarm.calls == ["POST /nodes/c/update", "DELETE /nodes/c"] and list(swarm.nodes) == ["a", "b"]


def test_addresses_of_both_families_are_joined_rightly(swarm: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(node, "call", lambda _method, path, _query, body, **_more: sent.append((path, body)))
    monkeypatch.setattr(node, "seen", lambda: node.Node("active", "a", True))
    node.join("fd00::1", "fd00::2", ["fd00::3", "10.0.0.4"], "token", manages=True)
    node.begin("10.0.0.1", "10.0.0.1", ["10.200.0.0/16"])
    (_, joined), (path, begun) = sent
    assert joined == {
        "ListenAddr": "[fd00::1]:2377", "AdvertiseAddr": "[fd00::1]:2377", "DataPathAddr": "fd00::2",
        "RemoteAddrs": ["[fd00::3]:2377", "10.0.0.4:2377"], "JoinToken": "token",
    }  # fmt: skip
    assert path == "/swarm/init" and begun["ListenAddr"] == "10.0.0.1:2377"
    assert (begun["DefaultAddrPool"], begun["SubnetSize"]) == (["10.200.0.0/16"], 24)


def test_one_that_does_not_take_part_in_time_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "PATIENCE", 0)
    monkeypatch.setattr(node, "seen", lambda: node.Node("pending", "", False, "no route to host"))
    with pytest.raises(SwarmError, match="it is pending, no route to host"):
        node.wait(manages=False)


def test_the_key_is_roots_alone_and_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "get", lambda _path: {"UnlockKey": "SWMKEY-1"})
    path = tmp_path / "swarm" / "key"
    assert node.keep_key(path) and path.stat().st_mode & 0o777 == 0o600
    assert not node.keep_key(path)


def test_a_locked_manager_without_its_key_says_how_to_open_it(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="docker swarm unlock asks for it"):
        node.unlock(tmp_path / "none")


def test_a_dry_run_sees_a_locked_manager_as_it_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "seen", lambda: node.Node("locked", "a", False))
    params = {"state": "seen", "key_file": "/etc/slipway/swarm/unlock_key"}
    assert swarm_node.change(params, check=True)
    assert swarm_node.expected(params, check=True) == node.Node("active", "a", True)
    assert swarm_node.expected(params, check=False).state == "locked"
    assert swarm_node.expected(params | {"key_file": None}, check=True).state == "locked"


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"a": "inactive", "b": "inactive"}, []),
        ({"a": "inactive", "b": "pending"}, ["b is pending"]),
        ({"a": "error"}, ["a is error", "b took no part in this run"]),
    ],
)
def test_a_swarm_begins_only_where_no_manager_can_know_of_one(states: dict[str, str], told: list[str]) -> None:
    answers = {host: {"node_state": state} for host, state in states.items()} | {"w": {"node_state": "active"}}
    assert FilterModule().filters()["swarm_doubts"](answers, ["a", "b"]) == told


@pytest.mark.parametrize("error", [http.client.IncompleteRead(b""), http.client.BadStatusLine(""), OSError("gone")])
def test_an_engine_that_stops_while_it_answers_is_said(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_more: Any) -> None:
        raise error

    monkeypatch.setattr(docker._Connection, "request", stop)
    with pytest.raises(SwarmError, match=r"the Docker engine does not answer GET /info on .*: ."):
        api.get("/info")


def test_an_engine_that_does_not_answer_is_a_problem_and_no_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docker, "SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["watch", "check"])
    assert watch.main() == 1 and "the Docker engine does not answer GET /info" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["watch", "publish", str(tmp_path)])
    assert watch.main() == 0 and "slipway_swarm_active 0\n" in (tmp_path / watch.FILE).read_text()


def test_a_host_whose_disk_was_replaced_is_one_node_and_is_ready() -> None:
    for nodes in ([one("a", "down", ""), one("a")], [one("a"), one("a", "down", "")]):
        told = "".join(watch.exposition(ACTIVE, nodes))
        assert told.count('node="a"') == 1 and 'slipway_swarm_node_ready{node="a"} 1\n' in told
        assert watch.problems(ACTIVE, nodes) == []
    lost = watch.problems(ACTIVE, [one("a", "down", "unreachable"), one("a")])
    assert lost == ["a does not answer as a manager"], "its vote counts still"


def one(name: str, state: str = "ready", reachability: str = "reachable") -> dict[str, Any]:
    manager = {"ManagerStatus": {"Reachability": reachability}} if reachability else {}
    return {"ID": name, "Description": {"Hostname": name}, "Status": {"State": state}} | manager


@pytest.mark.parametrize(
    ("swarm", "nodes", "told"),
    [
        (ACTIVE, [one("a"), one("b", reachability="")], []),
        (
            ACTIVE | {"LocalNodeState": "locked", "Error": "needs a key"},
            [],
            ["this host is locked in the swarm: needs a key"],
        ),
        (ACTIVE | {"ControlAvailable": False}, [], []),
        (ACTIVE, [one("a"), one("b", "down", "unreachable")], ["b is down", "b does not answer as a manager"]),
    ],
)
def test_what_is_wrong_is_said(swarm: dict[str, Any], nodes: list[Any], told: list[str]) -> None:
    assert watch.problems(swarm, nodes) == told


def test_managers_that_do_not_agree() -> None:
    assert "no majority" in watch.problems(ACTIVE, None)[0]
    assert "slipway_swarm_quorum 0" in "".join(watch.exposition(ACTIVE, None))


def test_metrics() -> None:
    told = "".join(watch.exposition(ACTIVE, [one("a"), one("b", "down")]))
    assert "slipway_swarm_active 1\n" in told and "slipway_swarm_quorum 1\n" in told
    assert 'slipway_swarm_node_ready{node="a"} 1\n' in told and 'slipway_swarm_node_ready{node="b"} 0\n' in told
    worker = "".join(watch.exposition(ACTIVE | {"LocalNodeState": "inactive", "ControlAvailable": False}, []))
    assert "slipway_swarm_active 0\n" in worker and "quorum" not in worker


@pytest.mark.parametrize(
    ("containers", "told"),
    [
        ([], "no container of shop-1 runs"),
        ([{"State": "exited", "ImageID": "new"}], "no container of shop-1 runs"),
        ([{"State": "running", "ImageID": "old"}], r"shop-1 runs another image \(old\)"),
        ([{"State": "running", "ImageID": "new"}], "shop-1 on port 1 does not answer"),
    ],
)
def test_an_instance_is_what_its_own_engine_runs(
    containers: list[Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances.engine, "containers", lambda _labels: containers)
    monkeypatch.setattr(instances.engine, "image_id", lambda _image: "new")
    (found,) = instances.wait({"shop-1": 1}, "shop:2", "/ready", 0)
    assert re.match(told, found)
