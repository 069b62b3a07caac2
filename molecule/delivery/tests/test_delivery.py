"""Releases as operators and users live through them. The tests build on each other, in this order."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_eyes import (
    APPS,
    EDGES,
    INVENTORY,
    container,
    containers,
    deploy,
    docker,
    evidence,
    history,
    look,
    on,
    play,
    start,
    users,
    versions,
    wait_until,
)
from playbook import module
from rollback import assert_measured, warm_rollback

STEPS = ("1/8", "2/8", "3/8", "4/8", "5/8", "6/8", "7/8", "8/8")


BAD_WORKER: dict[str, Any] = {"deploy_force": True, "worker": ["nonsense"], "deploy_watch_seconds": 20}


def workers(app: str) -> set[str]:
    return {name for name in containers(app) if "worker" in name}


@pytest.mark.parametrize(
    ("version", "step", "verdict", "how"),
    [("3.1.0", "6/8 Watch", "fail", {}), ("1.0.0", "7/8 Drain", "pass", BAD_WORKER)],
    ids=["leaks errors", "has a worker that starts again for ever"],
)
def test_a_bad_first_release_is_refused_by_what_it_did(version: str, step: str, verdict: str, how: Any) -> None:
    """By the watch's own limit; what nobody answered after it was taken away is not counted."""
    run = deploy(version, **how)
    assert run.code != 0 and f"{step} failed" in run.said and "nothing was live before" in run.said, run.output
    failed = evidence("delivery.deploy.failed_requests")
    assert failed["verdict"] == verdict and "503" not in (failed["reason"] or ""), failed
    assert not any(containers(app) for app in APPS)


def test_the_first_release_goes_live_on_every_edge() -> None:
    run = deploy("1.0.0")
    assert run.code == 0, run.output
    state = look()
    assert state.version == "1.0.0" and len(set(state.live.values())) == 1
    (colour,) = set(state.live.values())
    for app in APPS:
        assert versions(app, colour) == {"1.0.0"}
        assert workers(app) == {f"sample-{colour}-worker-1"}


def test_the_live_version_again_changes_nothing() -> None:
    before = look()
    run = deploy("1.0.0")
    assert run.code == 0 and "1.0.0 is live already" in run.said
    assert look() == before


def test_a_release_under_traffic_loses_no_request() -> None:
    with users() as seen:
        run = deploy("2.0.0")
    assert run.code == 0, run.output
    assert seen["failed"] == 0, seen
    assert seen["versions"].keys() == {"1.0.0", "2.0.0"}
    live = look().live["edge1"]
    warm = "blue" if live == "green" else "green"
    for app in APPS:
        assert versions(app, live) == {"2.0.0"} and versions(app, warm) == {"1.0.0"}
        assert workers(app) == {f"sample-{live}-worker-1"}
        last = history(app)[-1]
        assert (last["event"], last["version"], last["previous"]["version"]) == ("done", "2.0.0", "1.0.0")
        assert "@" in last["by"] and last["run"]
    failed = evidence("delivery.deploy.failed_requests")
    assert failed["verdict"] == "pass" and failed["measured"] == 0 and failed["subject"] == "sample"
    assert evidence("delivery.deploy.result")["verdict"] == "pass"


@pytest.mark.parametrize(
    ("version", "step", "cause", "how"),
    [
        ("3.0.0", "4/8 Health gate", "503", {"deploy_gate_timeout": 8}),
        ("3.3.0", "4/8 Health gate", "does not start", {"deploy_gate_timeout": 8}),
        ("3.1.0", "6/8 Watch", "HTTP 500", {}),
        ("2.0.0", "7/8 Drain", "worker-1 does not go on", BAD_WORKER),
    ],
    ids=["fails its health check", "never starts", "leaks errors once live", "has a worker that starts again for ever"],
)
def test_a_bad_release_is_taken_back(version: str, step: str, cause: str, how: dict[str, Any]) -> None:
    before = look()
    with users() as seen:
        run = deploy(version, **how)
    assert run.code != 0
    assert f"{step} failed" in run.said and cause in run.said and "2.0.0" in run.said
    after = look()
    assert after.version == "2.0.0" and after.live == before.live
    if step == "4/8 Health gate":
        assert version not in seen["versions"] and seen["failed"] == 0, seen
        gate = evidence("delivery.gate.bad_release_requests")
        assert (gate["verdict"], gate["measured"]) == ("pass", 0)
    idle = "blue" if after.live["edge1"] == "green" else "green"
    for app in APPS:
        assert versions(app, idle) == {"1.0.0"}  # warm again, for the rollback that may come next
        assert workers(app) == {f"sample-{after.live['edge1']}-worker-1"}
        assert history(app)[-1]["event"] == "failed" and step in history(app)[-1]["reason"]
    result = evidence("delivery.deploy.result")
    assert result["verdict"] == "fail" and version in result["reason"]


