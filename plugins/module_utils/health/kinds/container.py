# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""container: a Docker container, or as many with a label as there should be, runs and is healthy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient, Request
from ansible_collections.slipway.ops.plugins.module_utils.health.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    absolute_path,
    flag,
    limit_in,
    option,
    text,
    text_mapping,
)


@dataclass(frozen=True, kw_only=True)
class Container(Check):
    KIND = "container"
    AREA = "application"

    container: str | None = option(text, None)
    labels: dict[str, str] | None = option(text_mapping, None)
    count: Limit = option(limit_in("1"), ">= 1")
    health_check: bool = option(flag, False)
    restarts: Limit | None = option(limit_in("1"), None)
    socket: str = option(absolute_path, "/run/docker.sock")

    def __post_init__(self) -> None:
        if (self.container is None) == (self.labels is None):
            raise ValueError("exactly one of container and labels says which containers are meant")

    @property
    def aspect(self) -> str:
        return self.container or "-".join((self.labels or {}).values())

    @property
    def statement(self) -> str:
        if self.container:
            return f"The container {self.container} runs and is healthy"
        return f"{self.count} containers with {self._selection} run and are healthy"

    @property
    def _selection(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in (self.labels or {}).items())

    async def measure(self, client: HttpClient) -> list[Finding]:
        if self.container:
            found = await self._ask(client, f"/containers/{quote(self.container, safe='')}/json")
            if found is None:
                raise CheckFailed(f"there is no container {self.container} on this host")
            return self._one(found)
        filters = quote(json.dumps({"label": [f"{name}={value}" for name, value in (self.labels or {}).items()]}))
        listed = await self._ask(client, f"/containers/json?all=true&filters={filters}") or []
        details = [await self._ask(client, f"/containers/{item['Id']}/json") for item in listed]
        return self._many([item for item in details if item is not None])

    def _one(self, container: dict[str, Any]) -> list[Finding]:
        trouble = self._trouble(container)
        state = _state(container)
        findings = [Finding("fail" if trouble else "pass", state, reason=trouble)]
        if self.restarts:
            what = f"the count of restarts of {self.container}"
            findings.append(within(self.restarts, container.get("RestartCount", 0), "1", what))
        return findings

    def _many(self, containers: list[dict[str, Any]]) -> list[Finding]:
        troubles = [trouble for trouble in map(self._trouble, containers) if trouble]
        told = f" ({'; '.join(troubles)})" if troubles else ""
        healthy = len(containers) - len(troubles)
        findings = [within(self.count, healthy, "1", f"the count of healthy containers with {self._selection}{told}")]
        if self.restarts:
            for container in containers:
                what = f"the count of restarts of {_name(container)}"
                findings.append(within(self.restarts, container.get("RestartCount", 0), "1", what))
        return findings

    def _trouble(self, container: dict[str, Any]) -> str | None:
        name, state = _name(container), _state(container)
        if state == "healthy" or (state == "running" and not self.health_check):
            return None
        if state == "running":
            return f"{name} runs but has no health check"
        status = container["State"]
        log = ((status.get("Health") or {}).get("Log") or [{}])[-1].get("Output", "").strip()
        ended = f", exit code {status.get('ExitCode')}" if state in ("exited", "dead", "restarting") else ""
        return f"{name} is {state}{ended}{': ' + log[:200] if log else ''}; see docker logs {name}"

    async def _ask(self, client: HttpClient, path: str) -> Any:
        """What the engine says about a path of its interface; None when it knows no such thing."""
        try:
            answer = await client.fetch(Request(f"http://docker{path}", socket=self.socket))
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


def _name(container: dict[str, Any]) -> str:
    return container.get("Name", "").lstrip("/") or container["Id"][:12]


def _state(container: dict[str, Any]) -> str:
    """``healthy``, ``unhealthy`` or ``starting`` for a running container with a health check, else its state."""
    status = container["State"]
    health = (status.get("Health") or {}).get("Status", "none")
    return health if status.get("Status") == "running" and health != "none" else status.get("Status", "unknown")
