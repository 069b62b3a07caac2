"""systemctl: what it says, and whose error it is when it refuses."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import systemd
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl


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
    ("unit", "told", "files", "reloads"),
    [
        ("some.service", "yes", [], True),
        ("some.service", "no", ["some.service.d/slipway.conf"], False),
        # Debian 12's systemd says no.
        ("some.service", "no", ["some.service.d/slipway.conf", "some.service.d/unread.conf"], True),
        ("some.service", "no", ["some.service.d/slipway.conf.bak"], False),
        # No systemd does.
        ("some.service", "no", ["some.service"], True),
        ("some@one.service", "no", ["some@.service"], True),
        ("some@one.service", "no", ["some@.service.d/slipway.conf"], True),
        ("some@one.service", "no", ["some@other.service.d/slipway.conf"], False),
    ],
)
def test_files_that_systemd_has_not_read_are_read(tmp_path, monkeypatch, unit, told, files, reloads):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    said = []

    def run(argv, **_):
        said.append(argv[1])
        shown = f"LoadState=loaded\nNeedDaemonReload={told}\nFragmentPath=/usr/lib/some.service\n"
        shown += f"DropInPaths=/usr/lib/other.conf {tmp_path}/some.service.d/slipway.conf\n"
        return subprocess.CompletedProcess(argv, 0, shown, "")

    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(systemd.subprocess, "run", run)
    assert Systemctl(OwnError).refresh(unit) == reloads
    assert said == ["show", "daemon-reload"][: 1 + reloads]


def test_the_last_words_are_the_programs_own_and_systemds_only_when_it_said_none(monkeypatch):
    told = [
        ("systemd", "Started it."),
        ("(rogram)", "No cgroup."),
        ("program", "unknown flag"),
        ("program", [98, 97, 100, 255]),
        ("systemd", "Failed."),
    ]

    def run(argv, **_):
        lines = [json.dumps({"SYSLOG_IDENTIFIER": who, "MESSAGE": what}) for who, what in told]
        return subprocess.CompletedProcess(argv, 0, "\n".join(lines), "")

    monkeypatch.setattr(systemd.subprocess, "run", run)
    assert systemd.last_words("some.service") == ["unknown flag", "bad\ufffd"]
    assert systemd.last_words("some.service", lines=1) == ["bad\ufffd"]
    told[1:4] = []
    assert systemd.last_words("some.service") == ["Started it.", "Failed."]