def test_a_warm_rollback_starts_no_instance_and_loses_nothing() -> None:
    with users() as seen:
        wall = warm_rollback(lambda: play("rollback", service="sample"), [container(app) for app in APPS])
    assert look().version == "1.0.0" and seen["failed"] == 0, seen
    assert_measured(evidence("delivery.rollback.duration"), wall)
    assert evidence("delivery.rollback.failed_requests")["measured"] == 0
    for app in APPS:
        assert workers(app) == {f"sample-{look().live['edge1']}-worker-1"}


def test_a_cold_rollback_to_a_named_version() -> None:
    idle = "blue" if look().live["edge1"] == "green" else "green"
    for app in APPS:
        on(app, "docker", "compose", "--project-name", f"sample-{idle}", "--profile", "live", "down", "--timeout", "2")
    with users() as seen:
        run = play("rollback", service="sample", to="2.0.0")
    assert run.code == 0, run.output
    assert look().version == "2.0.0" and seen["failed"] == 0, seen


def test_killed_at_any_step_the_service_stays_up_and_the_next_run_ends_well() -> None:
    with users() as seen:
        for number, step in enumerate(STEPS):
            version = ("1.0.0", "2.0.0")[number % 2]
            run = start("deploy", service="sample", version=version, deploy_watch_seconds=4)
            assert run.until(step), run.output
            time.sleep(0.1 * number)
            run.kill()
            assert set(look().answers.values()) <= {"1.0.0", "2.0.0"}
            again = deploy(version)
            assert again.code == 0, f"after a kill at {step}: {again.output}"
            state = look()
            assert state.version == version, f"after a kill at {step}: {again.output}"
            assert len({json.dumps(history(app)[-1]["version"]) for app in APPS}) == 1
    assert seen["failed"] == 0, seen


def test_a_rollback_killed_at_its_switch_ends_well_with_the_next() -> None:
    before = look().version
    run = start("rollback", service="sample")
    assert run.until("5/8"), run.output
    run.kill()
    again = play("rollback", service="sample", to="1.0.0" if before == "2.0.0" else "2.0.0")
    assert again.code == 0, again.output
    assert look().version != before


def test_edges_that_disagree_are_brought_together() -> None:
    state = look()
    other = "blue" if state.live["edge2"] == "green" else "green"
    module(INVENTORY, "edge2", "slipway.ops.pool_switch", pool="sample", to=other, min_servers_up="0")
    assert len(set(look().answers.values())) == 2
    run = deploy(state.version)
    assert run.code == 0 and "disagreed" in run.said, run.output
    assert len(set(look().live.values())) == 1


def test_the_second_of_two_releases_is_refused_with_the_name_of_the_first() -> None:
    version = "2.0.0" if look().version == "1.0.0" else "1.0.0"
    first = start("deploy", service="sample", version=version, deploy_watch_seconds=15)
    assert first.until("3/8"), first.output
    waits = start("deploy", service="sample", version=version, deploy_lock_wait=300)
    refused = deploy("1.0.0")
    assert refused.code != 0 and "sample is locked by" in refused.said and f"deploy {version}" in refused.said
    waited = waits.end()
    assert waited.code == 0 and "waiting up to 300 s" in waited.said and "is live already" in waited.said
    assert first.end().code == 0, first.output


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"service": "smaple", "version": "2.0.0"}, "no service smaple in app_services; did you mean sample?"),
        ({"version": "2.0.0"}, "Say which service with -e service=NAME (known: sample)"),
        ({"service": "sample"}, "Say which version with -e version=VERSION"),
        ({"service": "sample", "version": "../2"}, "'../2' cannot be a version"),
        ({"service": "sample", "version": "2.0.0", "deploy_wach_seconds": 1}, "did you mean deploy_watch_seconds?"),
        ({"service": "sample", "version": "9.9.9"}, "slipway/sample-service:9.9.9 is not on this host"),
    ],
    ids=["unknown service", "no service", "no version", "no tag", "misspelt variable", "missing image"],
)
def test_a_request_that_cannot_be_meant_changes_nothing(variables: dict[str, str], message: str) -> None:
    before = look()
    run = play("deploy", **variables)
    assert run.code != 0 and message in run.said and "Nothing was changed" in run.said, run.output
    assert look() == before


