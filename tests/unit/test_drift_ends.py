"""Drift that is stopped: the run beneath it ends with it, and the secrets that it was given go."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.action import drift

STUCK = """#!/bin/sh
{trap}
echo $$ > {place}/began.new; mv {place}/began.new {place}/began
sleep 300 & wait; sleep 300 & wait
"""


def until(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)
    return path.read_text()


def gone(process: int) -> bool:
    """Whether it ended; one that nobody has waited for counts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the run beneath finds its secrets; it is a program that never ends."""

    def written(_: object, place: Path) -> Iterator[str]:
        (place / "0").write_text("open sesame")
        yield "--vault-id=x"

    monkeypatch.setattr(drift.ActionModule, "_secrets", written)
    monkeypatch.setattr(drift.drift, "arguments", lambda *_: [])
    monkeypatch.setattr(drift, "PATIENCE", 1.0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def program(place: Path, trap: str = "") -> None:
    (place / "python").write_text(STUCK.format(place=place, trap=trap))
    (place / "python").chmod(0o755)


@pytest.mark.parametrize("trap", ["", "trap : TERM"])
def test_a_job_that_is_stopped_ends_the_run_beneath_it(tmp_path: Path, secrets: Path, trap: str) -> None:
    program(tmp_path, trap)
    worker = os.fork()
    if not worker:  # as a worker of Ansible: of a session of its own, told by its group
        os.setsid()
        try:
            drift.ActionModule.__new__(drift.ActionModule)._compare("site.yml", 300)
        finally:
            os._exit(1)
    beneath = int(until(tmp_path / "began"))
    os.killpg(worker, signal.SIGTERM)
    os.waitpid(worker, 0)
    assert gone(beneath)
    assert list(secrets.iterdir()) == [], "the vault's password would stay"


@pytest.mark.parametrize("trap", ["", "trap : TERM"])
def test_a_run_that_takes_too_long_is_ended_and_says_so(tmp_path: Path, secrets: Path, trap: str) -> None:
    program(tmp_path, trap)
    former = signal.getsignal(signal.SIGTERM)
    _, errors = drift.ActionModule.__new__(drift.ActionModule)._compare("site.yml", 1.0)
    assert "It was ended after 1 s, drift_timeout." in errors
    assert gone(int(until(tmp_path / "began"))) and list(secrets.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is former
