# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the swarm is, as this host sees it: ``check`` says what is wrong, ``publish DIRECTORY`` writes a textfile for the
node exporter, which a timer does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish
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
    nodes = _nodes(swarm)
    if what == "publish":
        publish(Path(rest[0]), FILE, exposition(swarm, nodes))
        return 0
    found = problems(swarm, nodes)
    print("\n".join(found) or "every node is ready")
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
