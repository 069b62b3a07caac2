from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.release.guards import (
    GuardError,
    Passage,
    Said,
    pass_guards,
    read_guards,
)

SEOUL = ZoneInfo("Asia/Seoul")
NIGHT: dict[str, Any] = {"deploy_timezone": "Asia/Seoul", "deploy_windows": [{"from": "02:00", "to": "04:00"}]}
OVERRIDE = "orders are lost, see CHG0000911"


def at(text: str, zone: ZoneInfo = SEOUL) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone)


def passing(variables: dict[str, Any], moment: datetime.datetime | None = None, **said: str) -> Passage:
    return pass_guards(read_guards(variables), Said(**({"by": "kim@laptop"} | said)), moment or at("2026-11-30 12:00"))


def test_without_guards_a_release_begins_whenever() -> None:
    assert passing({}) == Passage()
    assert not read_guards({}).any


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (at("2026-11-30 01:59:59"), False),
        (at("2026-11-30 02:00"), True),
        (at("2026-11-30 03:59:59"), True),
        (at("2026-11-30 04:00"), False),
        (at("2026-11-29 18:30", ZoneInfo("UTC")), True),
        (at("2026-11-30 02:30", ZoneInfo("UTC")), False),
    ],
)
def test_a_window_is_open_from_its_first_minute_to_before_its_last_where_it_is(
    moment: datetime.datetime, inside: bool
) -> None:
    assert (passing(NIGHT, moment).problem == "") is inside


def test_who_comes_at_another_hour_is_told_when_to_come() -> None:
    told = passing(NIGHT, at("2026-11-30 12:30")).problem
    assert told.startswith("It is Mon 12:30 Asia/Seoul, and releases begin in the window 02:00-04:00 (deploy_windows)")
    assert "it opens next on 2026-12-01 at 02:00." in told and "-e override='REASON'" in told


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    late = {"deploy_windows": [{"from": "22:00", "to": "02:00", "days": ["fri"]}], "deploy_timezone": "Asia/Seoul"}
    friday, saturday, sunday = (f"2026-12-0{day}" for day in (4, 5, 6))
    assert not passing(late, at(f"{friday} 23:00")).problem and not passing(late, at(f"{saturday} 01:30")).problem
    assert passing(late, at(f"{friday} 01:30")).problem and passing(late, at(f"{saturday} 23:00")).problem
    assert "next on 2026-12-11 at 22:00" in passing(late, at(f"{sunday} 01:30")).problem


def test_a_window_keeps_to_the_clock_on_the_wall_when_summer_begins() -> None:
    berlin = {"deploy_windows": [{"from": "03:30", "to": "05:00"}], "deploy_timezone": "Europe/Berlin"}
    utc = ZoneInfo("UTC")
    assert not passing(berlin, at("2026-03-28 02:45", utc)).problem  # 03:45 there
    assert not passing(berlin, at("2026-03-29 01:45", utc)).problem  # 03:45 too, an hour after 01:59
    assert passing(berlin, at("2026-03-29 03:15", utc)).problem  # 05:15


def test_times_that_yaml_takes_for_numbers_are_meant_as_times() -> None:
    written = yaml.safe_load("deploy_windows: [{from: 22:30, to: 23:00}]\ndeploy_timezone: Asia/Seoul")
    assert isinstance(written["deploy_windows"][0]["from"], int)
    assert not passing(written, at("2026-11-30 22:30")).problem and passing(written, at("2026-11-30 22:29")).problem


def test_a_freeze_holds_to_the_end_of_its_last_day() -> None:
    text = "deploy_freezes: [{from: 2026-12-20, to: 2026-12-31, reason: year-end close}]\ndeploy_timezone: Asia/Seoul"
    for variables in (yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)):
        assert (
            "frozen until 2027-01-01 00:00 Asia/Seoul: year-end close"
            in passing(variables, at("2026-12-31 23:59")).problem
        )
        assert not passing(variables, at("2027-01-01 00:00")).problem
        assert not passing(variables, at("2026-12-19 23:59")).problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("", "needs the number of its change"),
        ("CHG12", "'CHG12' is no number"),
        ("xCHG0000001", "is no number"),
        ("CHG0000001", ""),
    ],
)
def test_a_change_number_is_asked_for(change: str, words: str) -> None:
    found = passing({"deploy_change_pattern": r"CHG\d{7}"}, change=change)
    assert words in found.problem and bool(found.problem) is bool(words)
    assert found.kept == ([] if words else ["change CHG0000001"])


@pytest.mark.parametrize(
    ("approver", "words"),
    [
        ("", "needs the approval of one of lee, kim"),
        ("park", "park may not approve a release; lee, kim may"),
        ("kim", "kim runs this release: somebody else of lee, kim"),
        ("lee", ""),
    ],
)
def test_somebody_else_has_to_approve(approver: str, words: str) -> None:
    found = passing({"deploy_approvers": ["lee", "kim"]}, approved_by=approver)
    assert words in found.problem and bool(found.problem) is bool(words)


def test_an_override_goes_past_every_guard_and_says_past_which() -> None:
    guarded = NIGHT | {"deploy_change_pattern": r"CHG\d{7}", "deploy_approvers": ["lee"]}
    found = passing(guarded, approved_by="lee", override=OVERRIDE)
    assert not found.problem and found.kept == ["approved by lee"]
    window, change = found.overridden
    assert "releases begin in the window 02:00-04:00" in window and "needs the number of its change" in change


@pytest.mark.parametrize("override", ["x", "because      "])
def test_an_override_without_a_reason_is_none(override: str) -> None:
    assert "is no reason: say why" in passing(NIGHT, override=override).problem


def test_an_override_where_nothing_is_in_the_way_passes_nothing_by() -> None:
    found = passing(NIGHT, at("2026-11-30 03:00"), override=OVERRIDE)
    assert not found.overridden and found.kept == ["begun in the window 02:00-04:00 Asia/Seoul"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"deploy_timezone": "Mars/Olympus"}, "deploy_timezone 'Mars/Olympus' is no time zone"),
        ({"deploy_timezone": "../../etc/passwd"}, "is no time zone"),
        ({"deploy_windows": "always"}, "deploy_windows is a list"),
        ({"deploy_windows": [{"from": "02:00"}]}, "deploy_windows[0] is a mapping with from and to"),
        ({"deploy_windows": [{"from": "02:00", "to": "26:00"}]}, "deploy_windows[0].to is a time of day such as 02:00"),
        ({"deploy_windows": [{"from": "02:00", "to": "noon"}]}, "not 'noon'"),
        ({"deploy_windows": [{"from": "02:00", "to": "02:00"}]}, "begins and ends at the same time"),
        ({"deploy_windows": [{"from": "02:00", "to": "04:00", "day": "mon"}]}, "deploy_windows[0] has no option day"),
        ({"deploy_windows": [{"from": "02:00", "to": "04:00", "days": ["Monday"]}]}, "days is a list of mon, tue"),
        ({"deploy_freezes": [{"from": "tomorrow", "to": "2026-12-31"}]}, "deploy_freezes[0].from is a day or a time"),
        ({"deploy_freezes": [{"from": "2026-12-31", "to": "2026-12-20"}]}, "deploy_freezes[0] ends before it begins"),
        ({"deploy_change_pattern": "CHG("}, "is no regular expression"),
        ({"deploy_approvers": "lee"}, "deploy_approvers is a list"),
    ],
)
def test_guards_that_cannot_be_meant(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(GuardError) as error:
        read_guards(variables)
    assert words in str(error.value)
