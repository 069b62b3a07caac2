"""Which versions can work with what releases have made of a database."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.migration import (
    is_older,
    migration_problem,
    way_problem,
    works_with,
)


def event(version, name="done", **more):
    return {"at": "2026", "run": version, "event": name, "version": version, **more}


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1.9.0", "1.10.0", True),
        ("v2.0", "v1.9.9", False),
        ("2.0.0", "2.0.0", False),
        ("2.0", "2.0.1", True),
        ("20261129", "20261130", True),
        ("2.0.0-rc1", "2.0.0", None),
        ("main-a1b2", "main-c3d4", None),
        ("7f3a9b2", "12ab34c", None),
        ("2.1.0rc1", "2.0.0", False),
        ("1.4.0p1", "1.5", True),
        ("3", "2.1.0rc1", False),
        ("3-beta", "4", True),
        ("1.2", "1.2.0", False),
        ("1.2.0", "1.2", False),
        ("1.2", "1.2.1", True),
        ("1.0", "10", True),
        ("a", "b", True),
        ("b", "a", False),
    ],
)
def test_versions_are_compared_by_numbers_else_by_history(version, than, older):
    assert is_older(version, than, ["a", "b"]) is older


def test_the_database_is_for_what_the_last_change_left():
    assert works_with([event("1"), event("2")]) == ""
    events = [event("1"), event("2", works_with="1"), event("3", works_with="2"), event("4", works_with="1")]
    assert works_with(events) == "2"


def test_a_migration_of_a_release_that_failed_is_done_all_the_same():
    events = [event("1"), event("2", "begun", works_with="2"), event("2", "failed", works_with="2")]
    assert works_with(events) == "2"
    assert "1 is refused: the database works with 2 and later" in way_problem("1", events)


def test_who_is_new_enough_may_come():
    events = [event("1.0"), event("2.0", works_with="1.5")]
    assert way_problem("1.5", events) == ""
    assert way_problem("2.0", events) == ""
    assert way_problem("1.0", [event("1.0"), event("2.0")]) == ""
    assert "-e override=" in way_problem("1.4", events)


def test_what_cannot_be_told_is_no_yes():
    events = [event("main-1"), event("main-2", works_with="main-0")]
    assert "cannot be told" in way_problem("main-9", events)


def test_a_live_release_has_to_survive_the_migration():
    events = [event("1.0.0")]
    assert migration_problem("1.0.0", "2.0.0", "", events) == ""
    assert migration_problem("", "2.0.0", "2.0.0", []) == ""
    assert migration_problem("1.0.0", "2.0.0", "1.0.0", events) == ""
    assert migration_problem("2.0.0", "2.0.0", "2.0.0", events) == ""
    told = migration_problem("1.0.0", "2.0.0", "1.5.0", events)
    assert told.startswith("2.0.0 makes a database that works with 1.5.0 and later")
    assert "Release 1.5.0 first" in told
