"""deploy.yml and swarm.yml keep their guards before any host is asked: hosts nobody reaches show how far they got."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import Run, play

SERVICE = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}, "edge_port": 18000}
Release = Callable[..., Run]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A deploy, or another verb, of an inventory with these guards; ``said`` is what stands on the command line."""

    def run(guards: dict[str, Any], verb: str = "deploy", **said: str) -> Run:
        nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        runs_on = "swarm_managers" if verb == "swarm" else "app"
        hosts = {"edge": {"hosts": {"edge1": None}, "vars": guards}, runs_on: {"hosts": {"app1": None}}}
        content = {"all": {"vars": nobody | {"app_services": [SERVICE]}, "children": hosts}}
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump(content))
        version = {} if verb == "rollback" else {"version": "2.0.0"}
        return play(verb, inventory, timeout=120, service="shop", **version | said)

    return run


def window(hours: int) -> dict[str, Any]:
    """An hour and a half that begins so many hours from now."""
    start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    times = (start, start + datetime.timedelta(minutes=90))
    return {"deploy_windows": [dict(zip(("from", "to"), (f"{time:%H:%M}" for time in times), strict=True))]}


def refused(run: Run) -> str:
    assert run.code != 0 and "UNREACHABLE" not in run.output and "Traceback" not in run.output, run.output
    assert "Nothing was changed." in run.said
    return run.said


def begun(run: Run) -> bool:
    """Whether it went on to its hosts."""
    return "UNREACHABLE" in run.output


@pytest.mark.parametrize("verb", ["deploy", "swarm"])
def test_a_release_outside_its_window_is_refused_and_inside_it_begins(release: Release, verb: str) -> None:
    said = refused(release(window(3), verb))
    assert "UTC, and releases begin in the window" in said and "it opens next on" in said
    assert begun(release(window(-1), verb))
    assert begun(release(window(3), verb, override="orders are lost, the fix cannot wait"))


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_a_value_of_another_type_is_one_line(release: Release, verb: str) -> None:
    """It was the role's whole specification, 498 lines."""
    run = release({"deploy_watch_seconds": "abc"}, verb)
    assert "edge1: deploy_watch_seconds is 'abc', wanted is a whole number" in refused(run)
    assert len(run.output.splitlines()) < 30, run.output


def test_a_way_back_is_open_at_any_hour(release: Release) -> None:
    assert begun(release(window(3), "rollback"))
    assert begun(release(window(3), "swarm", version="previous"))


def test_change_approval_and_freeze_are_asked_for_one_by_one_and_an_override_goes_past_them(release: Release) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).date()
    today, tomorrow = now.isoformat(), (now + datetime.timedelta(days=1)).isoformat()  # midnight may come between
    papers = {"deploy_change_pattern": r"CHG\d{7}", "deploy_approvers": ["lee"]}
    assert "needs the number of its change" in refused(release(papers))
    assert "needs the approval of one of lee" in refused(release(papers, change="CHG0001234"))
    assert begun(release(papers, change="CHG0001234", approved_by="lee"))
    frozen = papers | {"deploy_freezes": [{"from": today, "to": tomorrow, "reason": "year-end close"}]}
    assert "year-end close" in refused(release(frozen, change="CHG0001234", approved_by="lee"))
    assert "is no reason" in refused(release(frozen, override="please"))
    assert begun(release(frozen, override="orders are lost, the fix cannot wait"))


def test_what_the_inventory_says_is_no_word_of_the_operators(release: Release) -> None:
    said = {"change": "CHG0001234", "override": "because the inventory says so"}
    assert "needs the number of its change" in refused(release({"deploy_change_pattern": r"CHG\d{7}"} | said))


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        ({"deploy_timezone": "Asia/Soul"}, "deploy_timezone 'Asia/Soul' is no time zone"),
        ({"deploy_windows": [{"from": "02:00", "until": "04:00"}]}, "deploy_windows[0].to is missing"),
    ],
)
def test_a_guard_that_cannot_be_meant_lets_nobody_pass(release: Release, guards: dict[str, Any], words: str) -> None:
    assert words in refused(release(guards))
