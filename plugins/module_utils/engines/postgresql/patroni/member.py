# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""This host's member: started, told of changed files by a reload, and never restarted under a live server.

Everything is decided from what Patroni and systemd say, so a run that was killed is finished by the next one.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import (
    PatroniError,
    settings,
    status,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import CONFIGURATION, Client
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl

UNIT = "patroni.service"
LOADED = Path("/var/lib/slipway/patroni/loaded")
_POLL = 0.5
_CONFIGURED = 60.0
"""Seconds; a loop is 10 at most."""
_systemctl = Systemctl(PatroniError)
_BAD = re.compile("ERROR|CRITICAL|FATAL|PANIC|could not|Traceback|Error:|mismatch")


@dataclass
class Outcome:
    """What was done and what an operator should hear, a sentence each; ``role`` is leader or replica."""

    actions: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    role: str = ""


@dataclass(frozen=True)
class Wanted:
    """``dynamic`` is what all members share, None where another member's run sees to it; ``sources`` are files that a
    reload takes over; ``rival`` is the unit that would run the same server without Patroni; ``timeout`` is seconds."""

    dynamic: Mapping[str, Any] | None
    sources: Sequence[str] = ()
    rival: str = ""
    timeout: float = 300.0


def settle(wanted: Wanted, check_mode: bool) -> Outcome:
    """Brings this member, and what all share, to what is wanted."""
    outcome = Outcome()
    _refuse_rival(wanted.rival)
    if not check_mode:
        _systemctl.refresh(UNIT)
    if _unit()["ActiveState"] not in ("active", "reloading", "activating"):
        outcome.actions.append(f"started {UNIT}")
        if check_mode:
            return outcome
        _systemctl("enable", "--quiet", UNIT)
        _systemctl("start", UNIT)
    client = _answering(wanted.timeout)
    if _is_stale(wanted.sources):
        outcome.actions.append(f"reloaded {UNIT}")
        if not check_mode:
            _reload()
    member = _joined(client, wanted.timeout)
    outcome.role = "leader" if member.leads else "replica"
    if wanted.dynamic is not None:
        outcome.actions += _share(client, wanted.dynamic, check_mode)
    if outcome.actions and not check_mode:
        _give_time(client)
    told = None if wanted.dynamic is not None else [member.name] if outcome.actions else []
    outcome.pending, outcome.notices = _after(client, member.name, told)
    return outcome


def _refuse_rival(rival: str) -> None:
    if rival and _systemctl("show", "--property=ActiveState", "--value", rival).strip() in ("active", "activating"):
        raise PatroniError(
            f"{rival} runs the server by itself. To put it behind Patroni stop it on all members (systemctl disable"
            f" --now {rival}) and run again, the one with the data first; nothing was changed"
        )


def _answering(timeout: float) -> Client:
    """The REST API comes up before anything else does; a reload before that would end Patroni."""
    give_up = time.monotonic() + timeout
    while True:
        try:
            client = Client.of_this_host()
            client.ask("/liveness")
            return client
        except PatroniError as error:
            if time.monotonic() >= give_up:
                raise PatroniError(f"{UNIT} did not answer within {timeout:g} s ({error}): {_last_words()}") from error
            time.sleep(_POLL)


def _joined(client: Client, timeout: float) -> status.Member:
    """This member, once it leads or streams. Copying a large database takes what it takes."""
    give_up = time.monotonic() + timeout
    while True:
        answer = client.ask("/cluster")
        cluster = status.read(answer.body) if answer.status == 200 else status.Cluster(())
        member = cluster.member(client.name)
        if member and member.well and cluster.leader:
            return member
        if time.monotonic() >= give_up:
            state = f"{member.role} {member.state}" if member else "not in the cluster"
            raise PatroniError(
                f"{client.name} is {state} after {timeout:g} s and goes on trying: {_last_words()}. When it is copying"
                " a large database, wait and run again"
            )
        time.sleep(_POLL)


def _configuration(client: Client) -> Mapping[str, Any]:
    """What all members share. Who found data and did not make it leads for a loop before it writes that."""
    give_up = time.monotonic() + _CONFIGURED
    while (answer := client.ask("/config")).status != 200:
        if time.monotonic() >= give_up:
            raise PatroniError(f"the cluster has no configuration (status {answer.status}); look at {UNIT}")
        time.sleep(_POLL)
    body: Mapping[str, Any] = answer.body
    return body


def _share(client: Client, wanted: Mapping[str, Any], check_mode: bool) -> list[str]:
    """Changes what all members share, in etcd."""
    current = _configuration(client)
    changes = settings.patch(current, wanted)
    if changes and not check_mode:
        answer = client.send("PATCH", "/config", changes)
        if answer.status != 200:
            raise PatroniError(f"Patroni refused {', '.join(settings.told(changes))}: {answer.status} {answer.body}")
    return [f"changed for all members: {', '.join(settings.told(changes))}"] if changes else []


def _give_time(client: Client) -> None:
    """Members read what has changed once in each of their loops, and tell of it in the same."""
    told = client.ask("/config").body  # a new cluster has yet to write it
    time.sleep(int(told.get("loop_wait", 10) if isinstance(told, Mapping) else 10) + 2)


def _after(client: Client, name: str, told: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """This member's settings that wait for a restart, and what an operator should know of the told members, or all.

    One member's run tells of all, so that an operator reads it once.
    """
    cluster = status.read(client.ask("/cluster").body)
    notices = []
    if cluster.paused:
        notices.append("Patroni is paused: nobody takes over when the leader fails; patronictl resume")
    waiting = [member for member in cluster.members if member.restart and (told is None or member.name in told)]
    if waiting:
        names = ", ".join(sorted({name for member in waiting for name in member.pending})) or "a setting"
        notices.append(
            f"on {', '.join(member.name for member in waiting)} only a restart applies {names}: switchover.yml"
            " -e restart=true restarts replicas, switches over, and restarts the former leader"
        )
    member = cluster.member(name)
    return list(member.pending) if member else [], notices


def started() -> float:
    """When Patroni was started, seconds since the epoch; 0 when it does not run."""
    moment = _unit()["ExecMainStartTimestamp"]
    return float(_run(["date", "+%s", f"--date={moment}"]).stdout) if moment else 0.0


def _is_stale(sources: Sequence[str]) -> bool:
    """Whether a file is newer than what Patroni has read, at its start or at the last reload."""
    read = max(started() + 1, LOADED.stat().st_mtime if LOADED.exists() else 0.0)
    files = [path for path in map(Path, (CONFIGURATION, *sources)) if path.exists()]
    return any(max(file.stat().st_mtime, file.stat().st_ctime) > read for file in files)


def _reload() -> None:
    make_directory(LOADED.parent)
    moment = time.time()
    _systemctl("reload", UNIT)
    LOADED.touch()
    os.utime(LOADED, (moment, moment))


def _unit() -> dict[str, str]:
    return _systemctl.show(UNIT, "ActiveState", "ExecMainStartTimestamp")


def _last_words() -> str:
    """The last errors in the journal."""
    told = _run(["journalctl", "--no-pager", "--output=cat", "--lines=60", f"--unit={UNIT}"]).stdout.splitlines()
    errors = [line for line in told if _BAD.search(line)]
    return " / ".join(list(dict.fromkeys(errors or told[-2:]))[-3:]) or f"see journalctl -u {UNIT}"


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)
