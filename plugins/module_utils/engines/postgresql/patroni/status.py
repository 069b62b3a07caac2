# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a cluster is: its members as Patroni's `/cluster` tells of them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEADERS = ("leader", "standby_leader")
_WELL = ("running", "streaming")


@dataclass(frozen=True)
class Member:
    """``lag`` is bytes behind the leader, None when that is not known; ``pending`` are settings that await a
    restart."""

    name: str
    role: str
    state: str
    url: str
    lag: int | None = None
    timeline: int | None = None
    pending: tuple[str, ...] = ()
    restart: bool = False

    @property
    def leads(self) -> bool:
        return self.role in LEADERS

    @property
    def synchronous(self) -> bool:
        return self.role in ("sync_standby", "quorum_standby")

    @property
    def well(self) -> bool:
        """A leader runs, a replica streams."""
        return self.state == "running" if self.leads else self.state == "streaming"


@dataclass(frozen=True)
class Cluster:
    members: tuple[Member, ...]
    paused: bool = False

    @property
    def leader(self) -> Member | None:
        return next((member for member in self.members if member.leads), None)

    @property
    def replicas(self) -> list[Member]:
        return [member for member in self.members if not member.leads]

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)

    def bases(self) -> dict[str, str]:
        """Where each member answers, by its name."""
        return {member.name: member.url for member in self.members}


def read(told: Mapping[str, Any]) -> Cluster:
    """The cluster that `/cluster` tells of."""
    return Cluster(tuple(_member(entry) for entry in told.get("members") or []), bool(told.get("pause")))


def _member(entry: Mapping[str, Any]) -> Member:
    lag, timeline = entry.get("lag"), entry.get("timeline")
    return Member(
        name=str(entry["name"]),
        role=str(entry.get("role", "")),
        state=str(entry.get("state", "")),
        url=str(entry.get("api_url", "")).rpartition("/")[0],
        lag=lag if isinstance(lag, int) else None,
        timeline=timeline if isinstance(timeline, int) else None,
        pending=tuple(sorted(entry.get("pending_restart_reason") or {})),
        restart=bool(entry.get("pending_restart")),
    )


def problems(
    cluster: Cluster, expected: Sequence[str] = (), maximum_lag: int | None = None, synchronous: bool = False
) -> list[str]:
    """Why the cluster is not as it should be, a sentence each. ``maximum_lag`` is bytes."""
    found = []
    leaders = [member for member in cluster.members if member.leads]
    if len(leaders) != 1:
        found.append(f"{' and '.join(leader.name for leader in leaders) or 'nobody'} leads; one member must")
    for name in expected:
        if not cluster.member(name):
            found.append(f"{name} is not in the cluster; look at patroni.service there")
    for member in cluster.members:
        if not member.well:
            found.append(
                f"{member.name} ({member.role or 'member'}) is {member.state or 'silent'}, not {_wanted(member)}"
            )
        elif maximum_lag is not None and not member.leads and (member.lag is None or member.lag > maximum_lag):
            behind = "unknown" if member.lag is None else f"{member.lag} bytes"
            found.append(f"{member.name} is behind by {behind}; {maximum_lag} bytes are allowed")
    timelines = {member.timeline for member in cluster.members if member.well and member.timeline}
    if len(timelines) > 1:
        found.append(f"members are on different timelines: {', '.join(map(str, sorted(timelines)))}")
    if synchronous and not any(member.synchronous and member.well for member in cluster.members):
        found.append("no replica is synchronous, so commits are on the leader alone")
    return found


def _wanted(member: Member) -> str:
    return _WELL[0] if member.leads else _WELL[1]
