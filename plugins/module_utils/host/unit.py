# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units as a role wants them: enabled, running with the files that there are, and still running a moment later.

What has to be done is decided from what systemd and the files' times say, not from what a run remembers: whatever a
killed run left undone, the next one does.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host import process
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import (
    UNITS,
    Systemctl,
    Unit,
    last_words,
    newer,
    own_files,
)

_POLL = 0.1
_HOLD = 1.0
"""Seconds that a program which cannot tell that it is ready must have been running."""
_TICKS = 0.02  # as exact as the kernel tells when a process began
_MUTE = ("simple", "exec", "idle")
_AT_REST = ("failed", "inactive")
_DONE = {
    "enable": "enabled",
    "disable": "disabled",
    "start": "started",
    "restart": "restarted",
    "reload": "reloaded",
    "stop": "stopped",
    "run": "ran",
}


class UnitError(Exception):
    """A unit is not as wanted; the message is for an operator."""


@dataclass(frozen=True)
class Wanted:
    """One unit; modules/units.py describes each field."""

    name: str
    state: str = "started"
    enabled: bool = True
    restart_for: Sequence[str] = ()
    reload_for: Sequence[str] = ()
    reload_first: bool = False
    renews: bool = False
    listens: Sequence[str] = ()
    ready: Sequence[str] = ()
    timeout: float = 30.0


@dataclass(frozen=True)
class Step:
    """Something to do to a unit, in systemctl's words, and why."""

    verb: str
    unit: str
    reason: str = ""

    def describe(self) -> str:
        return f"{_DONE[self.verb]} {self.unit}{f' ({self.reason})' if self.reason else ''}"


@dataclass
class Outcome:
    """What was done, or would be; ``before`` is how the units were that this is about, a line each."""

    steps: list[Step] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    reread: bool = False


def settle(units: Sequence[Wanted], check_mode: bool = False, changed_paths: Collection[str] = ()) -> Outcome:
    """Brings units to what is wanted, one after the other, and looks whether they stay there.

    ``changed_paths`` are files that check mode has not written.
    """
    systemctl = Systemctl(UnitError)
    names = [wanted.name for wanted in units]
    seen = systemctl.look(*names)
    triggered = {name for unit in seen for name in unit.triggers} - set(names)
    outcome = Outcome(reread=any(unit.unread for unit in (*seen, *systemctl.look(*sorted(triggered)))))
    missing = any(not unit.is_there and wanted.state != "stopped" for wanted, unit in zip(units, seen, strict=True))
    if (outcome.reread or missing) and not check_mode:
        systemctl("daemon-reload")
    for wanted, first in zip(units, seen, strict=True):
        unit = replace(systemctl.look(wanted.name)[0], untaken=first.untaken)
        steps = plan(wanted, unit, changed_paths if check_mode else ())
        if steps:
            outcome.steps += steps
            outcome.before.append(f"{unit.name}: {unit.file or unit.load}, {unit.active} ({unit.sub})")
        if not check_mode:
            _bring(systemctl, wanted, unit, steps)
    return outcome


def plan(wanted: Wanted, unit: Unit, changed_paths: Collection[str] = ()) -> list[Step]:
    """What has to be done to a unit."""
    return [Step(verb, wanted.name, reason) for verb, reason in _plan(wanted, unit, changed_paths)]


def _plan(wanted: Wanted, unit: Unit, changed_paths: Collection[str]) -> Iterator[tuple[str, str]]:
    if wanted.enabled and unit.file in ("disabled", ""):
        yield "enable", ""
    elif not wanted.enabled and unit.file.startswith("enabled"):
        yield "disable", ""
    if wanted.state == "stopped":
        if unit.is_up or unit.active == "activating":
            yield "stop", ""
        return
    restart = _newer([*own_files(unit.name), *wanted.restart_for], unit.started, _unit_paths(unit), changed_paths)
    if unit.untaken:
        restart = f"it was started without {unit.untaken}"
    if wanted.state == "ran":
        failed = "" if unit.result == "success" else f"its last run failed: {unit.result}"
        reason = restart if unit.started else "it has not run yet"
        if reason or failed:
            yield "run", failed or reason
        return
    if not (unit.is_up or unit.is_coming):
        yield "start", "" if unit.active == "inactive" else f"it was {unit.active}, {unit.sub}"
        return
    reload = _newer(wanted.reload_for, _loaded(wanted, unit), (), changed_paths) if unit.is_up else ""
    if reload and (wanted.reload_first or not restart):
        yield "reload", reload
    if restart:
        yield "restart", restart


