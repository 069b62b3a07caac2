"""Units on a systemd that the test plays: what is done to them, and what is said of those that do not stay up."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import process, systemd
from ansible_collections.slipway.ops.plugins.module_utils.host import unit as module
from ansible_collections.slipway.ops.plugins.module_utils.host.unit import UnitError, Wanted, settle

NAME = "some.service"
NOW = time.time()
BEFORE, AFTER = NOW - 1000, NOW + 1000
"""Moments before and after the tests' files were written."""


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%a %Y-%m-%d %H:%M:%S.%f UTC") if seconds else ""


class Host:
    """Units by name, in systemctl's properties, and what a verb makes of them; each look takes a moment."""

    def __init__(self, units: Path) -> None:
        self.directory = units
        self.units: dict[str, dict[str, Any]] = {}
        self.done: list[str] = []
        self.journal: list[str] = []
        self.refused: dict[str, str] = {}
        self.on_look: Callable[[dict[str, Any]], None] = lambda unit: None

    def has(self, name: str = NAME, started: float = AFTER, **properties: Any) -> dict[str, Any]:
        """A unit that runs, well, and began at that moment."""
        self.units[name] = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "UnitFileState": "enabled",
            "Type": "notify",
            "Result": "success",
            "ReloadResult": "success",
            "NRestarts": 0,
            "MainPID": 42,
            "NeedDaemonReload": "no",
            "InactiveExitTimestamp": started,
            "ActiveEnterTimestamp": started,
            "StateChangeTimestamp": started,
            **properties,
        }
        return self.units[name]

    def run(self, argv: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        program, verb, *words = argv
        if program == "journalctl":
            said = [json.dumps({"SYSLOG_IDENTIFIER": "some", "MESSAGE": line}) for line in self.journal]
            return subprocess.CompletedProcess(argv, 0, "\n".join(said), "")
        if program != "systemctl":
            return subprocess.CompletedProcess(argv, 1, "", "not yet")
        if verb == "show":
            return subprocess.CompletedProcess(argv, 0, "\n".join(map(self._show, words[words.index("--") + 1 :])), "")
        if verb != "reset-failed":
            self.done.append(" ".join([verb, *(word for word in words if word != "--quiet")]))
        if verb in self.refused:
            return subprocess.CompletedProcess(argv, 1, "", self.refused[verb])
        self._take(verb, words[-1] if words else "")
        return subprocess.CompletedProcess(argv, 0, "", "")

    def _show(self, name: str) -> str:
        unit = self.units.get(name, {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"})
        self.on_look(unit)
        return "".join(
            f"{key}={moment(value) if key.endswith('Timestamp') else value}\n" for key, value in unit.items()
        )

    def _take(self, verb: str, name: str) -> None:
        unit = self.units.get(name, {})
        if verb in ("enable", "disable"):
            unit["UnitFileState"] = f"{verb}d"
        elif verb == "restart":
            unit |= {"ActiveState": "active", "SubState": "running", "InactiveExitTimestamp": AFTER}
            unit["StateChangeTimestamp"] = AFTER
        elif verb == "reload":
            unit["StateChangeTimestamp"] = AFTER
        elif verb == "stop":
            unit["ActiveState"] = "inactive"
        elif verb == "daemon-reload":
            for each in self.units.values():
                each["NeedDaemonReload"] = "no"


@pytest.fixture
def host(tmp_path, monkeypatch) -> Host:
    played = Host(tmp_path / "units")
    played.directory.mkdir()
    monkeypatch.setattr(systemd, "UNITS", played.directory)
    monkeypatch.setattr(module, "UNITS", played.directory)
    monkeypatch.setattr(subprocess, "run", played.run)
    ticks = itertools.count(time.monotonic(), 0.1)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return played


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "some.conf"
    path.touch()
    return str(path)


def actions(*wanted: Wanted, **options: Any) -> list[str]:
    return [step.describe() for step in settle(wanted, **options).steps]


def test_one_that_runs_with_the_files_that_there_are_is_left_alone(host, file):
    host.has()
    assert actions(Wanted(NAME, restart_for=[file], reload_for=[file])) == []
    assert host.done == []


def test_one_that_is_older_than_what_it_reads_is_restarted(host, file):
    host.has(started=BEFORE)
    assert actions(Wanted(NAME, restart_for=[file])) == [f"restarted {NAME} ({file} is newer)"]
    assert actions(Wanted(NAME, restart_for=[file])) == []
    assert host.done == [f"restart {NAME}"]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.d/slipway.conf"])
def test_its_own_unit_file_and_drop_ins_are_among_what_it_reads(host, name):
    own = host.directory / name
    own.parent.mkdir(exist_ok=True)
    own.touch()
    host.has(started=BEFORE, FragmentPath=own, DropInPaths=own, NeedDaemonReload="yes")
    assert actions(Wanted(NAME)) == [f"restarted {NAME} ({own} is newer)"]
    assert host.done == ["daemon-reload", f"restart {NAME}"]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.d/slipway.conf"])
def test_one_that_was_started_before_systemd_knew_a_file_is_restarted_whatever_the_times(host, name):
    """Something else restarted it after the file was written, by what systemd had read before."""
    own = host.directory / name
    own.parent.mkdir(exist_ok=True)
    own.touch()
    host.has(started=AFTER, FragmentPath=f"/usr/lib/systemd/system/{NAME}")
    assert actions(Wanted(NAME)) == [f"restarted {NAME} (it was started without {own})"]
    assert host.done == ["daemon-reload", f"restart {NAME}"]


def test_a_timers_service_is_read_again_though_it_does_not_run(host):
    host.has("some.timer", Triggers=NAME)
    host.has(ActiveState="inactive", NeedDaemonReload="yes")
    assert settle([Wanted("some.timer")]).reread
    assert host.done == ["daemon-reload"]


def test_what_a_reload_takes_over_reloads_and_only_a_good_reload_counts(host, file):
    unit = host.has(started=BEFORE)
    assert actions(Wanted(NAME, reload_for=[file])) == [f"reloaded {NAME} ({file} is newer)"]
    unit |= {"InactiveExitTimestamp": BEFORE, "ReloadResult": "exit-code"}
    assert actions(Wanted(NAME, reload_for=[file])) == [f"reloaded {NAME} ({file} is newer)"]


def test_a_directory_stands_for_everything_in_it(host, tmp_path):
    (tmp_path / "sites" / "deep").mkdir(parents=True)
    (tmp_path / "sites" / "deep" / "one.conf").touch()
    host.has(started=BEFORE)
    assert len(actions(Wanted(NAME, reload_for=[str(tmp_path / "sites")]))) == 1


def test_a_restart_makes_a_reload_needless_but_for_those_whose_way_to_stop_is_a_setting(host, file):
    host.has(started=BEFORE)
    assert [line.split()[0] for line in actions(Wanted(NAME, restart_for=[file], reload_for=[file]))] == ["restarted"]
    host.has(started=BEFORE)
    both = actions(Wanted(NAME, restart_for=[file], reload_for=[file], reload_first=True))
    assert [line.split()[0] for line in both] == ["reloaded", "restarted"]


def test_one_that_is_stopped_and_disabled_is_started_and_enabled(host):
    host.has(ActiveState="inactive", SubState="dead", UnitFileState="disabled")
    assert actions(Wanted(NAME)) == [f"enabled {NAME}", f"started {NAME}"]
    assert actions(Wanted(NAME, state="stopped", enabled=False)) == [f"disabled {NAME}", f"stopped {NAME}"]


@pytest.mark.parametrize("kept", ["static", "masked", "indirect", "generated"])
def test_what_cannot_be_enabled_is_left_as_it_is(host, kept):
    host.has(UnitFileState=kept)
    assert actions(Wanted(NAME)) == []


def test_what_ends_by_itself_is_run_once_for_its_files(host, file):
    wanted = Wanted(NAME, state="ran", enabled=False, restart_for=[file])
    unit = host.has(started=0, ActiveState="inactive", UnitFileState="static")
    assert actions(wanted) == [f"ran {NAME} (it has not run yet)"]
    assert actions(wanted) == []
    unit["Result"] = "exit-code"
    assert actions(wanted) == [f"ran {NAME} (its last run failed: exit-code)"]
    unit |= {"Result": "success", "InactiveExitTimestamp": BEFORE}
    assert actions(wanted) == [f"ran {NAME} ({file} is newer)"]


def test_a_unit_that_is_not_there_would_be_started_and_is_an_error(host):
    assert actions(Wanted(NAME), check_mode=True) == [f"enabled {NAME}", f"started {NAME}"]
    assert host.done == []
    with pytest.raises(UnitError, match=rf"^this host has no {NAME}: is what brings it installed\?"):
        settle([Wanted(NAME)])
    assert actions(Wanted(NAME, state="stopped", enabled=False)) == []


@pytest.mark.parametrize("changed", ["{file}", "{units}/some.service", "{units}/some.service.d/slipway.conf"])
def test_check_mode_tells_of_files_that_it_has_not_written(host, file, changed):
    host.has()
    path = changed.format(file=file, units=host.directory)
    told = actions(Wanted(NAME, restart_for=[file]), check_mode=True, changed_paths=[path, "/etc/other"])
    assert told == [f"restarted {NAME} ({path} is newer)"]
    assert actions(Wanted(NAME, restart_for=[file]), changed_paths=[path]) == []
    assert host.done == []


# --- it stays up


def test_one_that_is_started_again_and_again_is_a_failure_with_its_last_words(host):
    host.has(Type="simple", ActiveState="inactive", SubState="dead")
    host.journal = ["unknown long flag '--nosuch'"]

    def crash(unit: dict[str, Any]) -> None:
        if f"restart {NAME}" in host.done:
            unit |= {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}
            unit["NRestarts"] += 1

    host.on_look = crash
    with pytest.raises(UnitError) as raised:
        settle([Wanted(NAME)])
    assert str(raised.value) == (
        f"{NAME} does not stay up: it ended (exit-code), and systemd goes on trying."
        " Its journal ends: unknown long flag '--nosuch'"
    )


def test_one_that_was_already_failing_is_started_anew(host):
    host.has(ActiveState="activating", SubState="auto-restart", NRestarts=80)
    assert actions(Wanted(NAME)) == [f"started {NAME} (it was activating, auto-restart)"]


def test_one_that_is_caught_between_two_crashes_is_no_good_one(host):
    """Systemd calls it active; nothing had to be done to it."""
    host.has(Type="simple", started=NOW, NRestarts=7, ActiveEnterTimestamp=AFTER)

    def crash(unit: dict[str, Any]) -> None:
        unit["NRestarts"] += 1

    host.on_look = crash
    with pytest.raises(UnitError, match="does not stay up"):
        settle([Wanted(NAME)])


def test_one_that_ends_is_a_failure(host):
    host.has(ActiveState="inactive", SubState="dead")
    host.on_look = lambda unit: unit.update(ActiveState="failed", Result="signal")
    with pytest.raises(
        UnitError, match=r"^some.service does not run: it is failed \(signal\). Its journal may say why"
    ):
        settle([Wanted(NAME)])


def test_one_that_only_had_to_be_enabled_is_looked_at_too(host):
    host.has(UnitFileState="disabled")
    assert actions(Wanted(NAME)) == [f"enabled {NAME}"]
    host.has(UnitFileState="disabled", Type="simple", ActiveEnterTimestamp=AFTER)
    with pytest.raises(UnitError, match="has only just started"):
        settle([Wanted(NAME)])


def test_one_that_starts_slowly_is_waited_for_to_the_end_of_its_time(host):
    host.has(ActiveState="activating", SubState="start")
    looks = itertools.count()
    host.on_look = lambda unit: unit.update(ActiveState="active") if next(looks) > 20 else None
    assert actions(Wanted(NAME)) == []
    host.has(ActiveState="activating", SubState="start")
    host.on_look = lambda unit: None
    with pytest.raises(UnitError, match=r"^some.service is still starting after 5 s"):
        settle([Wanted(NAME, timeout=5)])


def test_one_that_cannot_tell_that_it_is_ready_has_to_run_a_moment(host):
    unit = host.has(Type="simple", ActiveEnterTimestamp=AFTER)
    looks = itertools.count()
    host.on_look = lambda shown: unit.update(ActiveEnterTimestamp=BEFORE) if next(looks) > 5 else None
    assert actions(Wanted(NAME)) == []
    assert next(looks) > 6


def test_one_that_does_not_listen_is_a_failure(host, monkeypatch):
    host.has(Type="simple")
    monkeypatch.setattr(process, "listens", lambda address, pid: (address, pid) == ("127.0.0.1:80", 42))
    assert actions(Wanted(NAME, listens=["127.0.0.1:80"])) == []
    with pytest.raises(UnitError, match=r"runs and does not listen on \[::1\]:81 after 5 s"):
        settle([Wanted(NAME, listens=["127.0.0.1:80", "[::1]:81"], timeout=5)])


def test_one_that_was_touched_must_be_ready_and_another_is_not_asked(host, file):
    wanted = Wanted(NAME, reload_for=[file], ready=["ask", "it"], timeout=5)
    host.has()
    assert actions(wanted) == []
    host.has(started=BEFORE)
    with pytest.raises(UnitError, match=r"runs and is not ready \(ask it: not yet\) after 5 s"):
        settle([wanted])


def test_a_reload_by_signal_is_taken_when_there_is_a_new_child(host, file, monkeypatch):
    host.has(started=BEFORE)
    children = iter([BEFORE, BEFORE, AFTER])
    monkeypatch.setattr(process, "newest_child", lambda pid: next(children))
    assert actions(Wanted(NAME, reload_for=[file], renews=True)) == [f"reloaded {NAME} ({file} is newer)"]
    monkeypatch.setattr(process, "newest_child", lambda pid: BEFORE)
    with pytest.raises(UnitError, match="was reloaded and goes on with what it had read before after 5 s"):
        settle([Wanted(NAME, reload_for=[file], renews=True, timeout=5)])


def test_what_systemctl_refuses_comes_with_the_journal(host, file):
    host.has(started=BEFORE)
    host.refused, host.journal = {"reload": "Job failed."}, ["bad line 3"]
    with pytest.raises(UnitError) as raised:
        settle([Wanted(NAME, reload_for=[file])])
    assert str(raised.value) == (
        f"systemctl reload {NAME} failed: Job failed.; it goes on with what it had read before."
        " Its journal ends: bad line 3"
    )


def test_the_first_is_well_before_the_second_is_touched(host):
    host.has(ActiveState="inactive")
    host.has("other.service", ActiveState="inactive")
    host.refused = {"restart": "no"}
    with pytest.raises(UnitError):
        settle([Wanted(NAME), Wanted("other.service")])
    assert host.done == [f"restart {NAME}"]
