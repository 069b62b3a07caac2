"""A service in the swarm goes to a version, comes back from a bad one, and knows which one was live before."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service
from ansible_collections.slipway.ops.plugins.module_utils.swarm import release, secrets, watch
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError
from ansible_collections.slipway.ops.plugins.module_utils.swarm.release import (
    Order,
    clear,
    converge,
    look,
    restore,
    retire,
)
from ansible_collections.slipway.ops.plugins.module_utils.swarm.render import render
from engine import Engine

SHOP: dict[str, Any] = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}
NOW = [0.0]


@pytest.fixture
def swarm(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return use(Engine(), monkeypatch)


def use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    def silent(*_arguments: Any) -> str:
        raise EngineError("no logs here")

    def pass_time(seconds: float) -> None:
        NOW[0] += seconds
        engine.step()

    for module in (release, secrets):
        monkeypatch.setattr(module, "call", engine.call)
        monkeypatch.setattr(module, "get", engine.get)
    monkeypatch.setattr(release, "run", silent)
    monkeypatch.setattr(release.time, "sleep", pass_time)
    monkeypatch.setattr(release.time, "monotonic", lambda: NOW[0])
    return engine


def order(version: str, run: str = "", **more: Any) -> Order:
    description = SHOP | {name: more.pop(name) for name in ("instances", "environment") if name in more}
    wanted = render(parse_service(description), version, "/srv/slipway/shop", 5)
    return Order("shop", version, run or f"run-{version}", wanted, networks=["shop"], timeout=30, **more)


def versions(swarm: Engine) -> dict[str, str]:
    return {name: one["Spec"]["Labels"]["slipway.version"] for name, one in sorted(swarm.services.items())}


def test_the_first_release_makes_what_there_is_not_and_the_second_run_changes_nothing(swarm: Engine) -> None:
    done = converge(order("1", instances=2))
    assert done["changed"] and done["changes"] == ["shop-1", "shop-2"] and done["previous"] == ""
    networks = swarm.services["shop-1"]["Spec"]["TaskTemplate"]["Networks"]
    assert networks == [{"Target": "id-shop", "Aliases": ["shop"]}]
    swarm.calls.clear()
    assert not converge(order("1", "another", instances=2))["changed"] and swarm.calls == []


def test_a_dry_run_says_what_would_change_and_changes_nothing(swarm: Engine) -> None:
    done = converge(order("1", secrets={"key": "x"}), check=True)
    assert done["changes"] == ["shop-1"] and swarm.calls == []


def test_what_a_hand_has_changed_is_put_right(swarm: Engine) -> None:
    converge(order("1", environment={"A": "1"}))
    swarm.services["shop-1"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"].append("B=2")
    assert converge(order("1", environment={"A": "1"}))["changes"] == ["shop-1"]


def test_fewer_instances_go_once_the_rest_is_proven_and_stay_when_it_is_not(
    swarm: Engine,
) -> None:
    converge(order("1", instances=3))
    done = converge(order("2", instances=1))
    assert done["removed"] == ["shop-2", "shop-3"] and versions(swarm) == {"shop-1": "2", "shop-2": "1", "shop-3": "1"}
    restore("shop", "run-2", 30)
    assert versions(swarm) == {"shop-1": "1", "shop-2": "1", "shop-3": "1"}
    again = order("2", instances=1)
    converge(again)
    assert clear("shop", again.wanted, check=True) == ["shop-2", "shop-3"] and len(swarm.services) == 3
    assert clear("shop", again.wanted) == ["shop-2", "shop-3"] and versions(swarm) == {"shop-1": "2"}


def test_a_service_that_is_retired_leaves_nothing_not_even_what_its_last_tasks_had(swarm: Engine) -> None:
    converge(order("1", instances=2, secrets={"key": "x"}))
    told = retire("shop", 30, check=True)
    assert told[:2] == ["service shop-1", "service shop-2"] and told[2].startswith("secret shop")
    assert len(swarm.services) == 2 and len(swarm.secrets) == 1
    swarm.secrets_held = swarm.seconds + 3
    assert retire("shop", 30) == told and (swarm.services, swarm.secrets) == ({}, {})
    assert retire("shop", 30) == []


def test_a_task_that_does_not_end_keeps_its_secret_and_that_is_said(swarm: Engine) -> None:
    converge(order("1", secrets={"key": "x"}))
    swarm.secrets_held = 10_000
    with pytest.raises(SwarmError, match=r"tasks that do not end have shop.* still; run it again"):
        retire("shop", 30)


def test_a_version_that_no_node_accepts_fails_with_both_facts(swarm: Engine) -> None:
    converge(order("1", instances=2))
    swarm.refuses = "shop:2"
    with pytest.raises(SwarmError) as caught:
        converge(order("2", instances=2))
    told = str(caught.value)
    assert (
        "shop 2 was not accepted" in told and "a: task: non-zero exit (3)" in told and told.endswith("1 is live again")
    )
    assert versions(swarm) == {"shop-1": "1", "shop-2": "1"}


def test_instances_that_had_changed_already_come_back_too(swarm: Engine) -> None:
    converge(order("1", instances=2))
    swarm.refuses = "Hostname}}-2"  # the second instance's alone
    swarm.services["shop-2"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = []
    with pytest.raises(SwarmError, match=r"gave up its change of shop-2 and went back by itself.*1 is live again"):
        converge(order("2", instances=2))
    assert versions(swarm) == {"shop-1": "1", "shop-2": "1"}
    assert [call for call in swarm.calls if "update" in call].count("POST /services/shop-1/update") == 2


def test_what_cannot_even_go_back_is_not_tried_again(swarm: Engine) -> None:
    converge(order("1"))
    swarm.refuses, swarm.sticks = "shop:2", True
    with pytest.raises(SwarmError) as caught:
        converge(order("2"))
    assert "Going back failed too, and is not tried again" in str(caught.value)
    assert [call for call in swarm.calls if "update" in call] == ["POST /services/shop-1/update"]


def test_after_a_failure_the_live_version_is_nothing_to_do_and_what_stopped_half_way_goes_on(swarm: Engine) -> None:
    converge(order("1"))
    swarm.refuses = "shop:2"
    with pytest.raises(SwarmError):
        converge(order("2"))
    assert not converge(order("1"))["changed"]
    swarm.services["shop-1"]["UpdateStatus"] = {"State": "rollback_paused", "StartedAt": "2026-11-30T10:00:00Z"}
    assert converge(order("1"))["changes"] == ["shop-1"] and not converge(order("1"))["changed"]


def test_a_first_release_that_fails_leaves_nothing(swarm: Engine) -> None:
    swarm.refuses = "shop:1"
    with pytest.raises(
        SwarmError, match=r"does not go on: a: task.*Nothing was live before, and what was made is gone"
    ):
        converge(order("1", instances=2))
    assert swarm.services == {}


def test_a_new_service_that_ends_soon_after_it_has_begun_is_not_accepted(
    swarm: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(_seconds: float) -> None:
        NOW[0] += 1
        swarm.step()
        for task in swarm.tasks["shop-1"]:
            task["Status"] = {"State": "complete"}

    monkeypatch.setattr(release.time, "sleep", later)
    with pytest.raises(SwarmError, match="it ended, as one does that is not healthy"):
        converge(order("1"))


def test_a_node_that_is_away_does_not_hold_a_release_up_and_one_that_is_slow_does(swarm: Engine) -> None:
    swarm.nodes["b"]["Status"]["State"] = "down"
    assert converge(order("1"))["changed"]
    swarm.nodes["b"]["Status"]["State"], swarm.slow = "ready", {"b"}
    with pytest.raises(SwarmError, match=r"not there in time.*shop-1 on b: not there"):
        converge(order("1"))


def test_what_a_run_changed_comes_back_also_when_the_swarm_was_content(swarm: Engine) -> None:
    converge(order("1", instances=2))
    converge(order("2", "run-x", instances=3))
    assert restore("shop", "run-x", 30) == "1 is live again" and versions(swarm) == {"shop-1": "1", "shop-2": "1"}
    swarm.calls.clear()
    assert restore("shop", "run-x", 30) == "1 is live again" and swarm.calls == [], "once"


def test_rollbacks_go_further_back_and_never_to_what_they_left(swarm: Engine) -> None:
    for version in ("1", "2", "3"):
        converge(order(version))
    assert (look("shop").version, look("shop").earlier) == ("3", ["2", "1"])
    converge(order("2", back=True))
    assert (look("shop").version, look("shop").earlier) == ("2", ["1"])
    converge(order("3"))
    assert look("shop").earlier == ["2", "1"], "released again on purpose"
    converge(order("3", environment={"A": "1"}))
    assert look("shop").earlier == ["2", "1"], "the same version with another setting"


class Killed(Exception):
    """The run's process is gone."""


