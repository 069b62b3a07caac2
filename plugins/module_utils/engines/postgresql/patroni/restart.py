# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Members that run older programs or settings than they have: restarted as replicas, never as the leader."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.member import UNIT, settle, started
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.member import Wanted as Member
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.switch import (
    Wanted,
    wait_until_whole,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl

DROP_IN = Path("/etc/systemd/system/patroni.service.d/slipway.conf")


@dataclass(frozen=True)
class Installed:
    """Versions as the programs on the disk tell them: the server's as a number (170006), Patroni's as a text."""

    server: int
    patroni: str


def reasons(told: Mapping[str, Any], installed: Installed, unit_is_newer: bool) -> list[str]:
    """Why a member needs a restart, from what its `/patroni` tells."""
    found = []
    if told.get("server_version") not in (None, installed.server):
        found.append(
            f"PostgreSQL {_version(int(told['server_version']))} runs, {_version(installed.server)} is installed"
        )
    running = (told.get("patroni") or {}).get("version", installed.patroni)
    if running != installed.patroni:
        found.append(f"Patroni {running} runs, {installed.patroni} is installed")
    if told.get("pending_restart"):
        names = ", ".join(sorted(told.get("pending_restart_reason") or {}))
        found.append(f"settings wait for it{': ' + names if names else ''}")
    if unit_is_newer:
        found.append("its unit has changed")
    return found


def needed(client: Client) -> tuple[bool, list[str]]:
    """Whether this member leads, and why it needs a restart."""
    told = client.ask("/patroni").body
    if not isinstance(told, Mapping) or "role" not in told:
        raise PatroniError(f"{client.name} does not tell how it is: {told}")
    newer = DROP_IN.exists() and DROP_IN.stat().st_ctime > started() + 1
    return told["role"] in ("primary", "master", "leader"), reasons(told, _installed(client), newer)


def restart(client: Client, wanted: Wanted) -> None:
    """Restarts this replica, and waits until the cluster is whole again."""
    found = wait_until_whole(client, wanted)
    if found:
        raise PatroniError(f"{'; '.join(found)}. {client.name} was not restarted: the others must do without it")
    Systemctl(PatroniError)("restart", UNIT)
    settle(Member(None, timeout=wanted.timeout), check_mode=False)
    found = wait_until_whole(client, wanted)
    if found:
        raise PatroniError(f"after the restart of {client.name}: {'; '.join(found)}")


def server_version(text: str) -> int:
    """170006 of `postgres (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)`."""
    found = re.search(r"(\d+)\.(\d+)", text)
    if not found:
        raise PatroniError(f"postgres --version said {text.strip()!r}")
    return int(found[1]) * 10000 + int(found[2])


def _installed(client: Client) -> Installed:
    server = _told(f"{client.programs}/postgres", "--version")
    return Installed(server_version(server), _told("/usr/bin/patroni", "--version").split()[-1])


def _version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"


def _told(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
