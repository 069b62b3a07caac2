# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups and drills run as systemd services, so that they outlive whoever asked; this starts one and follows it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError

BACKUP, DRILL = "slipway-backup", "slipway-drill"
RUNTIME = "/run"
RECORDED = 3  # exit status of a run whose failure is recorded with its reason: no failure of the unit
_STARTING = 30.0  # seconds that systemd may take to begin
_ENDED = ("inactive", "failed")


@dataclass
class Heard:
    """What a run said since ``offset``, a place in its diary; ``results`` when it has ended."""

    offset: int
    lines: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Service:
    """An instance of a templated service, whose program keeps a diary of its run beneath ``runtime``."""

    kind: str
    family: str = BACKUP
    runtime: str = RUNTIME

    @property
    def unit(self) -> str:
        return f"{self.family}@{self.kind}.service"

    @property
    def diary(self) -> Path:
        return Path(self.runtime) / self.family / f"{self.kind}.jsonl"


def family_of(settings: Mapping[str, Any]) -> str:
    """The templated service that makes an engine's backups; its configuration names one of its own."""
    return str(settings.get("service") or BACKUP)


def runtime_of(settings: Mapping[str, Any]) -> str:
    """Where its runs keep their diaries."""
    return f"{RUNTIME}/{family_of(settings)}"


def begin(service: Service) -> tuple[str, bool]:
    """Starts a run and returns its id, and whether it was under way already, by a timer for example."""
    former, state = _state(service)
    if state not in _ENDED:
        return former, True
    started = _systemctl("start", "--no-block", service.unit)
    if started.returncode:
        raise BackupError(f"{service.unit} cannot be started: {started.stderr.strip()}; has its role run here?")
    deadline = time.monotonic() + _STARTING
    while time.monotonic() < deadline:
        run, _ = _state(service)
        if run and run != former:
            return run, False
        time.sleep(0.05)
    raise BackupError(f"systemd did not start {service.unit} within {_STARTING:g} s; systemctl status {service.unit}")


def follow(service: Service, run: str, offset: int, patience: float) -> Heard:
    """What the run has said since; waits up to ``patience`` seconds for something."""
    deadline = time.monotonic() + patience
    while True:
        # Asked for before reading: a run that has ended has said everything.
        current, state = _state(service)
        heard = _read(service.diary, run, offset)
        if heard.lines or heard.results is not None:
            return heard
        if current != run or state in _ENDED:
            raise BackupError(f"{service.unit} ended without results. {_journal(service, run)}")
        if time.monotonic() >= deadline:
            return heard
        time.sleep(0.1)


def _read(diary: Path, run: str, offset: int) -> Heard:
    """The whole lines after ``offset``, if the diary is of this run."""
    heard = Heard(offset)
    try:
        content = diary.read_bytes()
    except FileNotFoundError:
        return heard
    whole = content[: content.rfind(b"\n") + 1]
    entries = [json.loads(line) for line in whole.splitlines()[:1]]
    if not entries or entries[0].get("run") != run:
        return heard
    for line in whole[offset:].splitlines():
        entry = json.loads(line)
        heard.lines += [entry["line"]] if "line" in entry else []
        heard.results = entry.get("results", heard.results)
    heard.offset = len(whole)
    return heard


def _state(service: Service) -> tuple[str, str]:
    """Id of the current or last run, and whether the service is active."""
    shown = _systemctl("show", "--property=InvocationID,ActiveState", service.unit)
    values = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    return values.get("InvocationID", ""), values.get("ActiveState", "inactive")


def _journal(service: Service, run: str) -> str:
    command = ["journalctl", "--output=cat", "--no-pager", "--lines=5", f"_SYSTEMD_INVOCATION_ID={run}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    words = "; ".join(line.strip() for line in said.splitlines() if line.strip())
    return f"It said: {words}" if words else f"journalctl -u {service.unit} may say why"


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
