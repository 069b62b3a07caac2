"""A release changes a database before it starts, once; what that makes of it decides who may follow. In this order."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from containers import SAMPLE, have_sample, shell
from machine import crowding, until
from playbook import Run, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
APPS = ("app1", "app2")
RUNNING = "docker ps -q --filter name=sample-migration --filter status=running"
LABEL = "slipway.database.works-with"


def on(host: str, command: str) -> str:
    return shell(f"slipway-migration-{host}", command)


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    """The sample's with a shell at hand, and beside them 4.0.0, whose database works with 2.0.0 and later."""
    have_sample(["slipway-migration-app1"], ("1.0.0", "2.0.0"))
    made = {"4.0.0": ("2.0.0", f"--change 'LABEL {LABEL}=2.0.0'"), "1.0.0": ("1.0.0", ""), "2.0.0": ("2.0.0", "")}
    for version, (of, label) in made.items():
        on(
            "app1",
            f"docker create --entrypoint '' --name made {SAMPLE}:{of} sample-service serve && "
            f"docker commit {label} made {SAMPLE}:{version} && docker rm made",
        )
    copy_images("app1", "app2", *made)


def copy_images(source: str, to: str, *versions: str) -> None:
    names = " ".join(f"{SAMPLE}:{version}" for version in versions)
    save = f"docker exec slipway-migration-{source} docker save {names}"
    command = f"{save} | docker exec -i slipway-migration-{to} docker load --quiet"
    subprocess.run(command, shell=True, check=True, capture_output=True)


def deploy(version: str, **variables: Any) -> Run:
    return play("deploy", INVENTORY, service="sample", version=version, deploy_pull=False, **variables)


def migrations(app: str) -> list[str]:
    return on(app, "cat /srv/slipway/sample/volumes/items/migrations 2>/dev/null || true").split()


def live() -> str:
    """What answers at the edge."""
    return str(json.loads(on("edge1", "curl -sS --max-time 20 http://127.0.0.1:18000/version"))["version"])


def history() -> list[dict[str, Any]]:
    return [json.loads(line) for line in on("app1", "cat /srv/slipway/sample/history.jsonl").splitlines()]


def test_a_migration_runs_once_on_one_host_before_the_release_starts() -> None:
    ran = deploy("1.0.0")
    assert ran.code == 0, ran.output
    assert (migrations("app1"), migrations("app2")) == (["1.0.0"], [])
    assert live() == "1.0.0"
    assert on("app1", "docker ps -aq --filter name=migration") == ""


def test_a_migration_that_fails_stops_the_release_and_not_the_service() -> None:
    ran = deploy("2.0.0", migration_ends="echo no such table; false")
    assert ran.code != 0
    assert "the migration of 2.0.0 failed: no such table. No release was started." in ran.said
    assert live() == "1.0.0"
    assert history()[-1]["event"] == "failed"
    assert "no such table" in on("app1", "docker logs sample-migration 2>&1")  # the log outlives its release
    ours = "docker ps -aq --filter label=slipway.service=sample --filter label=slipway.version=2.0.0"
    assert on("app1", ours) == ""


def test_health_does_not_count_what_a_failed_migration_left(tmp_path: Path) -> None:
    play("health", INVENTORY, health_report_dir=str(tmp_path))
    hosts = json.loads((tmp_path / "health.json").read_text(encoding="utf-8"))["hosts"]
    results = [result for found in hosts.values() for result in found]
    not_there = {"infrastructure.nginx.runs", "monitoring.node-exporter.runs"}  # this scenario has neither
    assert {result["id"] for result in results if result["verdict"] == "fail"} <= not_there
    assert "application.service.ready" in {result["id"] for result in results}


def test_a_failed_migration_counts_as_no_service_and_goes_with_the_next_release() -> None:
    """A release of the live version brings nothing new, and clears away what the failed one left, its image too."""
    assert deploy("1.0.0").code == 0
    assert on("app1", "docker ps -aq --filter name=migration") == ""
    assert on("app1", "docker network ls -q --filter name=migration") == ""
    assert f"{SAMPLE}:2.0.0" not in on("app1", "docker images --format '{{.Repository}}:{{.Tag}}'")
    copy_images("app2", "app1", "2.0.0")


def test_a_migration_that_takes_too_long_goes_on_and_the_next_release_waits_for_it() -> None:
    before = migrations("app1")
    ran = deploy("2.0.0", migration_takes=90, migration_timeout=20)
    assert ran.code != 0
    assert "the migration of 2.0.0 goes on after 20 s" in ran.said
    assert live() == "1.0.0"
    assert on("app1", RUNNING) != ""  # the release is taken away, and its migration is not ended
    ran = deploy("2.0.0", migration_takes=1)
    assert ran.code == 0, ran.output
    assert migrations("app1") == [*before, "2.0.0", "2.0.0"]
    assert play("rollback", INVENTORY, service="sample").code == 0
    assert live() == "1.0.0"


def test_the_controller_killed_in_a_migration_leaves_it_to_its_end() -> None:
    before = migrations("app1")
    run = Run("deploy", INVENTORY, service="sample", version="2.0.0", deploy_pull=False, migration_takes=10)
    assert until(
        lambda: run.process.poll() is not None or on("app1", RUNNING) != "",
        120 * crowding(),
    )
    assert run.process.poll() is None, run.output
    run.kill()
    ran = deploy("2.0.0")
    assert ran.code == 0, ran.output
    assert migrations("app1") == [*before, "2.0.0", "2.0.0"]
    assert live() == "2.0.0"


def test_a_database_that_the_live_release_does_not_survive_is_refused() -> None:
    assert play("rollback", INVENTORY, service="sample").code == 0
    assert live() == "1.0.0"
    before = migrations("app1")
    ran = deploy("4.0.0")
    assert ran.code != 0
    assert "4.0.0 makes a database that works with 2.0.0 and later" in ran.said
    assert "Release 2.0.0 first" in ran.said
    assert (migrations("app1"), live()) == (before, "1.0.0")


def test_in_two_steps_it_goes_and_the_way_back_ends_where_the_database_does() -> None:
    assert deploy("2.0.0").code == 0
    assert deploy("4.0.0").code == 0
    assert history()[-1]["works_with"] == "2.0.0"
    ran = play("rollback", INVENTORY, service="sample", to="1.0.0")
    assert ran.code != 0
    assert "1.0.0 is refused: the database works with 2.0.0 and later" in ran.said
    assert live() == "4.0.0"
    assert deploy("1.0.0").code != 0
    assert live() == "4.0.0"


def test_the_release_before_is_still_a_way_back_and_migrates_nothing() -> None:
    before = migrations("app1")
    assert play("rollback", INVENTORY, service="sample").code == 0
    assert (live(), migrations("app1")) == ("2.0.0", before)


def test_who_knows_better_says_why() -> None:
    ran = play("rollback", INVENTORY, service="sample", to="1.0.0", override="The old code was tried against a copy")
    assert ran.code == 0, ran.output
    assert live() == "1.0.0"
