# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a replica set is, by the member of this host: for the health check, and for the node exporter.

``check`` says it, ``publish DIRECTORY`` writes a textfile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import client_of
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish

SETTINGS = Path("/etc/slipway/mongodb/state.json")
FILE = "slipway_mongodb.prom"
LAG = 60.0  # seconds; the alert has the same
_PATIENCE = 5.0
_WELL = ("PRIMARY", "SECONDARY", "ARBITER")


@dataclass(frozen=True)
class Seen:
    """What one member says: of itself whether it leads and how many seconds it is behind (None when nobody knows), and
    the state of each member by its host and port."""

    leads: bool
    lag: float | None
    states: dict[str, str]


def seen(status: Mapping[str, Any]) -> Seen:
    """What ``replSetGetStatus`` says. A member that is away keeps no state that counts."""
    members = status["members"]
    own = next(one for one in members if one.get("self"))
    leader = next((one for one in members if one["stateStr"] == "PRIMARY" and one["health"]), None)
    lag = None
    if leader and own["stateStr"] == "SECONDARY":
        lag = max(0.0, (leader["optimeDate"] - own["optimeDate"]).total_seconds())
    states = {one["name"]: one["stateStr"] if one["health"] else "DOWN" for one in members}
    return Seen(own["stateStr"] == "PRIMARY", lag, states)


def problems(found: Seen) -> list[str]:
    """Why writes fail, or a failover would not come; a clause each."""
    told = [f"{name} is {state}" for name, state in found.states.items() if state not in _WELL]
    if "PRIMARY" not in found.states.values():
        told.append("nobody leads, so that nothing can be written")
    if found.lag is not None and found.lag > LAG:
        told.append(f"this member is {found.lag:.0f} s behind who leads")
    return told


def exposition(name: str, found: Seen | None) -> list[str]:
    """The metrics; of a server that does not answer only that."""
    labels = {"set": name}

    def gauge(what: str, explanation: str, samples: Sequence[tuple[dict[str, str], float]]) -> str:
        return family(f"slipway_mongodb_{what}", "gauge", explanation, samples)

    health = [({**labels, "member": one}, int(state in _WELL)) for one, state in found.states.items()] if found else []
    return [
        gauge("up", "Whether this host's server answers.", [(labels, int(found is not None))]),
        gauge(
            "primary",
            "Whether this host's server leads, by its own word.",
            [(labels, int(found.leads))] if found else [],
        ),
        gauge("member_healthy", "Whether a member is well, by the server of this host.", health),
        gauge(
            "lag_seconds",
            "How far this host's server is behind who leads.",
            [(labels, found.lag)] if found and found.lag is not None else [],
        ),
    ]


def look(settings: Mapping[str, Any]) -> Seen:
    options = {"username": settings["user"], "password": settings["password"], "authSource": "admin"}
    arbiter = settings.get("arbiter")  # it knows no users
    with client_of(settings["uri"], _PATIENCE, **({} if arbiter else options)) as client:
        if arbiter:
            told = client.admin.command("hello")
            return Seen(
                False,
                None,
                {
                    told.get("me", "this member"): "ARBITER",
                    **({told["primary"]: "PRIMARY"} if told.get("primary") else {}),
                },
            )
        return seen(client.admin.command("replSetGetStatus"))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("check", help="say how the replica set is; 1 when something of it is not well")
    actions.add_parser("publish", help="write a textfile").add_argument("directory", type=Path)
    given = parser.parse_args(argv)
    try:
        settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{SETTINGS} cannot be read ({error}); run the role mongodb again", file=sys.stderr)
        return 1
    try:
        found, trouble = look(settings), ""
    except MongodbError as error:
        found, trouble = None, str(error)
    if given.action == "publish":
        publish(given.directory, FILE, exposition(settings["set"], found))
        return 0
    told = [trouble] if found is None else problems(found)
    print("; ".join(told) or f"{len(found.states if found else ())} members of {settings['set']} are well")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
