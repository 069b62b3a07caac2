"""One backup from start to end, with a program in pgBackRest's place that ends as it is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest import backup as subject
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest import command, job
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.backup import (
    Target,
    full_disks,
    left_to_primary,
    perform,
    targets,
)
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.host import run as programs

TARGET = Target("main", 1, "nobody", "main")
BEGIN = "2026-11-21 15:03:38.949 P00   INFO: backup command begin 2.55.1"
LOCKED = (
    "2026-11-21 15:03:39.000 P00  ERROR: [050]: unable to acquire lock on file '/run/pgbackrest/main-backup-1.lock'"
)
INFO = json.dumps(
    [
        {
            "name": "main",
            "repo": [{"key": 1, "status": {"code": 0, "message": "ok"}}],
            "status": {"code": 0, "message": "ok", "lock": {"backup": {"held": True, "size": 10, "size-cplt": 4}}},
        }
    ]
)


@pytest.fixture
def pgbackrest(tmp_path, monkeypatch):
    """Makes a script that stands for pgBackRest; returns where to write what it does."""
    program = tmp_path / "pgbackrest"

    def does(script):
        program.write_text(f"#!/bin/sh\ncase \"$*\" in *info) echo '{INFO}'; exit 0;; esac\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setattr(programs, "as_user", lambda user: {})
    monkeypatch.setattr(job, "as_user", lambda user: {})
    monkeypatch.setattr(command, "PROGRAM", str(program))
    monkeypatch.setattr(subject, "RETRY", 0.1)
    return does


def run(kind, patience=0.0):
    said: list[str] = []
    results = perform(kind, TARGET, patience, said.append)
    for result in results:
        validated(result.as_dict(), "run")
    return results[0], said


def test_a_backup_that_succeeds(pgbackrest):
    pgbackrest(
        f"echo '{BEGIN}'; echo '2026-11-21 15:03:40 P01 DETAIL: backup file a (2MB, 50.00%) checksum 1'; sleep 0.3"
    )
    result, said = run("full")
    assert (result.id, result.verdict, result.subject, result.reason) == ("data.backup.full", "pass", "main", None)
    assert result.measured >= 0.29
    assert any("copying, 2MiB read, 50.0 %" in line for line in said), said


def test_lines_come_while_nothing_happens(pgbackrest, tmp_path):
    """The program goes on until four have come, or for a minute."""
    pgbackrest(f"for turn in $(seq 600); do test -e {tmp_path}/enough && exit; sleep 0.1; done")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 4:
            (tmp_path / "enough").touch()

    job.watch([command.PROGRAM], "nobody", say, tick=0.05)
    assert (tmp_path / "enough").exists()


def test_a_backup_that_fails_says_pgbackrests_reason(pgbackrest):
    pgbackrest(f"echo '{BEGIN}'; echo '2026-11-21 15:03:40 P00  ERROR: [056]: unable to find primary cluster'; exit 56")
    result, _ = run("incr")
    assert result.verdict == "fail"
    assert "ended with status 56 after" in result.reason
    assert "pgBackRest says: [056]: unable to find primary cluster" in result.reason


def test_a_program_that_says_nothing_or_is_killed(pgbackrest):
    pgbackrest("exit 3")
    assert "it said nothing" in run("incr")[0].reason
    pgbackrest("kill -9 $$")
    assert "it was ended by the signal SIGKILL" in run("incr")[0].reason


def test_an_incremental_that_meets_a_full_one_is_skipped(pgbackrest):
    pgbackrest(f'echo "{LOCKED}"; exit 50')
    result, _ = run("incr")
    assert result.verdict == "skip"
    assert result.reason == "another backup of main is running (40 % done), which makes this one unnecessary"


def test_what_a_standby_leaves_out_does_not_stand_in_for_what_its_primary_did():
    result = left_to_primary("full", TARGET)
    assert (result.verdict, result.id) == ("skip", "data.backup.full")
    assert result.subject.startswith("main on ")
    validated(result.as_dict(), "run")


def test_a_full_one_waits_for_its_turn(pgbackrest, tmp_path):
    pgbackrest(f'test -e {tmp_path}/free && exit 0; echo "{LOCKED}"; exit 50')
    threading.Timer(0.5, (tmp_path / "free").touch).start()
    result, said = run("full", patience=20)
    assert result.verdict == "pass" and any("waiting: another backup of main is running" in line for line in said)
    (tmp_path / "free").unlink()
    result, _ = run("full", patience=0.3)
    assert result.verdict == "fail" and "unable to acquire lock" in result.reason


def test_stopped_it_ends_pgbackrest_and_still_tells(pgbackrest):
    end = "echo '2026-11-21 15:03:40 P00  ERROR: [063]: terminated on signal [SIGTERM]'; exit 63"
    copied = "2026-11-21 15:03:40 P01 DETAIL: backup file a (2MB, 50.00%) checksum 1"
    pgbackrest(f"""trap "{end}" TERM; echo '{BEGIN}'; echo '{copied}'; while :; do sleep 0.1; done""")
    stopped: list[str] = []

    def stop(line: str) -> None:
        """Once it is known to run; before, the signal would be this test's."""
        if "copying" in line and not stopped:
            stopped.append(line)
            os.kill(os.getpid(), signal.SIGTERM)

    (result, *_) = perform("full", TARGET, 0.0, stop)
    assert stopped and result.verdict == "fail" and "terminated on signal [SIGTERM]" in str(result.reason)


def test_stopped_while_it_starts_it_ends_pgbackrest_too(pgbackrest, monkeypatch):
    pgbackrest("exec sleep 60")
    start, strays = subprocess.Popen, []

    def stopped(*given, **named):
        process = start(*given, **named)
        os.kill(os.getpid(), signal.SIGTERM)
        return process

    monkeypatch.setattr(job.subprocess, "Popen", stopped)
    former = signal.signal(signal.SIGTERM, lambda *_: strays.append("a signal that was not passed on"))
    try:
        outcome = job.watch([command.PROGRAM, "backup"], "nobody", lambda line: None)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert not strays and outcome.reason == "it was ended by the signal SIGTERM"


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    assert full_disks([str(tmp_path / "gone")]) == [f"{tmp_path}/gone cannot be reached: No such file or directory"]
    assert full_disks(["/proc"]) == []  # a file system without size is not full

    def nearly_full(path):
        return os.statvfs_result((4096, 4096, 10_000, 20, 10, 0, 0, 0, 0, 255))

    monkeypatch.setattr(subject.os, "statvfs", nearly_full)
    assert full_disks(["/backup"]) == ["the disk of /backup has 40KiB left: enlarge it"]


def test_every_stanza_goes_into_every_repository():
    found = targets({"stanzas": ["main", "shop"], "repositories": [1, 2], "user": "postgres", "paths": ["/b"]})
    assert [target.name for target in found] == ["main/repo1", "main/repo2", "shop/repo1", "shop/repo2"]