def test_nothing_to_go_back_to_is_said() -> None:
    run = play("rollback", service="sample", to="0.0.1")
    assert run.code != 0 and "slipway/sample-service:0.0.1 is not on this host" in run.said, run.output


def test_a_port_in_use_is_found_before_anything_changes() -> None:
    before = look()
    idle = "blue" if before.live["edge1"] == "green" else "green"
    on("app2", "docker", "compose", "--project-name", f"sample-{idle}", "--profile", "live", "down", "--timeout", "2")
    before = look()
    port = {"blue": "8000", "green": "8100"}[idle]
    on("app2", "systemd-run", "--unit=squatter", "python3", "-m", "http.server", port)
    wait_until(lambda: port in on("app2", "ss", "-Hltn"))
    try:
        run = deploy("1.0.0" if before.version == "2.0.0" else "2.0.0")
    finally:
        on("app2", "systemctl", "stop", "squatter")
    assert run.code != 0 and f"app2: port {port}, which {idle} needs, is taken by python3" in run.said, run.output
    assert look() == before


@pytest.mark.parametrize("foreseen", [True, False], ids=["found before", "met half-way"])
def test_a_full_disk_stops_the_release_and_not_the_service(foreseen: bool) -> None:
    before = look()
    version = "1.0.0" if before.version == "2.0.0" else "2.0.0"
    on("app2", "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/srv/slipway/sample/releases")
    on("app2", "sh", "-c", "head -c 4096 /dev/zero > /srv/slipway/sample/releases/full || true")
    try:
        with users() as seen:
            run = deploy(version, **({} if foreseen else {"deploy_min_free": "0"}))
    finally:
        on("app2", "umount", "/srv/slipway/sample/releases")
    assert run.code != 0 and seen["failed"] == 0, run.output
    after = look()
    assert (after.version, after.live) == (before.version, before.live)
    if foreseen:
        assert "app2: only 0 MiB are free" in run.said and after == before, run.output
    else:
        assert "3/8 Start failed on app2" in run.said and "No space left" in run.said, run.output


def test_an_unreachable_host_is_named_and_nothing_changes(tmp_path: Path) -> None:
    before = look()
    inventory = yaml.safe_load(INVENTORY.read_text())
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory["all"]["children"]["app"]["hosts"]["app2"] = nobody
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    version = "1.0.0" if before.version == "2.0.0" else "2.0.0"
    run = deploy(version, inventory=tmp_path / "hosts.yml")
    assert run.code != 0 and "nothing was changed; app2 could not be reached" in run.said, run.output
    assert look() == before


def test_a_host_lost_half_way_leaves_the_old_release_live_everywhere() -> None:
    before = look()
    version = "1.0.0" if before.version == "2.0.0" else "2.0.0"
    run = start("deploy", service="sample", version=version, deploy_watch_seconds=4)
    assert run.until("4/8"), run.output
    docker("kill", "app2")
    try:
        run.end()
        assert run.code != 0 and "app2" in run.said and f"{before.version}" in run.said, run.output
        assert {edge: look_at(edge) for edge in EDGES} == dict.fromkeys(EDGES, before.version)
    finally:
        docker("start", "app2")
    wait_until(lambda: versions("app2", before.live["edge1"]) == {before.version})
    again = deploy(version)
    assert again.code == 0 and look().version == version, again.output


def look_at(edge: str) -> str:
    return json.loads(on(edge, "curl", "-s", "http://127.0.0.1:18000/version"))["version"]
