# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Containers as the Docker engine of this host tells them, and what is wrong with one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, CheckUnknown
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient, Request
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

SOCKET = "/run/docker.sock"
# A container that was restarted this often, and not for this long without it, restarts for ever.
LOOP_RESTARTS = 3
SETTLED = 600.0
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where everything is listened to)

Described = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """The engine's interface, read by the client of a run of checks."""

    client: HttpClient
    socket: str = SOCKET

    async def container(self, name: str) -> Described | None:
        """A container by its name or id; None when there is none."""
        return await self._ask(f"/containers/{quote(name, safe='')}/json")

    async def containers(self, labels: Mapping[str, str]) -> list[Described]:
        """All containers, running or not, that have every one of these labels."""
        filters = quote(json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]}))
        listed = await self._ask(f"/containers/json?all=true&filters={filters}") or []
        details = [await self.container(item["Id"]) for item in listed]
        return [item for item in details if item is not None]

    async def _ask(self, path: str) -> Any:
        try:
            answer = await self.client.fetch(Request(f"http://docker{path}", socket=self.socket))
        except CheckFailed as error:
            raise CheckUnknown(f"the Docker engine does not answer: {error}") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise CheckUnknown(f"the Docker engine answers {answer.status}: {answer.text.strip()[:200]}")
        try:
            return answer.json()
        except ValueError as error:
            raise CheckUnknown(f"{self.socket} answers no JSON, is it the Docker engine's? {error}") from error


def name_of(container: Described) -> str:
    return container.get("Name", "").lstrip("/") or container["Id"][:12]


def label_of(container: Described, name: str) -> str:
    return str((container.get("Config") or {}).get("Labels", {}).get(name, ""))


def state_of(container: Described) -> str:
    """``healthy``, ``unhealthy`` or ``starting`` for a running container with a health check, else its state."""
    status = container["State"]
    health = (status.get("Health") or {}).get("Status", "none")
    return health if status.get("Status") == "running" and health != "none" else status.get("Status", "unknown")


def trouble_of(container: Described, *, needs_health: bool = False, now: float | None = None) -> str | None:
    """What is wrong with a container, with where to look; None when it runs, is healthy and stays so."""
    name, state = name_of(container), state_of(container)
    status = container["State"]
    see = f"see docker logs {name}"
    looping = _loop(container, now)
    if looping:
        return f"{name} {looping}; {see}"
    if state == "running" and needs_health:
        return f"{name} runs but has no health check"
    if state in ("healthy", "running"):
        return None
    if state in ("exited", "dead", "restarting"):
        return f"{name} is {state}, exit code {status.get('ExitCode')}; {see}"
    probe = ((status.get("Health") or {}).get("Log") or [{}])[-1].get("Output", "").strip()
    last = " ".join(probe.splitlines()[-1].split())[:200] if probe else ""  # of a traceback the one that says why
    return f"{name} is {state}{': ' + last if last else ''}; {see}"


def published(container: Described) -> str | None:
    """Where the first published port of a container is reached from this host, as ``http://address:port``."""
    for bound in ((container.get("NetworkSettings") or {}).get("Ports") or {}).values():
        for place in bound or []:
            address = _LOOPBACK.get(place["HostIp"], place["HostIp"])
            return f"http://{join_host_port(address, int(place['HostPort']))}"
    return None


def _loop(container: Described, now: float | None) -> str | None:
    restarts, started = container.get("RestartCount", 0), _moment(container["State"].get("StartedAt", ""))
    if restarts < LOOP_RESTARTS or started is None:
        return None
    now = datetime.datetime.now(datetime.timezone.utc).timestamp() if now is None else now
    if now - started >= SETTLED:
        return None
    code = container["State"].get("ExitCode")
    last = f", exit code {code}" if container["State"].get("Status") != "running" else ""
    return f"restarts again and again: {restarts} times, the last {max(0, round(now - started))} s ago{last}"


def _moment(told: str) -> float | None:
    """Unix time of what the engine writes, such as ``2026-11-29T03:36:17.123456789Z``; None before the first start."""
    try:
        moment = datetime.datetime.strptime(told[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp() if moment.year > 1 else None
