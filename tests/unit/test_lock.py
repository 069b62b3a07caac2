from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import lock


def wanted(run: str, process: str = "") -> dict[str, str]:
    return {"run": run, "owner": f"{run}@here", "purpose": "deploy 2.0.0", "process": process}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "shop.json"


def test_a_second_run_is_refused_and_learns_who_holds_it(path: Path) -> None:
    assert lock.acquire(path, wanted("kim"), 60).acquired
    refused = lock.acquire(path, wanted("lee"), 60)
    assert not refused.acquired and not refused.changed
    assert refused.holder.owner == "kim@here" and "deploy 2.0.0" in refused.holder.describe(refused.holder.expires - 5)


def test_the_holder_prolongs_its_lock_and_keeps_its_start(path: Path) -> None:
    first = lock.acquire(path, wanted("kim"), 60).holder
    again = lock.acquire(path, wanted("kim"), 600)
    assert again.acquired and again.replaced is None
    assert again.holder.since == first.since and again.holder.expires > first.expires


def test_an_expired_lock_is_taken_over(path: Path) -> None:
    lock.acquire(path, wanted("kim"), -1)
    attempt = lock.acquire(path, wanted("lee"), 60)
    assert attempt.acquired and attempt.replaced is not None and attempt.replaced.run == "kim"
    assert lock.release(path, "kim") is False  # the run that comes back late does not open the new owner's lock
    assert lock.acquire(path, wanted("third"), 60).acquired is False


def test_a_dead_process_loses_its_lock_and_a_living_one_does_not(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = lock.process_identity(process.pid)
        lock.acquire(path, wanted("kim", identity), 60)
        assert not lock.provably_dead(identity)
        process.kill()
    assert lock.provably_dead(identity)
    assert lock.acquire(path, wanted("lee"), 60, dead=identity).acquired


def test_nothing_is_proved_about_processes_elsewhere() -> None:
    here = lock.process_identity(os.getpid())
    assert not lock.provably_dead(here)
    boot, rest = here.split("/", 1)
    assert not lock.provably_dead(f"{boot[::-1]}/{rest}")
    assert not lock.provably_dead("")


def test_a_process_id_used_again_is_another_process() -> None:
    boot, namespace, pid, started = lock.process_identity(os.getpid()).split("/")
    assert lock.provably_dead(f"{boot}/{namespace}/{pid}/{int(started) - 1}")


def test_of_many_at_once_one_wins(path: Path) -> None:
    winners: list[str] = []

    def attempt(run: str) -> None:
        if lock.acquire(path, wanted(run), 60).acquired:
            winners.append(run)

    threads = [threading.Thread(target=attempt, args=(f"run{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": "x"}'])
def test_a_file_that_is_no_lock_does_not_lock_for_ever(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    assert lock.acquire(path, wanted("kim"), 60).acquired


def test_a_dry_attempt_leaves_no_trace(path: Path) -> None:
    assert lock.acquire(path, wanted("kim"), 60, dry=True).acquired
    assert not path.parent.exists()
    lock.acquire(path, wanted("kim"), 60)
    assert lock.release(path, "kim", dry=True)
    assert json.loads(path.read_text())["run"] == "kim"


def test_locks_are_shown_and_opened_only_when_their_run_is_over(path: Path) -> None:
    lock.acquire(path, wanted("kim"), 60)
    lock.acquire(path.with_name("billing.json"), wanted("lee"), -5)
    held = lock.held(path.parent)
    assert list(held) == ["billing", "shop"]
    told = lock.describe(held)
    assert "billing is locked by lee@here (deploy 2.0.0, run lee" in told[0] and "expired" in told[0]
    assert "expires in" in told[1]
    assert "open its lock with -e unlock_force=true" in lock.refusal_to_open("shop", held["shop"], dead=False)
    assert lock.refusal_to_open("shop", held["shop"], dead=True) == ""
    assert lock.refusal_to_open("billing", held["billing"], dead=False) == ""


def test_where_no_lock_was_ever_taken_none_is_shown(path: Path) -> None:
    assert lock.held(path.parent) == {} and lock.describe({}) == []
