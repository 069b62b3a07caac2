from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.plan import (
    Plan,
    Running,
    find_truth,
    plan_deploy,
    plan_rollback,
)
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError

Events = list[dict[str, Any]]


def events(*words: str) -> Events:
    """``"done 1 blue"`` or ``"done 1 blue rollback"``, one run each; ``"+failed …"`` belongs to the run before."""
    made: Events = []
    for number, text in enumerate(words):
        kind, version, colour, *action = text.lstrip("+").split()
        run = number - 1 if text.startswith("+") else number
        made.append(
            {
                "run": f"r{run}",
                "at": f"2026-11-21T00:00:{number:02d}Z",
                "event": kind,
                "version": version,
                "colour": colour,
                "action": action[0] if action else "deploy",
                "by": "kim@laptop",
            }
        )
    return made


def host(blue: str | None = None, green: str | None = None, history: Events | None = None) -> dict[str, Any]:
    def colour(version: str | None) -> dict[str, Any]:
        return {"version": version, "running": 2 if version else 0, "complete": bool(version)}

    return {"colours": {"blue": colour(blue), "green": colour(green)}, "history": history or []}


def deploy(edges: dict[str, str], hosts: dict[str, Any], version: str, force: bool = False) -> Any:
    return plan_deploy(find_truth(edges, hosts), hosts, version, force)


def rollback(edges: dict[str, str], hosts: dict[str, Any], to: str | None = None) -> Any:
    return plan_rollback(find_truth(edges, hosts), hosts, to)


def test_the_first_release_goes_beside_the_colour_that_the_edge_points_at() -> None:
    plan = deploy({"e": "blue"}, {"a": host(), "b": host()}, "1")
    assert plan.target == Running("green", "1") and plan.previous is None and plan.start == ["a", "b"] and plan.switch


def test_a_live_worker_that_starts_again_for_ever_is_noted() -> None:
    def worker(colour: str, state: str) -> dict[str, str]:
        return {"name": f"shop-{colour}-mail-1", "colour": colour, "role": "worker", "state": state}

    found = {"containers": [worker("blue", "restarting"), worker("blue", "running"), worker("green", "restarting")]}
    truth = find_truth({"e": "blue"}, {"a": host("1") | found})
    assert truth.notes == ["a: the worker shop-blue-mail-1 is restarting"]


def test_a_new_version_goes_beside_the_live_one_and_pushes_out_the_warm_one() -> None:
    plan = deploy({"e": "green"}, {"a": host("1", "2"), "b": host("1", "2")}, "3")
    assert plan.target == Running("blue", "3")
    assert plan.previous == Running("green", "2") and plan.warm == Running("blue", "1")


def test_the_live_version_again_changes_nothing_unless_forced() -> None:
    hosts = {"a": host("1", history=events("done 1 blue"))}
    assert deploy({"e": "blue"}, hosts, "1").nothing
    forced = deploy({"e": "blue"}, hosts, "1", force=True)
    assert not forced.nothing and forced.target == Running("green", "1")


def test_a_host_without_the_live_version_gets_it() -> None:
    plan = deploy({"e": "blue"}, {"a": host("1"), "b": host("1"), "new": host()}, "1")
    assert plan.start == ["new"] and not plan.switch and not plan.nothing


def test_edges_that_disagree_follow_the_majority() -> None:
    truth = find_truth({"x": "blue", "y": "green", "z": "green"}, {"a": host("1", "2")})
    assert truth.live == Running("green", "2") and truth.split and "disagreed" in truth.notes[0]


def test_edges_that_disagree_evenly_follow_the_last_record() -> None:
    hosts = {"a": host("1", "2", events("done 1 blue", "begun 2 green"))}
    assert find_truth({"x": "green", "y": "blue"}, hosts).live == Running("blue", "1")


def test_a_run_killed_after_its_switch_is_taken_up_and_can_still_be_taken_back() -> None:
    begun = events("done 1 blue", "begun 2 green")
    begun[-1]["previous"] = {"version": "1", "colour": "blue"}
    hosts = {"a": host("1", "2", begun)}
    plan = deploy({"e": "green"}, hosts, "2")
    assert not plan.nothing and not plan.switch and plan.start == []
    assert plan.target == Running("green", "2") and plan.previous == Running("blue", "1")


