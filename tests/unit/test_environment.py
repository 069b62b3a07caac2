"""A run is for one environment, and nobody changes production without having said so."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.plugin_utils.environments import (
    EnvironmentRefused,
    approved_elsewhere,
    environment_of,
    question,
)
from machine import crowding
from playbook import ROOT, SETTINGS, play

ASKS = (
    "site",
    "deploy",
    "rollback",
    "patch",
    "upgrade",
    "restore",
    "recover",
    "switchover",
    "retire",
    "notice",
    "maintenance",
    "purge",
    "attack",
    "load",
    "scale",
    "forget",
    "swarm",
)
SERVICE = {"name": "shop", "image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8100}, "edge_port": 18000}
GIVEN: dict[str, dict[str, Any]] = {
    "deploy": {"service": "shop", "version": "1.0.0"},
    "rollback": {"service": "shop"},
    "retire": {"service": "gone"},
    "restore": {"engine": "postgresql"},
    "recover": {"engine": "postgresql"},
    "load": {"service": "shop"},
    "scale": {"service": "shop", "instances": 1},
    "forget": {"host": "gone"},
    "swarm": {"service": "shop", "version": "1.0.0"},
}
# The terminal is the controlling one of a session of its own, as a person's is.
OWN_TERMINAL = """import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
MEANT = "This changes production, and nobody is here to be asked. If it is meant: -e confirm=production. Nothing was"


def inventory(place: Path, environments: dict[str, str], **variables: Any) -> Path:
    """Hosts that nobody can reach, each of an environment or of none."""
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "app_services": [SERVICE]}
    hosts = {host: {"slipway_environment": name} if name else {} for host, name in environments.items()}
    groups = ("app", "edge", "postgresql", "patroni", "backup", "swarm_managers")
    children = {group: {"hosts": dict.fromkeys(hosts)} for group in groups}
    content = {"all": {"hosts": hosts, "vars": nobody | variables, "children": children}}
    path = place / "hosts.yml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("environment", "confirm", "asked"),
    [
        ("", "production", ""),
        ("production", "", "This changes production: web1. Type production to go on: "),
        ("production", "production", ""),
        ("staging", "", ""),
        ("staging", "staging", ""),
        ("", "", ""),
    ],
)
def test_only_production_is_asked_about(environment: str, confirm: str, asked: str) -> None:
    assert question(environment, ["web1"], confirm) == asked


@pytest.mark.parametrize(
    ("environment", "confirm"), [("staging", "production"), ("production", "yes"), ("", "staging")]
)
def test_who_means_another_environment_is_stopped(environment: str, confirm: str) -> None:
    with pytest.raises(EnvironmentRefused, match=f"confirm is {confirm}, and this inventory is"):
        question(environment, ["web1"], confirm)


def test_hosts_of_two_environments_are_not_for_one_run() -> None:
    assert environment_of({"a": "dev", "b": "", "c": "dev"}) == "dev" and not environment_of({"a": ""})
    with pytest.raises(EnvironmentRefused, match=r"\(a, c: dev; b: staging\)"):
        environment_of({"a": "dev", "b": "staging", "c": "dev"})


def test_in_awx_an_approval_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWX_JOB_ID", raising=False)
    assert not approved_elsewhere({}) and approved_elsewhere({"awx_job_id": 7})
    monkeypatch.setenv("AWX_JOB_ID", "7")
    assert approved_elsewhere({})


@pytest.mark.parametrize("verb", ASKS)
def test_whatever_changes_production_asks_first_and_reaches_nobody(verb: str, tmp_path: Path) -> None:
    path = inventory(tmp_path, {"one": "production"})
    run = play(verb, path, **GIVEN.get(verb, {}))
    assert run.code != 0 and MEANT in run.said and "UNREACHABLE" not in run.output, run.output


def test_what_was_meant_goes_on(tmp_path: Path) -> None:
    def run(environments: dict[str, str], *options: str, **variables: Any) -> tuple[bool, str]:
        """Whether it went on to its second play, which reaches nobody; and what it said."""
        done = play("maintenance", inventory(tmp_path, environments), *options, **variables)
        assert "Traceback" not in done.output
        return "PLAY [Maintenance]" in done.output, done.said

    production = {"one": "production"}
    assert run(production, confirm="production")[0]
    assert run(production, "--check")[0]
    assert run(production, awx_job_id=7)[0]
    assert run({"one": "{{ 'sta' ~ 'ging' }}"})[0]
    assert run({"one": ""})[0]
    for environments, confirm, said in (
        (
            {"one": "staging"},
            "production",
            "confirm is production, and this inventory is staging. Is it the right one (-i)?",
        ),
        (
            {"one": "staging", "two": "production"},
            "production",
            "and a run is for one",
        ),
        ({"one": "{{ nosuch }}"}, "", "slipway_environment cannot be worked out"),
    ):
        went_on, told = run(environments, confirm=confirm)
        assert not went_on and said in told, told
    assert run({"one": "staging", "two": "production"}, "--limit", "one:localhost")[0]


@pytest.mark.parametrize(("typed", "goes_on"), [("production", True), ("yes", False), ("", False)])
def test_at_a_terminal_its_name_is_typed(typed: str, goes_on: bool, tmp_path: Path) -> None:
    path = inventory(tmp_path, {"one": "production"})
    ours, theirs = pty.openpty()
    argv = ["ansible-playbook", "-i", str(path), str(ROOT / "playbooks/maintenance.yml"), "-e", "maintenance=on"]
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *argv],
        cwd=ROOT,
        env=os.environ | SETTINGS,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + 60 * crowding()
    while piece := _said_next(ours, deadline):
        said += piece
        # Ansible throws away what was typed before it reads, a moment after it has asked: so it is typed until heard.
        while b"to go on: " in said and b"PLAY RECAP" not in said and not _speaks(ours):
            assert time.monotonic() < deadline, said
            os.write(ours, f"{typed}\n".encode())
    assert process.wait(60) != 0  # it reaches nobody in any case
    assert (b"production was not confirmed. Nothing was changed" in b" ".join(said.split())) != goes_on
    assert (b"PLAY [Maintenance]" in said) == goes_on


def _speaks(terminal: int) -> bool:
    return bool(select.select([terminal], [], [], 1)[0])


def _said_next(terminal: int, deadline: float) -> bytes:
    """What comes next; nothing at the end, when the other side is closed."""
    while not _speaks(terminal):
        assert time.monotonic() < deadline, "it says nothing more"
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
