"""When backups and drills run by default: at times that each day has, wherever the host is."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
# Each leaves another hour out in spring: from 00:00, 01:00, 01:00 for two, 02:00, 02:00, 02:30, 02:45 and 03:00 on.
ZONES = (
    "America/Santiago",
    "Europe/London",
    "Antarctica/Troll",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Europe/Athens",
)
TIME = re.compile(r"(?:^|\s)(\d\d):(\d\d)(?::00)?$")


def options_of(role: str) -> dict:
    specification = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    return specification["argument_specs"]["main"]["options"]


def times(role: str) -> dict[str, datetime.time]:
    """Of a role's schedules, the defaults that are a time of day, by the name of the option."""
    found = {}
    for name, option in _options(options_of(role)):
        if "schedule" in name and (time := TIME.search(str(option.get("default", "")))):
            found[name] = datetime.time(int(time[1]), int(time[2]))
    return found


def _options(options: dict, prefix: str = "") -> Iterator[tuple[str, dict]]:
    for name, option in options.items():
        yield prefix + name, option
        yield from _options(option.get("options", {}), f"{prefix}{name}.")


def missing(time: datetime.time, zone: str) -> list[datetime.date]:
    """The days of a year that do not have this time."""
    year = [datetime.date(2027, 1, 1) + datetime.timedelta(days=day) for day in range(365)]
    there = [(day, datetime.datetime.combine(day, time, ZoneInfo(zone))) for day in year]
    return [day for day, at in there if at.astimezone(datetime.timezone.utc).astimezone(ZoneInfo(zone)).time() != time]


@pytest.mark.parametrize(
    ("role", "count"),
    [("pgbackrest", 2), ("mongodump", 3), ("redis", 3), ("restic", 4), ("drill", 1), ("hardening", 1), ("docker", 1)],
)
def test_no_default_is_at_an_hour_that_summer_time_leaves_out(role: str, count: int) -> None:
    found = times(role)
    assert len(found) == count, found
    assert {(name, zone): days for name, time in found.items() for zone in ZONES if (days := missing(time, zone))} == {}


@pytest.mark.parametrize("role", ["pgbackrest", "mongodump", "redis", "restic"])
def test_what_is_documented_is_what_is_in_force(role: str) -> None:
    """A role's schedule is a dictionary, which takes what is not given from its variables."""
    variables = yaml.safe_load((ROLES / role / "vars/main.yml").read_text())[f"__{role}_schedule"]
    for name, option in options_of(role)[f"{role}_schedule"]["options"].items():
        assert f"'{name}': '{option['default']}'" in variables


def test_an_hour_that_is_left_out_is_seen() -> None:
    hours = [datetime.time(*at) for at in ((0, 0), (1, 30), (1, 30), (2, 0), (2, 30), (2, 0), (3, 0), (3, 30))]
    assert [len(missing(at, zone)) for at, zone in zip(hours, ZONES, strict=True)] == [1] * len(ZONES)
