"""A change that nobody keeps leaves the host as it was: its files, and what was made of them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host.guard import Change, Guard, GuardError

LATER = 3600


class Host:
    """Its programs: what is applied is copied, timers are noted and never end by themselves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wanted, self.live, self.effect = root / "wanted", root / "etc" / "live it", root / "effect"
        for name in ("bin", "etc", "units"):
            (root / name).mkdir()
        self.program("systemctl", "exit 0")
        self.program("systemd-run", f'echo "$@" > {root}/armed')
        self.program("apply", f'grep -q refused "{self.live}" && {{ echo bad line >&2; exit 1; }}\n{self.load}')
        self.program("withdraw", f"rm -f {self.effect}")
        self.guard = Guard("door", root / "guard", root / "units")
        files, loaded = ((self.wanted, self.live),), ("cat", str(self.effect))
        self.change = Change("door", files, ("apply",), ("withdraw",), loaded)

    @property
    def load(self) -> str:
        return f'cp "{self.live}" {self.effect}'

    def program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def want(self, text: str) -> None:
        self.wanted.write_text(text)

    def begin(self, text: str) -> str:
        """Gives the word by which it can be kept."""
        self.want(text)
        self.guard.begin(self.change, LATER, text)
        return text

    def keep(self, text: str) -> None:
        assert self.guard.keep(self.change, self.begin(text))

    def timer_runs_out(self, *words: str) -> None:
        undo = self.guard.trial / "undo"
        subprocess.run(["sh", str(undo), *words], check=True) if undo.exists() else None

    @property
    def state(self) -> tuple[str | None, str | None]:
        return tuple(path.read_text() if path.exists() else None for path in (self.live, self.effect))  # type: ignore[return-value]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    return Host(tmp_path)


def test_a_change_that_is_kept_stays_and_leaves_no_trial(host: Host) -> None:
    host.keep("one")
    host.timer_runs_out()
    assert host.state == ("one", "one")
    assert host.guard.differences(host.change) == []
    assert [path for path in host.guard.boot_files if path.is_symlink() or path.exists()] == []


def test_the_timer_is_armed_before_anything_is_changed(host: Host) -> None:
    host.keep("one")
    host.program("systemd-run", "echo no bus >&2; exit 1")
    with pytest.raises(GuardError, match=r"nothing was changed, because nothing would take it back: .*no bus"):
        host.begin("two")
    assert host.state == ("one", "one")
    assert host.guard.differences(host.change) == [f"{host.live} is not as wanted"]


def test_a_change_that_nobody_keeps_is_taken_back(host: Host) -> None:
    host.keep("one")
    attempt = host.begin("two")
    assert host.state == ("two", "two")
    host.timer_runs_out()
    assert host.state == ("one", "one")
    assert not host.guard.keep(host.change, attempt)
    assert host.guard.taken_back_at(attempt)
    assert host.guard.taken_back_at("another") == ""
    host.keep("three")
    assert host.guard.taken_back_at(attempt) == "" and not host.guard.mark.exists()


def test_before_the_first_change_there_was_nothing(host: Host) -> None:
    host.begin("one")
    host.timer_runs_out()
    assert host.state == (None, None)


def test_a_host_that_went_down_comes_up_with_the_former_files(host: Host) -> None:
    host.keep("one")
    host.begin("two")
    unit, wanted_by = host.guard.boot_files
    command = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    assert wanted_by.resolve() == unit
    subprocess.run(command.removeprefix("ExecStart=").split(), check=True)
    assert host.state == ("one", "two")  # what reads the file does so later
    assert not host.guard.trial.exists() and not unit.exists() and not wanted_by.is_symlink()


def test_a_change_that_cannot_be_applied_is_taken_back_at_once(host: Host) -> None:
    host.keep("one")
    with pytest.raises(GuardError, match=r"apply ended with status 1: bad line. What was there before is in effect"):
        host.begin("refused")
    assert host.state == ("one", "one")
    assert not host.guard.trial.exists()


def test_what_the_new_files_are_asked_the_former_ones_are_not(host: Host) -> None:
    host.keep("one")
    asked = replace(host.change, check=("grep", "-q", "two", str(host.live)))
    host.want("two")
    host.guard.begin(asked, LATER, "second")
    host.timer_runs_out()
    assert host.state == ("one", "one") and host.guard.taken_back_at("second") and not host.guard.trial.exists()
    host.want("three")
    (host.root / "effect").write_text("as it runs")
    with pytest.raises(GuardError, match=r"grep .* ended with status 1.*What was there before is in effect again"):
        host.guard.begin(asked, LATER, "third")
    assert host.state == ("one", "as it runs") and not host.guard.trial.exists(), "what nobody has read is not applied"


def test_former_files_that_cannot_be_put_back_yet_are_put_back_later(host: Host) -> None:
    host.keep("one")
    host.begin("two")
    host.program("cp", "echo No space left on device >&2; exit 1")
    with pytest.raises(subprocess.CalledProcessError):
        host.timer_runs_out()
    assert host.state == ("two", "two") and host.guard.trial.exists() and not host.guard.mark.exists()
    assert host.guard.boot_files[0].exists() and "Restart=on-failure" in (host.root / "armed").read_text()
    (host.root / "bin" / "cp").unlink()
    host.timer_runs_out()
    assert host.state == ("one", "one") and host.guard.taken_back_at("two")


def test_a_trial_that_a_killed_run_left_ends_with_the_next_one(host: Host) -> None:
    host.keep("one")
    first = host.begin("two")
    assert host.guard.differences(host.change) == ["a change of door is on trial that nobody has kept"]
    second = host.begin("three")
    assert not host.guard.keep(host.change, first)
    host.timer_runs_out()
    assert host.state == ("one", "one")  # and not what was on trial
    assert not host.guard.keep(host.change, second)


def test_what_somebody_else_loaded_is_a_difference(host: Host) -> None:
    host.keep("one")
    host.effect.write_text("somebody's")
    assert host.guard.differences(host.change) == [f"what is loaded is not what was kept (cat {host.effect})"]
    host.keep("one")
    assert host.state == ("one", "one")


def test_owner_and_mode_are_part_of_it(host: Host) -> None:
    host.keep("one")
    host.wanted.chmod(0o600)
    assert host.guard.differences(host.change) == [f"{host.live} is not as wanted"]
    host.keep("one")
    assert host.live.stat().st_mode & 0o777 == 0o600
