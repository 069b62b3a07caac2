from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.watch import Decision, Look, decide

NEW = [{"version": "2.0", "responses": 90}]


def look(watched: float = 10, verdict: str = "pass", **change: Any) -> Decision:
    total = {"requests": 100, "answers": {"200": 100}, "prober_late": change.pop("late", 2.0)} | change.pop("total", {})
    traffic = {"url": "https://shop.example.test/", "total": total, "versions": change.pop("versions", NEW)}
    traffic |= {"running": "ended" not in change, "ended_because": change.pop("ended", None)}
    judged = [{"verdict": verdict, "reason": "error_rate is 5 %"}]
    facts: dict[str, Any] = {"watched": watched, "wanted": 10, "served": 100, "version": "2.0"} | change
    return decide(Look(traffic=traffic, judged=judged, **facts))


def test_a_good_release_is_watched_to_the_end_and_stays() -> None:
    assert look(5) == Decision()
    assert look(10) == Decision(over=True)


def test_a_limit_that_is_broken_ends_the_watch_at_once_but_not_by_the_first_requests() -> None:
    assert look(5, "fail") == Decision(["error_rate is 5 %"], over=True)
    assert look(2, "fail") == Decision()
    assert look(1, "fail", wanted=1).refused == ["error_rate is 5 %"]  # a watch may be shorter


def test_a_server_that_is_down_ends_it_whatever_the_prober_says() -> None:
    assert look(1, down=["app1-1 is DOWN"]) == Decision(["app1-1 is DOWN"], over=True)


def test_what_a_late_prober_missed_is_a_doubt_and_takes_nothing_back() -> None:
    assert look(10, "unknown", late=25_800) == Decision([], ["error_rate is 5 %"], over=True)


def test_nothing_measured_by_a_punctual_prober_is_no_pass() -> None:
    assert look(10, "unknown", total={"requests": 0, "answers": {}}, versions=[]).refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"versions": [{"version": "1.0", "responses": 90}]}, "No answer of https://shop.example.test/ was 2.0's"),
        ({"versions": [], "served": 0}, "HAProxy sent the new release no request"),
        ({"served": 0}, "HAProxy sent the new release no request"),
        ({"versions": [], "total": {"answers": {}}}, "No request to https://shop.example.test/ was answered"),
    ],
    ids=["another version answers", "no version, no request", "another service of that version", "no answer"],
)
def test_a_watch_of_somebody_else_is_no_pass(change: dict[str, Any], words: str) -> None:
    decision = look(10, **change)
    assert decision.over and words in decision.refused[0]
    assert look(5, **change) == Decision()


def test_a_service_that_does_not_tell_its_version_is_known_by_what_haproxy_sent_it() -> None:
    assert look(10, versions=[]) == Decision(over=True)


def test_a_late_prober_gets_time_to_see_the_new_release_and_not_for_ever() -> None:
    unseen = {"versions": [], "total": {"answers": {}}, "late": 9000.0}
    assert not look(30, "unknown", **unseen).over
    given_up = look(70, "unknown", **unseen)
    assert given_up.over and "9 s behind its schedule" in given_up.refused[0]


def test_a_prober_that_has_ended_passes_nothing_by_what_it_saw_before() -> None:
    ended = look(5, ended="max_duration")
    assert ended.over and "Nobody asks https://shop.example.test/ any more" in ended.refused[0]
    assert "(max_duration)" in ended.refused[0]
