from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.plugin_utils import locking

ROOT = Path(__file__).resolve().parents[2]

# A worker as Ansible forks one, whose parent is killed before it takes the lock.
KILLED = """
import multiprocessing, os, pathlib, signal, sys, time
sys.path[:0] = [{conftest!r}]
import conftest
from ansible_collections.slipway.ops.plugins.plugin_utils import locking

def work(place, parent):
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)
    asked = []
    def attempt(options):
        asked.append(options)
        return {{"acquired": True}}
    answer = locking.wait_for_lock(attempt, {{"name": "shop"}}, {{}})
    pathlib.Path(place + ".new").write_text(f"{{answer}} {{asked}}")
    pathlib.Path(place + ".new").rename(place)

multiprocessing.get_context("fork").Process(target=work, args=({place!r}, os.getpid())).start()
time.sleep(60)
"""


def test_a_worker_whose_playbook_was_killed_takes_no_lock(tmp_path: Path) -> None:
    place = tmp_path / "answer"
    code = KILLED.format(conftest=str(ROOT / "tests"), place=str(place))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    deadline = time.monotonic() + 60
    while not place.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = place.read_text()
    assert "ansible-playbook was killed" in answer and answer.endswith(" []"), answer


@pytest.mark.skipif(os.getppid() == 0, reason="what `docker exec` starts has no parent in its container")
def test_a_worker_names_the_playbook_that_forked_it() -> None:
    asked: list[dict[str, Any]] = []

    def attempt(options: dict[str, Any]) -> dict[str, Any]:
        asked.append(options)
        return {"acquired": True}

    assert locking.wait_for_lock(attempt, {"name": "shop"}, {})["acquired"]
    assert asked[0]["process"].split("/")[2] == str(os.getppid())


def test_who_holds_a_lock_is_the_person_and_not_the_user_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_RUN_BY", raising=False)
    monkeypatch.setattr(locking.getpass, "getuser", lambda: "root")
    assert locking.owner({}).startswith("root@")
    monkeypatch.setenv("SLIPWAY_RUN_BY", "lee")
    assert locking.owner({}).startswith("lee@")
    assert locking.owner({"awx_user_name": "park"}).startswith("park@")