def test_another_version_after_a_killed_run_records_what_was_found() -> None:
    hosts = {"a": host("1", "2", events("done 1 blue", "begun 2 green"))}
    plan = deploy({"e": "green"}, hosts, "3")
    assert plan.found == {"action": "deploy", "colour": "green", "version": "2"}
    assert plan.previous == Running("green", "2") and "never ended" in plan.notes[0]


def baking(told: dict[str, Any], previous: str = "1") -> dict[str, Any]:
    return told | {"bake": {"version": "2", "previous_version": previous, "until": 1.0}}


def lame(told: dict[str, Any], colour: str) -> dict[str, Any]:
    told["colours"][colour] = {"version": "2", "running": 1, "complete": False}
    return told


def test_a_release_that_bakes_and_lost_an_instance_bakes_on_with_its_way_back() -> None:
    hosts = {"a": baking(host("1", "2")), "b": baking(lame(host("1", "2"), "green"))}
    plan = deploy({"e": "green"}, hosts, "2")
    assert (plan.start, plan.switch, plan.previous, plan.notes) == (["b"], False, Running("blue", "1"), [])
    assert deploy({"e": "green"}, {"a": baking(host("1", "2"))}, "2").nothing


def test_a_bake_that_has_nothing_to_go_back_to_on_a_new_host_ends_and_says_so() -> None:
    hosts = {"a": baking(host("1", "2")), "new": host()}
    plan = deploy({"e": "green"}, hosts, "2")
    assert (plan.start, plan.previous) == (["new"], None)
    assert plan.notes == ["the bake of 2 ends with this run: 1, to which it would go back, does not run on every host"]
    hosts = {"a": baking(host("0", "2")), "b": baking(lame(host("0", "2"), "green"))}
    assert deploy({"e": "green"}, hosts, "2").previous is None, "what is warm is not what it would go back to"


def test_that_a_bake_went_back_is_told_until_another_release_is_live() -> None:
    told = events(
        "done 1 blue", "done 2 green", "done 1 blue rollback", "scaled 1 blue", "failed 3 green", "done 4 green"
    )
    told[2] |= {"by": "bake on edge1", "reason": "it is bad", "previous": {"version": "2", "colour": "green"}}
    said = "2 was rolled back by its bake at 2026-11-21T00:00:02Z: it is bad"
    for length, notes in ((2, []), (3, [said]), (4, [said]), (5, [said]), (6, [])):
        assert find_truth({"e": "blue"}, {"a": host("1", "2", told[:length])}).notes == notes, length


def test_a_warm_rollback_is_a_switch_alone() -> None:
    hosts = {"a": host("1", "2", events("done 1 blue", "done 2 green"))}
    plan = rollback({"e": "green"}, hosts)
    assert plan.target == Running("blue", "1") and plan.previous == Running("green", "2")
    assert plan.start == [] and plan.switch


def test_a_rollback_after_a_rollback_goes_further_back_and_is_cold() -> None:
    done = events("done 1 blue", "done 2 green", "done 3 blue", "done 2 green rollback")
    plan = rollback({"e": "green"}, {"a": host("3", "2", done)})
    assert plan.target == Running("blue", "1") and plan.start == ["a"] and plan.warm == Running("blue", "3")


def test_a_rollback_killed_before_its_record_does_not_go_back_to_the_bad_version() -> None:
    hosts = {"a": host("2", "3", events("done 1 blue", "done 2 blue", "done 3 green"))}
    plan = rollback({"e": "blue"}, hosts)  # the edges already point at 2
    assert plan.target.version == "1"
    assert plan.found == {"action": "rollback", "colour": "blue", "version": "2"}


def test_a_rollback_after_an_old_version_was_deployed_again() -> None:
    past = events("done 1 blue", "done 2 green", "done 1 blue")
    plan = rollback({"e": "blue"}, {"a": host("1", "2", past)})
    assert plan.target == Running("green", "2") and plan.start == []


def test_a_rollback_to_a_named_version() -> None:
    done = events("done 1 blue", "done 2 green", "done 3 blue")
    hosts = {"a": host("3", "2", done)}
    assert rollback({"e": "blue"}, hosts, "1").target == Running("green", "1")
    assert rollback({"e": "blue"}, hosts, "2").start == []
    assert rollback({"e": "blue"}, hosts, "3").nothing


def test_warm_on_one_host_only_is_not_warm() -> None:
    done = events("done 1 blue", "done 2 green")
    plan = rollback({"e": "green"}, {"a": host("1", "2", done), "b": host(None, "2", done)})
    assert plan.target == Running("blue", "1") and plan.start == ["a", "b"]


