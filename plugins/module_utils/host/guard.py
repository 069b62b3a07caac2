# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A change that takes itself back unless it is kept in time: of a firewall, of sshd, of what else can lock one out.

Files that are wanted become the live ones and are applied. Before that, a timer is running on the host which puts the
former ones back and applies those, and a unit that does so when the host starts. What they run is a shell script and
needs nothing of what the change may have broken; it is there, with the former files, while the change is on trial.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import UNITS

ROOT = Path("/var/lib/slipway/guard")
LONGEST = 30.0  # seconds that a command may take; the timer's waits for it

_UNDO = """\
#!/bin/sh
# Puts back what was there before a change of {name} that nobody has kept. With --files, when the host starts: whatever
# reads them does so later.
set -e
exec 9>{lock}
flock 9
[ -e {trial}/attempt ] || exit 0
{restore}
[ "$1" = --files ] || {apply}
{{ date -u +%Y-%m-%dT%H:%M:%SZ; cat {trial}/attempt; }} > {mark}
rm -f {boot_files}
rm -r {trial}
"""

_AT_BOOT = """\
[Unit]
Description=Take back the change of {name} that was on trial when the host went down
DefaultDependencies=no
RequiresMountsFor={root}
After=local-fs.target
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/sh {undo} --files
"""


class GuardError(RuntimeError):
    """What went wrong and what the host has now, for an operator to read."""


@dataclass(frozen=True)
class Change:
    """``files`` are pairs, what is wanted and where it is live. ``check`` judges the live ones before ``apply`` takes
    them up; ``withdraw`` is that when there are none any more. ``loaded`` prints what is in effect, if something can.
    """

    name: str
    files: tuple[tuple[Path, Path], ...]
    apply: Sequence[str]
    withdraw: Sequence[str] = ()
    loaded: Sequence[str] = ()
    check: Sequence[str] = ()


