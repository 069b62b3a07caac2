# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starts, asks and stops a prober: a process of its own that outlives whoever started it.

A prober has a directory: `lock` (held by the process as long as it lives, with its number in it), `plan.json`,
`prober.pyz` (its code), `journal.jsonl` (what it saw) and `errors.log`.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path, PurePath
from typing import IO, Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.net import address, url
from ansible_collections.slipway.ops.plugins.module_utils.traffic import (
    connection,
    http1,
    http2,
    plan,
    prober,
    report,
    tally,
    websocket,
)
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import Plan, TrafficError

_PACKED = (address, url, connection, http1, http2, plan, prober, tally, websocket)
_START_TIMEOUT = 15.0  # seconds
_STOP_SLACK = 10.0  # seconds beyond the time that requests under way may take


def default_root() -> Path:
    """Where probers live: ``/run/slipway/traffic``, or for others than root a directory that only they can enter."""
    if os.geteuid() == 0:
        return Path("/run/slipway/traffic")
    return Path(tempfile.gettempdir()) / f"slipway-traffic-{os.geteuid()}"


class Control:
    """One prober, by its name."""

    def __init__(self, root: Path, name: str) -> None:
        self._name = name
        self._directory = root / name
        self._lock = self._directory / "lock"
        self._journal = self._directory / "journal.jsonl"
        self._plan = self._directory / "plan.json"

    def running(self) -> int | None:
        """The prober's process number, or None: whoever holds the lock is alive, whatever the number says."""
        try:
            with self._lock.open("r") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read() or 0)
        except FileNotFoundError:
            pass
        return None

    def exists(self) -> bool:
        """Whether there is anything to remove."""
        return self._directory.exists()

    def known(self) -> bool:
        """Whether a prober of this name was ever started (and its results not removed)."""
        return self._journal.exists()

    def same_plan(self, wanted: Plan) -> bool:
        try:
            return self._plan.read_text(encoding="utf-8") == wanted.to_json()
        except FileNotFoundError:
            return False

    def start(self, wanted: Plan) -> int:
        """Starts a prober where none runs and returns its process number once it is sending."""
        self._prepare()
        with self._lock.open("a+") as lock:
            self._hold(lock)
            lock.truncate(0)
            self._journal.unlink(missing_ok=True)
            self._plan.touch(mode=0o600)  # it may hold a token
            self._plan.write_text(wanted.to_json(), encoding="utf-8")
            archive = pack(self._directory / "prober.pyz")
            process = self._spawn(archive, lock.fileno())
            lock.write(str(process.pid))
        self._await_first_line(process)
        return process.pid

    def _hold(self, lock: IO[str]) -> None:
        deadline = time.monotonic() + 1  # somebody who only looks whether it runs has the lock for a moment
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TrafficError(f"Somebody else started a prober {self._name} at the same time") from None
                time.sleep(0.02)

    def _prepare(self) -> None:
        try:
            root = self._directory.parent
            make_directory(root.parent)
            for directory in (root, self._directory):
                make_directory(directory, 0o700)
                found = directory.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
                    raise TrafficError(
                        f"{directory} is not a directory that only this user may write to: remove it, "
                        "or set `state_directory` to another"
                    )
        except OSError as error:
            raise TrafficError(f"{self._directory} cannot be made: {error.strerror}") from None

    def _spawn(self, archive: Path, lock: int) -> subprocess.Popen[bytes]:
        """A session of its own and no descriptor of ours: Ansible's connection waits for those to close."""
        with (self._directory / "errors.log").open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, "-I", str(archive), str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
                start_new_session=True,
                pass_fds=[lock],
            )

    def _await_first_line(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not (self._journal.exists() and self._journal.stat().st_size):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise TrafficError(f"The prober did not start: {self._errors() or 'it gave no reason'}")
            time.sleep(0.02)

    def _errors(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._directory / "errors.log").read_text(encoding="utf-8", errors="replace").splitlines()
            return lines[-1] if lines else ""
        return ""

    def stop(self) -> None:
        """Stops the prober and waits until what was under way has ended."""
        if self.running() is None:
            return
        patience = Plan.from_json(self._plan.read_text(encoding="utf-8")).timeout + _STOP_SLACK
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._ends_by(number, patience):
                return
        raise TrafficError(f"Prober {self._name} (process {self.running()}) does not end, not even by SIGKILL")

    def _ends_by(self, number: signal.Signals, patience: float) -> bool:
        deadline, told = time.monotonic() + patience, False
        while time.monotonic() < deadline:
            process = self.running()
            if process is None:
                return True
            if process and not told:  # 0: it is being started this moment
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
                told = True
            time.sleep(0.02)
        return False

    def summary(self, window: float | None = None) -> dict[str, Any]:
        """What the prober has seen so far."""
        process = self.running()
        return {"name": self._name, **report.summarise(self._entries(), time.time(), process is not None, window)}

    def latency_of_versions(self, since: float) -> dict[str, dict[float, int]]:
        """By version, how many answers took how many milliseconds since a moment (Unix time)."""
        return report.latency_of_versions(self._entries(), since)

    def _entries(self) -> list[dict[str, Any]]:
        with self._journal.open(encoding="utf-8", errors="replace") as lines:
            entries = report.read_journal(lines)
        if not entries or "started" not in entries[0]:
            raise TrafficError(f"{self._journal} holds no results: {self._errors() or 'no prober wrote it'}")
        return entries

    def remove(self) -> bool:
        """Stops the prober and forgets what it saw; whether there was anything."""
        if not self.exists():
            return False
        self.stop()
        shutil.rmtree(self._directory)
        return True


def pack(path: Path) -> Path:
    """The prober's code as one file: Ansible removes the module's own as soon as the module ends."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", f"from {prober.__name__} import main\n\nmain()\n")
        files = {module.__name__.replace(".", "/"): inspect.getsource(module) for module in _PACKED}
        for package in sorted({str(parent) for name in files for parent in PurePath(name).parents[:-1]}):
            archive.writestr(f"{package}/__init__.py", "")
        for name, source in files.items():
            archive.writestr(f"{name}.py", source)
    return path
