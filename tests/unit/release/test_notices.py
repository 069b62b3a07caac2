"""What is known of planned work: told early enough or not, overlapping, called off, under way, left by a killed run."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release import notices
from ansible_collections.slipway.ops.plugins.module_utils.release.notices import DAY, HOUR, Notice, NoticeError

NOW = 1_796_230_800.0  # 2026-12-03 02:00 in Seoul


def one(start: float = 0, hours: float = 2, early: float = 24, **also: object) -> Notice:
    """Work that begins ``start`` hours from now and was told ``early`` hours before that."""
    at = NOW + start * HOUR
    return Notice(at, at + hours * HOUR, told=at - early * HOUR, **also)  # type: ignore[arg-type]


def test_a_local_time_is_read() -> None:
    assert notices.times("2026-12-03 02:00", 90, "Asia/Seoul", NOW - 1) == (NOW, NOW + 5400)
    assert notices.times("2026-12-02T17:00:00+00:00", 1, "Asia/Seoul", NOW - 1) == (NOW, NOW + 60)


@pytest.mark.parametrize(
    ("at", "minutes", "zone", "words"),
    [
        ("2026-12-03 02:00", 90, "Asia/Soul", "'Asia/Soul' is no time zone"),
        ("2 am", 90, "UTC", "at is a time such as"),
        ("2026-12-03 02:00", 0, "Asia/Seoul", "more than 0, not 0"),
        ("2026-12-03 02:00", 90, "Asia/Seoul", "is over"),
    ],
)
def test_what_cannot_be_meant_is_said(at: str, minutes: int, zone: str, words: str) -> None:
    with pytest.raises(NoticeError, match=words):
        notices.times(at, minutes, zone, NOW)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([], "Nobody was told"),
        ([one(start=2)], "Nobody was told"),
        ([one(start=-2)], "Nobody was told"),
        ([one(state="cancelled")], "Nobody was told"),
        ([one(start=-1, state="done")], ""),
        ([one(start=-1, state="failed")], ""),
        ([Notice(NOW - 60, NOW + 60, state="begun", run="killed")], "were told 0.0 hours before"),
        ([one(early=23.95)], "were told 23.9 hours before"),
        ([one(early=24)], ""),
        ([one(start=-1.9, early=30)], ""),
        ([one(early=1), one(start=-1, early=25)], ""),
        ([one(state="begun", run="killed")], ""),
    ],
)
def test_users_were_told_early_enough_or_not(known: list[Notice], words: str) -> None:
    problem = notices.due_problem(known, "shop", 24, NOW)
    assert words in problem and bool(words) == bool(problem)


def test_the_same_work_is_told_once_and_another_time_anew() -> None:
    known = notices.planned([], one(), NOW - 2 * DAY)
    assert notices.planned(known, one(early=1), NOW - DAY) == known
    moved = notices.planned(known, one(start=1), NOW - DAY)
    assert [(notice.at, notice.told) for notice in moved] == [(NOW + HOUR, NOW - DAY)]
    assert len(notices.planned(known, one(start=2), NOW - DAY)) == 2, "what only touches it stays"


def test_a_run_has_its_work_begin_and_end_and_no_other() -> None:
    known = notices.begun([one(), one(start=48)], "run-1", "2.0", NOW + 60)
    assert [(notice.state, notice.run) for notice in known] == [("begun", "run-1"), ("planned", "")]
    assert notices.ended(known, "done", "run-2", "2.0", NOW + 90) == known
    assert [notice.state for notice in notices.ended(known, "failed", "run-1", "2.0", NOW + 90)] == [
        "failed",
        "planned",
    ]


def test_what_a_killed_run_left_goes_on_or_is_over() -> None:
    again = notices.begun([one(state="begun", run="killed")], "run-2", "2.0", NOW + 60)
    assert [(notice.state, notice.run, notice.told) for notice in again] == [("begun", "run-2", NOW - DAY)]
    later = notices.begun([one(start=-48, state="begun", run="killed")], "run-2", "2.0", NOW)
    assert [(notice.state, notice.told > 0) for notice in later] == [("done", True), ("begun", False)]


def test_what_is_over_is_forgotten_and_what_is_open_never() -> None:
    old = {"changed": NOW - 100 * DAY}
    known = [one(state="done", **old), one(state="planned", **old), one(state="done", changed=NOW)]
    assert [notice.state for notice in notices.kept(known, 90, NOW)] == ["planned", "done"]


def test_planned_work_whose_time_is_over_is_over() -> None:
    known = notices.current([one(start=-2), one(start=-1), one(start=1)], NOW)
    assert [notice.state for notice in known] == ["done", "planned", "planned"]
    assert known[0].changed == NOW


def test_a_release_that_failed_is_tried_again_in_its_time() -> None:
    again = notices.begun([one(start=-1, state="failed", run="first")], "second", "2.0", NOW)
    assert [(notice.state, notice.run) for notice in again] == [("begun", "second")]


def test_a_file_of_a_later_version_is_read() -> None:
    assert notices.read([{"at": 1, "until": 2, "mood": "good"}]) == [Notice(1, 2)]
