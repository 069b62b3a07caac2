# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the swarm is, as this host sees it: ``check`` says what is wrong with it, ``service NAME`` with one service, and
``publish DIRECTORY`` writes a textfile for the node exporter, which a timer does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish
from ansible_collections.slipway.ops.plugins.module_utils.swarm import release
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError, get

FILE = "slipway_swarm.prom"


def problems(swarm: Any, nodes: Sequence[Any] | None) -> list[str]:
    """What is wrong, of what the engine says of itself and of its nodes; None for managers that do not agree."""
    if swarm["LocalNodeState"] != "active":
        return [f"this host is {swarm['LocalNodeState']} in the swarm{': ' * bool(swarm['Error'])}{swarm['Error']}"]
    if not swarm["ControlAvailable"]:
        return []
    if nodes is None:
        return ["the managers have no majority: nothing can be changed, and no task that is lost comes back"]
    ready = _ready(nodes)
    told = [f"{name} is {state}" for name, state in ready.items() if state != "ready"]
    lost = [one for one in nodes if one.get("ManagerStatus", {}).get("Reachability", "reachable") != "reachable"]
    return told + [f"{_name(one)} does not answer as a manager" for one in lost]


def service_problems(swarm: Any, name: str) -> list[str]:
    """What does not run as it was released, instances and workers, but for what is being released; a host that is no
    manager cannot say."""
    if not swarm["ControlAvailable"]:
        return [] if swarm["LocalNodeState"] == "active" else problems(swarm, [])
    try:
        if not release.services_of(name):
            return [f"no version of {name} was released to the swarm; swarm.yml releases one"]
        return release.problems_of(name, settled=True)
    except SwarmError as error:
        return [str(error)]


def exposition(swarm: Any, nodes: Sequence[Any] | None) -> Iterator[str]:
    """The same as metrics in Prometheus' text format; of all nodes only by managers."""
    active = swarm["LocalNodeState"] == "active"
    yield family("slipway_swarm_active", "gauge", "Whether this host takes part in the swarm.", [({}, int(active))])
    if active and swarm["ControlAvailable"]:
        agree = "Whether this manager is of a majority that agrees."
        yield family("slipway_swarm_quorum", "gauge", agree, [({}, int(nodes is not None))])
        ready = [({"node": name}, int(state == "ready")) for name, state in _ready(nodes or []).items()]
        yield family("slipway_swarm_node_ready", "gauge", "Whether a node of the swarm can run tasks.", ready)


def main() -> int:
    what, *rest = sys.argv[1:]
    try:
        swarm = get("/info")["Swarm"]
    except SwarmError as error:
        swarm = {"LocalNodeState": "unknown", "ControlAvailable": False, "Error": str(error)}
    if what == "service":
        return _tell(service_problems(swarm, rest[0]), f"{rest[0]} runs as it was released")
    nodes = _nodes(swarm)
    if what == "publish":
        publish(Path(rest[0]), FILE, exposition(swarm, nodes))
        return 0
    return _tell(problems(swarm, nodes), "every node is ready")


def _tell(found: Sequence[str], well: str) -> int:
    print("\n".join(found) or well)
    return 1 if found else 0


def _nodes(swarm: Any) -> list[Any] | None:
    try:
        return list(get("/nodes")) if swarm["ControlAvailable"] else []
    except SwarmError:
        return None


def _ready(nodes: Sequence[Any]) -> dict[str, str]:
    """The state of each host by its name: one whose disk was replaced is there twice, and the former is down."""
    states: dict[str, str] = {}
    for one in nodes:
        if states.get(_name(one)) != "ready":
            states[_name(one)] = one["Status"]["State"]
    return states


def _name(node: Any) -> str:
    return str(node["Description"].get("Hostname") or node["ID"])


if __name__ == "__main__":
    sys.exit(main())
