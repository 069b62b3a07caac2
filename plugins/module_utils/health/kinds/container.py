# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""container: a Docker container, or as many with a label as there should be, runs, is healthy and does not loop."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.containers import (
    SOCKET,
    Described,
    Engine,
    name_of,
    state_of,
    trouble_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
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
    socket: str = option(absolute_path, SOCKET)

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
        engine = Engine(client, self.socket)
        if self.container:
            found = await engine.container(self.container)
            if found is None:
                raise CheckFailed(f"there is no container {self.container} on this host")
            return self._one(found)
        return self._many(await engine.containers(self.labels or {}))

    def _one(self, container: Described) -> list[Finding]:
        trouble = trouble_of(container, needs_health=self.health_check)
        findings = [Finding("fail" if trouble else "pass", state_of(container), reason=trouble)]
        return findings + self._restarts([container])

    def _many(self, containers: list[Described]) -> list[Finding]:
        told = [trouble_of(container, needs_health=self.health_check) for container in containers]
        troubles = [trouble for trouble in told if trouble]
        why = f" ({'; '.join(troubles)})" if troubles else ""
        healthy = len(containers) - len(troubles)
        findings = [within(self.count, healthy, "1", f"the count of healthy containers with {self._selection}{why}")]
        return findings + self._restarts(containers)

    def _restarts(self, containers: list[Described]) -> list[Finding]:
        if not self.restarts:
            return []
        return [
            within(self.restarts, one.get("RestartCount", 0), "1", f"the count of restarts of {name_of(one)}")
            for one in containers
        ]
