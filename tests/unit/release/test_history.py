from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.release import history


def event(run: int, kind: str, version: str, **more: Any) -> dict[str, Any]:
    return {"run": f"r{run}", "at": f"2026-11-21T00:00:{run:02d}Z", "event": kind, "version": version, **more}


def test_appended_events_come_back_and_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert history.read(path) == []
    history.append(path, event(1, "begun", "1"))
    with path.open("a") as file:
        file.write('{"run": "r2", "at": "2026')
    history.append(path, event(3, "done", "1", by="김"))
    assert [item["run"] for item in history.read(path)] == ["r1", "r3"]
    assert history.read(path)[1]["by"] == "김"


def test_hosts_that_were_away_are_filled_in_by_the_others() -> None:
    one = [event(1, "done", "1"), event(3, "done", "3")]
    two = [event(1, "done", "1"), event(2, "done", "2")]
    assert [item["version"] for item in history.merge([one, two])] == ["1", "2", "3"]


def test_rolling_back_twice_goes_further_back() -> None:
    events = [event(n, "done", str(n)) for n in (1, 2, 3)] + [event(4, "done", "2", action="rollback")]
    assert history.live_versions(events) == ["1", "2"]


def test_a_version_deployed_again_has_the_one_that_it_replaced_before_it() -> None:
    events = [event(1, "done", "1"), event(2, "done", "2"), event(3, "done", "1")]
    assert history.before(history.live_versions(events), "1") == ["1", "2"]
    back = [*events, event(4, "done", "2", action="rollback")]
    assert history.before(history.live_versions(back), "2") == ["1"]


def test_nothing_of_a_stack_lies_above_a_version_that_is_not_in_it() -> None:
    assert history.before(["1", "2"], "3") == ["1", "2"]
    assert history.before([], "3") == []


def test_a_failed_release_was_never_live() -> None:
    assert history.live_versions([event(1, "done", "1"), event(2, "begun", "2"), event(2, "failed", "2")]) == ["1"]


def test_unfinished_is_a_run_without_an_end() -> None:
    begun = event(2, "begun", "2")
    assert history.unfinished([event(1, "done", "1"), begun]) == begun
    assert history.unfinished([begun, event(2, "failed", "2")]) is None
    assert history.unfinished([]) is None


def test_the_newest_versions_and_whatever_runs_are_kept() -> None:
    events = [event(n, "done", str(n)) for n in range(1, 9)] + [event(9, "failed", "9")]
    assert history.versions_to_keep(events, ["2"], 5) == {"8", "7", "6", "5", "4", "2"}
