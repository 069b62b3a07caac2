"""What Prometheus is told of a host's releases."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.release import bake
from ansible_collections.slipway.ops.plugins.module_utils.release.metrics import families, publish

DONE = {"at": "2026-11-20T10:00:00.500Z", "run": "r1", "event": "done", "action": "deploy", "version": "1.0.0"}
BEGUN = {"at": "2026-11-20T11:00:00Z", "run": "r2", "event": "begun", "action": "deploy", "version": "2.0.0"}
FAILED = {**BEGUN, "at": "2026-11-20T11:01:00Z", "event": "failed"}
BACK = {**DONE, "at": "2026-11-20T12:00:00Z", "run": "r3", "action": "rollback"}

BAKED = {**BACK, "by": "bake on edge1", "version": "0.9.0"}
SCALED = {**DONE, "at": "2026-11-20T13:00:00Z", "run": "r4", "event": "scaled", "action": "scale"}
ORDER = bake.Order("r1", "shop", "a", "1.0.0", "green", "0.9.0", "blue", 60, 2e9, "k", {}, [])


def told(*events: dict[str, str]) -> list[str]:
    text = "".join(families({"shop": events}))
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_failed_release_leaves_the_version_that_is_live() -> None:
    assert told(DONE, BEGUN, FAILED) == [
        'slipway_release_live_timestamp_seconds{service="shop",version="1.0.0"} 1795168800.5',
        'slipway_release_ended_timestamp_seconds{service="shop"} 1795172460.0',
        'slipway_release_failed{service="shop"} 1.0',
    ]


def test_one_that_is_under_way_says_nothing_yet_and_a_success_is_the_end_of_it() -> None:
    assert told(DONE, BEGUN)[1:] == told(DONE)[1:]
    assert told(DONE, BEGUN, FAILED, BACK)[-1] == 'slipway_release_failed{service="shop"} 0.0'
    assert told(BEGUN) == []


def test_all_services_are_in_one_file_and_none_is_written_where_nobody_reads(tmp_path: Path) -> None:
    for service in ("shop", "cms"):
        (tmp_path / "srv" / service).mkdir(parents=True)
        (tmp_path / "srv" / service / "history.jsonl").write_text(json.dumps(DONE) + "\n{torn")
    publish(tmp_path / "srv", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "node").mkdir()
    publish(tmp_path / "srv", tmp_path / "node")
    text = (tmp_path / "node" / "slipway_releases.prom").read_text()
    assert text.count("# TYPE slipway_release_failed gauge") == 1
    assert 'failed{service="cms"} 0.0' in text and 'failed{service="shop"} 0.0' in text


def test_a_bake_that_went_back_is_a_failed_release_and_the_next_success_is_the_end_of_it() -> None:
    assert told(DONE, BAKED) == [
        'slipway_release_live_timestamp_seconds{service="shop",version="0.9.0"} 1795176000.0',
        'slipway_release_ended_timestamp_seconds{service="shop"} 1795176000.0',
        'slipway_release_failed{service="shop"} 1.0',
    ]
    assert told(DONE, BAKED, {**DONE, "at": "2026-11-20T14:00:00Z"})[-1] == 'slipway_release_failed{service="shop"} 0.0'


def test_a_service_that_scales_after_a_failed_release_has_failed_as_before() -> None:
    assert told(DONE, BEGUN, FAILED, SCALED) == told(DONE, BEGUN, FAILED)
    assert told(DONE, BAKED, SCALED) == told(DONE, BAKED)


def test_a_bake_that_is_stuck_is_told_until_the_next_one(tmp_path: Path) -> None:
    node, bakes = tmp_path / "node", tmp_path / "bake"
    node.mkdir()

    def stuck() -> list[str]:
        publish(tmp_path / "srv", node, bakes)
        lines = (node / "slipway_releases.prom").read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]

    assert stuck() == []
    outcome = bake.standing(ORDER, "stuck", "it is bad; 0 of 2 servers are up")
    outcome.at = "2026-11-20T10:15:00.000Z"
    bake.end(ORDER, outcome, bakes)
    (bakes / "cms.standing.json").write_text("{torn")
    assert stuck() == ['slipway_bake_stuck_timestamp_seconds{service="shop"} 1795169700.0']
    bake.begin(ORDER, bakes)
    assert stuck() == []
    bake.end(ORDER, bake.standing(ORDER, "rolled_back", "it is bad"), bakes)
    assert stuck() == []