def _newer(paths: Sequence[str | Path], moment: float, places: Sequence[Path], changed_paths: Collection[str]) -> str:
    """Why a unit is older than what it reads."""
    found: str | Path | None = newer(paths, moment)
    if found is None:
        above = {*map(Path, paths), *places}
        found = next((path for path in changed_paths if above & {Path(path), *Path(path).parents}), None)
    return f"{found} is newer" if found else ""


def _unit_paths(unit: Unit) -> list[Path]:
    return [UNITS / unit.name, UNITS / f"{unit.name}.d"]


def _loaded(wanted: Wanted, unit: Unit) -> float:
    """When it took its files up. Only new children show that of a program which is asked by a signal."""
    return process.newest_child(unit.pid) if wanted.renews else unit.loaded


def _bring(systemctl: Systemctl, wanted: Wanted, unit: Unit, steps: Sequence[Step]) -> None:
    if steps and not unit.is_there:
        raise UnitError(f"this host has no {wanted.name}: is what brings it installed? See systemctl cat {wanted.name}")
    began = 0.0
    for step in steps:
        moment = time.time()
        _take(systemctl, step, moment)
        if step.verb in ("start", "restart", "reload"):
            began = moment
            _wait(systemctl, wanted, began)
    if wanted.state == "started" and not began:
        _wait(systemctl, wanted, began)


def _take(systemctl: Systemctl, step: Step, began: float) -> None:
    if step.verb in ("enable", "disable"):
        systemctl(step.verb, "--quiet", step.unit)
        return
    if step.verb in ("start", "restart", "run"):
        with contextlib.suppress(UnitError):  # one that has never been loaded
            systemctl("reset-failed", step.unit)
    try:
        systemctl(step.verb if step.verb in ("stop", "reload") else "restart", step.unit)
    except UnitError as error:
        left = "; it goes on with what it had read before" if step.verb == "reload" else ""
        raise UnitError(f"{error}{left}. {_words(step.unit, began)}") from error


def _wait(systemctl: Systemctl, wanted: Wanted, began: float) -> None:
    """Returns when the unit runs, and shows it."""
    give_up = time.monotonic() + wanted.timeout
    first: Unit | None = None
    while True:
        unit = systemctl.look(wanted.name)[0]
        first = first or unit
        crashes = unit.restarts - first.restarts
        problem = _ended(unit, crashes)
        final = problem and (crashes > 1 or unit.active in _AT_REST)
        problem = problem or _not_yet(wanted, unit, began)
        if not problem:
            return
        if final or time.monotonic() >= give_up:
            after = "" if final else f" after {wanted.timeout:g} s"
            raise UnitError(f"{wanted.name} {problem}{after}. {_words(wanted.name, began or unit.started)}")
        time.sleep(_POLL)


def _ended(unit: Unit, crashes: int) -> str:
    if unit.active in (*_AT_REST, "deactivating"):
        return f"does not run: it is {unit.active} ({unit.result})"
    if crashes > 1 or (unit.active == "activating" and not unit.is_coming):
        how = "" if unit.result == "success" else f" ({unit.result})"
        return f"does not stay up: it ended{how}, and systemd goes on trying"
    return ""


def _not_yet(wanted: Wanted, unit: Unit, began: float) -> str:
    """What a unit that runs has yet to show."""
    if not unit.is_up:
        return "is still starting"
    silent = [address for address in wanted.listens if not process.listens(address, unit.pid)]
    if silent:
        return f"runs and does not listen on {', '.join(silent)}"
    if not wanted.listens and unit.kind in _MUTE and time.time() - unit.entered < _HOLD:
        return "has only just started"
    if began and wanted.renews and process.newest_child(unit.pid) < began - _TICKS:
        return "was reloaded and goes on with what it had read before"
    if began and wanted.ready:
        ended = subprocess.run(wanted.ready, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = (ended.stderr or ended.stdout).strip() or f"exit status {ended.returncode}"
            return f"runs and is not ready ({' '.join(wanted.ready)}: {said})"
    return ""


def _words(unit: str, since: float) -> str:
    told = last_words(unit, since=since - 1)
    return f"Its journal ends: {' / '.join(told)}" if told else f"Its journal may say why: journalctl -u {unit}"