def kill_after(swarm: Engine, name: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run ends once the swarm has the service at the version."""

    def watch(_seconds: float) -> None:
        NOW[0] += 1
        swarm.step()
        service = swarm.services[name]
        if versions(swarm)[name] == version and service.get("UpdateStatus", {}).get("State") == "completed":
            raise Killed

    monkeypatch.setattr(release.time, "sleep", watch)


def killed(swarm: Engine, what: Order) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_after(swarm, "shop-1", what.version, patch)
        with pytest.raises(Killed):
            converge(what)


def test_a_killed_rollback_goes_on_to_where_it_was_going(swarm: Engine) -> None:
    for version in ("1", "2", "3"):
        converge(order(version, instances=11))
    killed(swarm, order("2", "back", instances=11, back=True))
    assert (versions(swarm)["shop-1"], versions(swarm)["shop-2"]) == ("2", "3")
    assert look("shop").previous == "2" and look("shop").version == "3"
    converge(order("2", "again", instances=11, back=True))
    assert (look("shop").version, look("shop").earlier, look("shop").previous) == ("2", ["1"], "1")


def test_a_rollback_under_way_goes_on_too(swarm: Engine) -> None:
    for version in ("1", "2", "3"):
        converge(order(version))
    killed_at_once = order("2", "back", back=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "_wait", lambda *_more, **_named: swarm.step())
        converge(killed_at_once)
    assert swarm.services["shop-1"]["UpdateStatus"]["State"] == "updating" and look("shop").previous == "2"


def test_a_killed_release_is_undone_by_a_rollback_and_counts_as_never_live_after_another(swarm: Engine) -> None:
    for version in ("1", "2", "3"):
        converge(order(version, instances=2))
    killed(swarm, order("4", instances=2))
    assert versions(swarm) == {"shop-1": "4", "shop-2": "3"} and look("shop").previous == "3"
    converge(order("5", instances=2))
    assert (look("shop").version, look("shop").earlier) == ("5", ["3", "2", "1"])
    killed(swarm, order("6", instances=2))
    converge(order("5", "undo", instances=2, back=True))
    assert (look("shop").version, look("shop").earlier) == ("5", ["3", "2", "1"])


def test_what_a_killed_run_left_does_not_hold_up_a_dry_run_nor_a_release_that_mends_it(swarm: Engine) -> None:
    converge(order("1"))
    swarm.services["shop-1"]["UpdateStatus"] = {"State": "updating", "StartedAt": "2026-11-30T10:00:00Z"}
    swarm.slow, before = {"a", "b"}, NOW[0]
    swarm.tasks["shop-1"].clear()
    assert converge(order("1"), check=True)["changes"] == ["shop-1"] and NOW[0] == before
    swarm.services["shop-1"]["UpdateStatus"] = {"State": "rollback_started", "StartedAt": "2026-11-30T10:00:00Z"}
    swarm.sticks, swarm.slow = True, set()
    assert converge(order("2"))["changes"] == ["shop-1"] and versions(swarm) == {"shop-1": "2"}


def test_an_old_end_of_a_service_that_stays_as_it_is_fails_no_release(swarm: Engine) -> None:
    first = order("1", instances=2)
    converge(first)
    swarm.tasks["shop-1"].append(swarm.task(swarm.services["shop-1"], "a", "failed"))
    swarm.seconds += 60
    swarm.services["shop-2"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = []
    assert converge(first)["changes"] == ["shop-2"]


def test_an_old_end_of_the_same_description_fails_no_release_of_it(swarm: Engine) -> None:
    converge(order("1"))
    converge(order("2"))
    former = {"Spec": swarm.services["shop-1"]["PreviousSpec"]}
    swarm.tasks["shop-1"].append(swarm.task(former, "a", "failed"))
    swarm.seconds += 60
    assert converge(order("1"))["changes"] == ["shop-1"]


def test_without_a_node_that_can_run_it_nothing_is_released(swarm: Engine) -> None:
    swarm.nodes["a"]["Status"]["State"], swarm.nodes["b"]["Spec"]["Availability"] = "down", "drain"
    for check in (True, False):
        with pytest.raises(SwarmError, match=r"no node can run shop.*Nothing was changed"):
            converge(order("1"), check)
    assert swarm.calls == []


def test_nodes_that_go_during_a_release_are_not_everywhere(swarm: Engine) -> None:
    converge(order("1"))
    for node in swarm.nodes.values():
        node["Status"]["State"] = "down"
    assert release.problems_of("shop") == ["shop-1: no node can run it"]


def test_health_asks_a_manager_how_a_service_runs(swarm: Engine) -> None:
    manages = {"LocalNodeState": "active", "ControlAvailable": True, "Error": ""}
    assert watch.service_problems(manages, "shop") == [
        "no version of shop was released to the swarm; swarm.yml releases one"
    ]
    converge(order("1"))
    assert watch.service_problems(manages, "shop") == []
    swarm.tasks["shop-1"][0]["Status"]["State"] = "failed"
    (told,) = watch.service_problems(manages, "shop")
    assert told.startswith("shop-1 on ") and told.endswith(": failed")
    swarm.services["shop-1"]["UpdateStatus"] = {"State": "updating"}
    assert watch.service_problems(manages, "shop") == [], "it changes node by node just now"
    assert release.problems_of("shop") == [told]
    assert watch.service_problems(manages | {"ControlAvailable": False}, "shop") == [], "who only runs tasks"
    away = manages | {"LocalNodeState": "unknown", "ControlAvailable": False, "Error": "no answer"}
    assert "this host is unknown in the swarm: no answer" in watch.service_problems(away, "shop")


def test_a_network_of_the_host_alone_is_refused(swarm: Engine) -> None:
    swarm.networks["shop"] = {"Name": "shop", "Id": "x", "Driver": "bridge", "Scope": "local"}
    with pytest.raises(SwarmError, match="the network shop of this manager is its own"):
        converge(order("1"))


def test_a_secret_is_found_again_another_value_is_another_one_and_the_former_goes(swarm: Engine) -> None:
    converge(order("1", secrets={"key": "one"}))
    (first,) = swarm.secrets.values()
    assert base64.b64decode(first["Spec"]["Data"]) == b"one" and "one" not in json.dumps(first["Spec"]["Labels"])
    assert not converge(order("1", secrets={"key": "one"}))["changed"] and len(swarm.secrets) == 1
    assert converge(order("1", secrets={"key": "two"}))["changed"] and len(swarm.secrets) == 2, "for going back"
    clear("shop", order("1").wanted)
    assert len(swarm.secrets) == 2, "for going back"
    converge(order("2", secrets={"key": "two"}))
    clear("shop", order("2").wanted)
    (left,) = swarm.secrets.values()
    assert base64.b64decode(left["Spec"]["Data"]) == b"two"
    (reference,) = swarm.services["shop-1"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"]
    assert reference["File"] == {"Name": "key", "UID": "10001", "GID": "10001", "Mode": 0o400}


def test_a_long_name_of_a_secret_begins_with_a_letter_or_digit() -> None:
    names = [secrets.name_of("shop", ("-._x" * 20)[:length]) for length in range(1, 70)]
    assert [name for name in names if len(name) > 64 or not name[0].isalnum() or not name[-1].isalnum()] == []


def test_nodes_pull_with_the_managers_own_login(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {"r:5000": {"auth": base64.b64encode(b"app:pass:word").decode()}}}))
    (header,) = secrets.login("r:5000/shop:1", path).values()
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": "app", "password": "pass:word", "serveraddress": "r:5000",
    }  # fmt: skip
    assert secrets.login("other/shop:1", path) == {} and secrets.login("r:5000/shop:1", tmp_path / "none") == {}