@dataclass(frozen=True)
class Guard:
    """What watches over the changes of one name. ``units`` is where systemd looks for units of the host's own."""

    name: str
    root: Path = ROOT
    units: Path = UNITS

    @property
    def trial(self) -> Path:
        return self.root / self.name / "trial"

    @property
    def mark(self) -> Path:
        """When a change was taken back, and which; there until one is kept."""
        return self.root / self.name / "taken_back"

    @property
    def loaded(self) -> Path:
        return self.root / self.name / "loaded"

    @property
    def timer(self) -> str:
        return f"slipway-take-back-{self.name}"

    @property
    def boot_files(self) -> tuple[Path, Path]:
        unit = f"slipway-take-back-{self.name}-at-boot.service"
        return self.units / unit, self.units / "sysinit.target.wants" / unit

    def differences(self, change: Change) -> list[str]:
        """Why the change would have to be made, a sentence each; none when everything is as wanted."""
        if self.trial.exists():
            return [f"a change of {self.name} is on trial that nobody has kept"]
        found = [f"{live} is not as wanted" for wanted, live in change.files if not _equal(wanted, live)]
        if not found and change.loaded and _output(change.loaded) != _text(self.loaded):
            found = [f"what is loaded is not what was kept ({shlex.join(change.loaded)})"]
        return found

    def begin(self, change: Change, seconds: int, attempt: str) -> None:
        """Makes the change, which ends after so many seconds unless it is kept by the word `attempt`."""
        self.take_back()
        with self._locked():
            self._remember(change, attempt)
            self._arm(seconds)
            for wanted, live in change.files:
                _install(wanted, live)
            refused = _failure(change.check) if change.check else ""
            failed = refused or _failure(change.apply)
        if failed:
            self.take_back(was_read=not refused)
            raise GuardError(f"{failed}. What was there before is in effect again.")

    def keep(self, change: Change, attempt: str) -> bool:
        """Ends the trial, and false when it has ended otherwise."""
        with self._locked():
            if _text(self.trial / "attempt") != attempt:
                return False
            if change.loaded:
                self.loaded.write_text(_output(change.loaded), encoding="utf-8")
            self._end_trial()
            self.mark.unlink(missing_ok=True)
        # Whatever waits for the lock by now finds no trial.
        self._disarm()
        return True

    def take_back(self, was_read: bool = True) -> None:
        """Ends a trial that is under way, by what its timer would run; files that nobody has read yet need no more."""
        if not self.trial.exists():
            return
        if failed := _failure(["/bin/sh", str(self.trial / "undo"), *([] if was_read else ["--files"])]):
            raise GuardError(f"what was before the last change of {self.name} could not be put back: {failed}")

    def taken_back_at(self, attempt: str) -> str:
        """When that change was taken back; empty when it was not, or another has been since."""
        when, _, which = _text(self.mark).partition("\n")
        return when if which == attempt else ""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        make_directory(self.root / self.name, 0o700)
        with (self.root / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _remember(self, change: Change, attempt: str) -> None:
        place = self.root / self.name / "new"
        shutil.rmtree(place, ignore_errors=True)
        make_directory(place, 0o700)
        for number, (_, live) in enumerate(change.files):
            if live.exists():
                _install(live, place / str(number))
        (place / "undo").write_text(self._undo(change), encoding="utf-8")
        (place / "attempt").write_text(attempt, encoding="utf-8")
        os.sync()  # the host may lose power in the next minute
        place.rename(self.trial)

    def _undo(self, change: Change) -> str:
        lines = []
        for number, (_, live) in enumerate(change.files):
            former, target, beside = (
                shlex.quote(str(path)) for path in (self.trial / str(number), live, _beside(live))
            )
            # A line each: in a list of commands a failure of the first ends nothing.
            restore = [f"cp --preserve=all {former} {beside}", f"mv -f {beside} {target}"]
            lines += restore if live.exists() else [f"rm -f {target}"]
        were_there = any(live.exists() for _, live in change.files)
        return _UNDO.format(
            name=self.name,
            lock=shlex.quote(str(self.root / f"{self.name}.lock")),
            trial=shlex.quote(str(self.trial)),
            mark=shlex.quote(str(self.mark)),
            boot_files=shlex.join(map(str, self.boot_files)),
            restore="\n".join(lines),
            apply=shlex.join(change.apply if were_there or not change.withdraw else change.withdraw),
        )

    def _arm(self, seconds: int) -> None:
        unit, wanted_by = self.boot_files
        undo = self.trial / "undo"
        unit.write_text(_AT_BOOT.format(name=self.name, root=self.root, undo=undo), encoding="utf-8")
        make_directory(wanted_by.parent)
        wanted_by.unlink(missing_ok=True)
        wanted_by.symlink_to(unit)
        self._disarm()
        armed = _failure(
            [
                *("systemd-run", "--quiet", "--collect", f"--unit={self.timer}", f"--on-active={seconds}"),
                *("--property=Restart=on-failure", "--property=RestartSec=10"),  # as for a disk that is full
                *("--timer-property=AccuracySec=100ms", f"--description=Take back the change of {self.name}"),
                *("/bin/sh", str(undo)),
            ]
        )
        if armed:
            self._end_trial()
            raise GuardError(f"nothing was changed, because nothing would take it back: {armed}")

    def _disarm(self) -> None:
        """The service too: where it could not take back it would try again."""
        for unit in ("timer", "service"):
            subprocess.run(["systemctl", "stop", f"{self.timer}.{unit}"], capture_output=True, check=False)

    def _end_trial(self) -> None:
        for path in self.boot_files:
            path.unlink(missing_ok=True)
        over = self.trial.with_name("over")
        shutil.rmtree(over, ignore_errors=True)
        self.trial.rename(over)
        shutil.rmtree(over, ignore_errors=True)


def _equal(wanted: Path, live: Path) -> bool:
    try:
        access = [(status.st_mode, status.st_uid, status.st_gid) for status in (wanted.stat(), live.stat())]
    except FileNotFoundError:
        return False
    return access[0] == access[1] and filecmp.cmp(wanted, live, shallow=False)


def _install(source: Path, target: Path) -> None:
    make_directory(target.parent)
    beside = _beside(target)
    shutil.copy2(source, beside)
    status = source.stat()
    os.chown(beside, status.st_uid, status.st_gid)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(target)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.slipway")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _output(argv: Sequence[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False).stdout
    except FileNotFoundError:
        return ""


def _failure(argv: Sequence[str]) -> str:
    """What a command that failed says, and nothing of one that did not."""
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, timeout=LONGEST)
    except FileNotFoundError:
        return f"{argv[0]} is not installed on this host"
    except subprocess.TimeoutExpired:
        return f"{shlex.join(argv)} did not end within {LONGEST:.0f} s"
    said = " ".join((ended.stderr or ended.stdout).split())
    return f"{shlex.join(argv)} ended with status {ended.returncode}: {said}" if ended.returncode else ""
