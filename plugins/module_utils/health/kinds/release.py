# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""release: what runs of a service on an app host is what its history says is live, and the way back is warm.

The live version and its colour are those of the last release that the host's history records; what the other colour
runs serves nobody and counts for nothing, but for a rollback.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.health.containers import (
    SOCKET,
    Described,
    Engine,
    label_of,
    name_of,
    published,
    state_of,
    trouble_of,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient, Request
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    absolute_path,
    choice,
    integer,
    option,
    text,
)
from ansible_collections.slipway.ops.plugins.module_utils.release import history
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLD, STRATEGIES

_STATEMENTS = {
    "live": "{} has its healthy instances",
    "workers": "The workers of {} run, and none of another release",
    "warm": "A rollback of {} would be a switch",
    "bake": "No bake has rolled {} back",
}


@dataclass(frozen=True)
class Recorded:
    """A release that the history knows: its version and the colour that it ran in last."""

    version: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Release(Check):
    KIND = "release"
    AREA = "application"

    service: str = option(text)
    part: str = option(choice(*_STATEMENTS), "live")
    instances: int = option(integer(1, 1000), 1)
    strategy: str = option(choice(*STRATEGIES), "blue_green")
    ready: str | None = option(text, None)
    root: str = option(absolute_path, "/srv/slipway")
    socket: str = option(absolute_path, SOCKET)

    @property
    def aspect(self) -> str:
        return f"{self.service}-{self.part}"

    @property
    def statement(self) -> str:
        return _STATEMENTS[self.part].format(self.service)

    async def measure(self, client: HttpClient) -> list[Finding]:
        if self.part == "bake":
            return [self.baked()]
        live, earlier = recorded(history.read(Path(self.root) / self.service / "history.jsonl"))
        if live is None:
            raise CheckFailed(f"no release of {self.service} ever went live on this host; deploy.yml releases one")
        found = await Engine(client, self.socket).containers({"slipway.service": self.service})
        if self.part == "workers":
            return [self._workers(live, found)]
        if self.part == "live":
            return [await self._instances(client, live, found)]
        return [await self._warm(client, live, earlier, found)]

    def baked(self) -> Finding:
        """Whether what is live is what was released last, or what its hosts went back to by themselves."""
        told = history.taken_back(history.read(Path(self.root) / self.service / "history.jsonl"))
        return Finding("fail", reason=told) if told else Finding("pass")

    async def _instances(self, client: HttpClient, wanted: Recorded, found: Sequence[Described]) -> Finding:
        """Whether enough of a release's instances are healthy and ready."""
        ours = [one for one in found if _is(one, "instance", wanted)]
        told = [trouble_of(one) or await self._unready(client, one) for one in ours]
        troubles = [trouble for trouble in told if trouble]
        what = f"the count of healthy instances of {self.service} {wanted.version} ({wanted.colour})"
        why = f" ({'; '.join(troubles)})" if troubles else ""
        return within(Limit(">=", self.instances, "1"), len(ours) - len(troubles), "1", what + why)

    async def _unready(self, client: HttpClient, container: Described) -> str | None:
        """What a healthy instance says when it is asked whether it is ready; None when it is, or nobody asks."""
        place = published(container)
        if self.ready is None or place is None:
            return None
        try:
            answer = await client.fetch(Request(place + self.ready))
        except CheckFailed as error:
            return f"{name_of(container)} is {state_of(container)}, but {self.ready} gives no answer: {error}"
        if 200 <= answer.status < 300:
            return None
        said = " ".join(answer.text.split())[:120]
        return f"{name_of(container)} is {state_of(container)}, but answers {self.ready} with {answer.status}: {said}"

    async def _warm(
        self, client: HttpClient, live: Recorded, earlier: Recorded | None, found: Sequence[Described]
    ) -> Finding:
        if self.strategy in COLD:
            return Finding("skip", reason=f"strategy {self.strategy} keeps no release warm; a rollback starts it")
        if earlier is None:
            return Finding("skip", reason=f"the history of {self.service} has no release before {live.version}")
        warm = Recorded(earlier.version, "green" if live.colour == "blue" else "blue")
        finding = await self._instances(client, warm, found)
        if finding.verdict == "pass":
            return finding
        why = f"a rollback to {warm.version} would have to start it first: {finding.reason}"
        return Finding("fail", finding.measured, finding.unit, finding.limit, why)

    def _workers(self, live: Recorded, found: Sequence[Described]) -> Finding:
        """Whether every worker of the live release runs, and none of another does."""
        workers = {name_of(one): one for one in found if label_of(one, "slipway.role") == "worker"}
        wanted = [f"{self.service}-{live.colour}-{name}" for name in self._named(live)]
        troubles = []
        for name in wanted:
            worker = workers.pop(name, None)
            trouble = trouble_of(worker) if worker else f"{name} is not there; deploy.yml starts it"
            troubles += [trouble] if trouble else []
        # A worker that was stopped in its turn waits for a rollback.
        left = [f"{name} of another release is {state_of(one)}" for name, one in workers.items() if _runs(one)]
        running = len(wanted) - len(troubles)
        reason = "; ".join(troubles + [f"{words}; stop it: docker stop {words.split()[0]}" for words in left])
        return Finding("fail" if reason else "pass", running, "1", f">= {len(wanted)}", reason or None)

    def _named(self, release: Recorded) -> list[str]:
        """The workers that a release came with."""
        place = Path(self.root) / self.service / "releases" / release.version / release.colour / "release.json"
        try:
            return list(json.loads(place.read_text(encoding="utf-8")).get("workers", []))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise CheckFailed(f"{place} cannot be read ({error}); release {release.version} again") from error


def recorded(events: Sequence[history.Event]) -> tuple[Recorded | None, Recorded | None]:
    """The release that is live by its history, and the one that a rollback would go to."""
    stack = history.live_versions(events)
    if not stack:
        return None, None
    earlier = history.before(stack, stack[-1])
    return _latest(events, stack[-1]), _latest(events, earlier[-1]) if earlier else None


def _latest(events: Sequence[history.Event], version: str) -> Recorded:
    colours: list[Any] = [
        event.get("colour", "")
        for event in events
        if event["event"] in history.LIVE_EVENTS and str(event["version"]) == version
    ]
    return Recorded(version, str(colours[-1]))


def _is(container: Described, role: str, release: Recorded) -> bool:
    wanted = {"role": role, "colour": release.colour, "version": release.version}
    return all(label_of(container, f"slipway.{name}") == value for name, value in wanted.items())


def _runs(container: Described) -> bool:
    return container["State"].get("Status") in ("running", "restarting", "paused")
