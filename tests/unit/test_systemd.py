"""systemctl: what it says, and whose error it is when it refuses."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.slipway.ops.plugins.module_utils import systemd
from ansible_collections.slipway.ops.plugins.module_utils.systemd import Systemctl


class OwnError(Exception):
    """The caller's."""


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """One that knows a unit, and refuses to stop anything."""
    program = tmp_path / "systemctl"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = show ]; then printf "%s\\n" "Asked=$*" "ActiveState=active" "Description=a=b"\n'
        'else echo "Unit is in use." >&2; exit 1; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Systemctl(OwnError)


def test_a_property_that_a_unit_lacks_is_empty(systemctl):
    shown = systemctl.show("some.service", "ActiveState", "Description", "Result")
    assert shown["Asked"] == "show --property=ActiveState,Description,Result some.service"
    assert (shown["ActiveState"], shown["Description"], shown["Result"]) == ("active", "a=b", "")


def test_a_refusal_is_the_callers_error_with_systemds_words(systemctl):
    with pytest.raises(OwnError, match=r"^systemctl stop some.service failed: Unit is in use.$"):
        systemctl("stop", "some.service")


@pytest.mark.parametrize(
    ("told", "files", "reloads"),
    [
        ("yes", [], True),
        ("no", ["slipway.conf"], False),
        ("no", ["slipway.conf", "unread.conf"], True),  # Debian 12's systemd says no
        ("no", ["slipway.conf.bak"], False),
    ],
)
def test_files_that_systemd_has_not_read_are_read(tmp_path, monkeypatch, told, files, reloads):
    directory = tmp_path / "some.service.d"
    directory.mkdir()
    for name in files:
        (directory / name).touch()
    said = []

    def run(argv, **_):
        said.append(argv[1])
        shown = f"NeedDaemonReload={told}\nDropInPaths=/usr/lib/other.conf {directory}/slipway.conf\n"
        return subprocess.CompletedProcess(argv, 0, shown, "")

    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(systemd.subprocess, "run", run)
    Systemctl(OwnError).refresh("some.service")
    assert said == ["show", "daemon-reload"][: 1 + reloads]
