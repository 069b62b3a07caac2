# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A planned switch from one leader to another: looked at beforehand, measured, and waited for to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError, status
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client

LIMIT = 20.0
"""Seconds that a planned switch may leave clients without a leader."""
_LOOK = 0.05
_POLL = 0.5
_ANSWER = 90.0


@dataclass(frozen=True)
class Wanted:
    """``candidate`` is empty for the best; ``members`` are those that must be there; ``maximum_lag`` is bytes, and
    ``timeout`` the seconds in which the cluster must be whole again afterwards. Without ``follow`` nobody waits for
    that: `followed` does then."""

    candidate: str = ""
    members: Sequence[str] = ()
    maximum_lag: int = 1 << 20
    timeout: float = 120.0
    follow: bool = True


@dataclass
class Switched:
    """``gap`` is the seconds in which no member answered as the leader, None when nothing was switched; ``problems``
    are those of a cluster that was waited for, ``followed``."""

    former: str
    leader: str
    gap: float | None = None
    problems: list[str] = field(default_factory=list)
    followed: bool = False
    at: str = field(default_factory=timestamp)
    took: float = 0.0

    def results(self, scope: str, source: str) -> list[Result]:
        """As evidence; nothing when nothing was switched."""
        shared = {"area": "data", "subject": scope, "at": self.at, "took": self.took, "source": source}
        found = [self._result(scope, shared)] if self.followed else []
        return found if self.gap is None else [*found, self._gap(self.gap, shared)]

    def _result(self, scope: str, shared: Mapping[str, Any]) -> Result:
        return Result(
            id="data.switchover.postgresql.result",
            claim=f"The leader of {scope} was switched from {self.former} to {self.leader} and all members follow",
            verdict="fail" if self.problems else "pass",
            measured=self.leader,
            reason="; ".join(self.problems) or None,
            **shared,
        )

    def _gap(self, gap: float, shared: Mapping[str, Any]) -> Result:
        late = gap >= LIMIT
        return Result(
            id="data.switchover.postgresql.gap",
            claim="A planned switch of the leader leaves clients without one for less than a failover would",
            verdict="fail" if late else "pass",
            measured=gap,
            unit="s",
            limit=f"< {LIMIT:g}",
            reason=f"nobody led for {gap:g} s; look at how long the former leader's checkpoint took" if late else None,
            **shared,
        )


def look(client: Client) -> status.Cluster:
    """The cluster as this host's member sees it."""
    answer = client.ask("/cluster")
    if answer.status != 200 or not isinstance(answer.body, Mapping):
        raise PatroniError(f"Patroni does not tell of its cluster: {answer.status} {answer.body}")
    return status.read(answer.body)


def plan(cluster: status.Cluster, wanted: Wanted, synchronous: bool) -> str:
    """Who is to lead; PatroniError where that is not safe now. The name of the leader where it leads already."""
    found = status.problems(cluster, wanted.members, wanted.maximum_lag)
    if cluster.paused:
        found.append("Patroni is paused; patronictl resume")
    if found:
        raise PatroniError(f"{'; '.join(found)}. Nothing was switched")
    leader = cluster.leader
    if leader is None:  # one leads, as looked at above
        raise PatroniError("nobody leads")
    if wanted.candidate:
        _check(cluster, wanted.candidate, leader.name, synchronous)
        return wanted.candidate
    return best(cluster, synchronous)


def _check(cluster: status.Cluster, name: str, leader: str, synchronous: bool) -> None:
    candidate = cluster.member(name)
    if candidate is None:
        known = ", ".join(member.name for member in cluster.members)
        raise PatroniError(f"{name} is not in the cluster, which has {known}. Nothing was switched")
    if synchronous and name != leader and not candidate.synchronous:
        able = ", ".join(member.name for member in cluster.replicas if member.synchronous)
        raise PatroniError(f"{name} is not synchronous, and may lack rows; {able} may lead. Nothing was switched")


def best(cluster: status.Cluster, synchronous: bool) -> str:
    """The synchronous replica where there is one, else the one that is the least behind."""
    able = [member for member in cluster.replicas if member.synchronous or not synchronous]
    if not able:
        raise PatroniError("no replica is synchronous, so none has everything. Nothing was switched")
    return min(able, key=lambda member: (member.lag or 0, member.name)).name


def switch(client: Client, wanted: Wanted, check_mode: bool = False) -> Switched:
    """Switches, and waits until every member follows the new leader, where that is wanted."""
    cluster = look(client)
    synchronous = bool(client.ask("/config").body.get("synchronous_mode"))
    candidate = plan(cluster, wanted, synchronous)
    former = cluster.leader.name if cluster.leader else ""
    done = Switched(former, candidate)
    if candidate == former or check_mode:
        return done
    began = time.monotonic()
    watch = Watch(client, cluster.bases())
    with watch:
        answer = client.send(
            "POST",
            "/switchover",
            {"leader": former, "candidate": candidate},
            cluster.bases()[former],
            timeout=_ANSWER,
        )
        if answer.status != 200:
            raise PatroniError(f"Patroni did not switch from {former} to {candidate}: {answer.status} {answer.body}")
        watch.until_led(other_than=former, timeout=wanted.timeout)
    done.gap = watch.gap(former)
    if wanted.follow:
        done.problems, done.followed = wait_until_whole(client, wanted), True
    done.took = round(time.monotonic() - began, 3)
    return done


def followed(client: Client, wanted: Wanted, former: str) -> Switched:
    """Waits until every member follows who leads since a switch."""
    began = time.monotonic()
    problems = wait_until_whole(client, wanted)
    leader = look(client).leader
    done = Switched(former, leader.name if leader else "", problems=problems, followed=True)
    done.took = round(time.monotonic() - began, 3)
    return done


def wait_until_whole(client: Client, wanted: Wanted) -> list[str]:
    """What is still wrong with the cluster after waiting for it."""
    give_up = time.monotonic() + wanted.timeout
    while True:
        try:
            found = status.problems(look(client), wanted.members, wanted.maximum_lag)
        except PatroniError as error:
            found = [str(error)]
        if not found or time.monotonic() >= give_up:
            return found
        time.sleep(_POLL)


class Watch:
    """Asks every member all the time whether it leads. ``seen`` are the moments when one did, by member.

    Patroni calls a server that shuts down the leader for as long as it holds the lease, so the server itself is asked
    whether it lets clients in.
    """

    def __init__(self, client: Client, bases: Mapping[str, str]) -> None:
        self._client = client
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=item, daemon=True) for item in bases.items()]
        self.seen: dict[str, list[float]] = {name: [] for name in bases}

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=2)

    def _ask(self, name: str, base: str) -> None:
        while not self._over.is_set():
            try:
                moment = time.monotonic()
                answer = self._client.ask("/primary", base, timeout=1)
                if answer.status == 200 and self._client.lets_in(name):
                    self.seen[name].append(moment)
            except PatroniError:
                pass
            self._over.wait(_LOOK)

    def until_led(self, other_than: str, timeout: float) -> None:
        """Waits until another member leads."""
        give_up = time.monotonic() + timeout
        while not any(moments for name, moments in self.seen.items() if name != other_than):
            if time.monotonic() >= give_up:
                raise PatroniError(f"nobody took over from {other_than} within {timeout:g} s; look at patronictl list")
            time.sleep(_LOOK)

    def gap(self, former: str) -> float:
        """Seconds from the former leader's last answer to the next one's first."""
        after = min(moments[0] for name, moments in self.seen.items() if name != former and moments)
        before = [moment for moment in self.seen[former] if moment < after]
        return round(after - before[-1], 2) if before else 0.0