def test_nothing_to_go_back_to() -> None:
    with pytest.raises(RequestError, match="no earlier release"):
        rollback({"e": "blue"}, {"a": host("1", history=events("done 1 blue"))})


ORIGIN = {"run": "r9", "by": "kim@laptop", "job": ""}
THREE = {"a": host("1", "2", events("done 1 blue", "done 2 green"))}


def test_a_failed_release_beside_a_live_one_is_removed_and_what_it_pushed_out_starts_again() -> None:
    plan = deploy({"e": "green"}, THREE, "3")
    assert (plan.takes_back, plan.removes, plan.restore_to, plan.warms) == (True, True, "green", ["a"])


def test_a_failed_first_release_is_removed_and_nothing_starts_again() -> None:
    plan = deploy({"e": "blue"}, {"a": host()}, "1")
    assert (plan.takes_back, plan.removes, plan.restore_to, plan.warms) == (True, True, "blue", [])


def test_a_failed_rollback_to_a_warm_release_leaves_it_running() -> None:
    plan = rollback({"e": "green"}, THREE)
    assert (plan.takes_back, plan.removes, plan.restore_to) == (True, False, "green")


def test_a_failure_on_a_new_host_takes_nothing_from_the_live_release() -> None:
    plan = deploy({"e": "blue"}, {"a": host("1"), "new": host()}, "1")
    assert (plan.takes_back, plan.removes, plan.warms) == (False, False, [])


def test_a_run_that_was_taken_up_after_its_switch_is_taken_back_by_it() -> None:
    begun = events("done 1 blue", "begun 2 green")
    begun[-1]["previous"] = {"version": "1", "colour": "blue"}
    plan = deploy({"e": "green"}, {"a": host("1", "2", begun)}, "2")
    assert (plan.takes_back, plan.removes, plan.restore_to) == (True, True, "blue")


def test_the_history_gets_a_beginning_and_an_end() -> None:
    plan = deploy({"e": "green"}, THREE, "3")
    (begun,), (done,), (failed,) = (plan.events(ORIGIN, event, "it broke") for event in ("begun", "done", "failed"))
    assert begun == ORIGIN | {
        "event": "begun",
        "action": "deploy",
        "version": "3",
        "colour": "blue",
        "previous": {"version": "2", "colour": "green"},
    }
    assert (done["event"], failed["event"], failed["reason"]) == ("done", "failed", "it broke")
    assert "reason" not in done


def test_what_was_found_live_is_written_once_and_nothing_done_is_nothing_written() -> None:
    killed = {"a": host("1", "2", events("done 1 blue", "begun 2 green"))}
    started = deploy({"e": "green"}, killed, "3")
    assert [(one["event"], one["version"]) for one in started.events(ORIGIN, "begun")] == [
        ("found", "2"),
        ("begun", "3"),
    ]
    assert [one["event"] for one in started.events(ORIGIN, "done")] == ["done"]
    switched = rollback({"e": "blue"}, {"a": host("2", "1", events("done 1 green", "begun 2 blue"))}, "1")
    assert [one["event"] for one in switched.events(ORIGIN, "done")] == ["found", "done"]
    again = deploy({"e": "green"}, THREE, "2")
    assert again.nothing and again.events(ORIGIN, "done") == []


def test_a_plan_survives_as_plain_data() -> None:
    for plan in (deploy({"e": "green"}, THREE, "3"), deploy({"e": "blue"}, {"a": host()}, "1")):
        assert Plan.from_dict(plan.as_dict()) == plan


def test_an_edge_left_at_a_canary_goes_back_to_what_was_live() -> None:
    told = events("done 1 blue", "begun 2 green")
    hosts = {"a": host(blue="1", green="2", history=told)}
    plan = deploy({"e": "both", "f": "both"}, hosts, "2")
    assert (plan.pointed, plan.live, plan.target) == ("blue", Running("blue", "1"), Running("green", "2"))
    assert plan.split == {"e": "both", "f": "both"} and not plan.nothing
    green = events("done 1 blue", "done 2 green", "begun 3 blue")
    assert deploy({"e": "both"}, {"a": host(blue="3", green="2", history=green)}, "3").pointed == "green"
    assert deploy({"e": "both", "f": "blue"}, hosts, "2").pointed == "blue"
    assert deploy({"e": "both"}, {"a": host(blue="1")}, "2").pointed == "blue"
    back = rollback({"e": "both"}, hosts, "1")
    assert back.split and not back.nothing and back.target == Running("blue", "1")
