# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""This host as a node of a swarm, and all nodes as a manager sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError, call, get

PORT = 2377
PATIENCE = 60.0
"""Seconds within which a node takes part, and within which the tasks of one that is drained have gone."""


@dataclass(frozen=True)
class Node:
    """What this host says of itself: ``state`` is Docker's word (``inactive``, ``active``, ``locked`` …), ``id`` the
    node's, ``manages`` whether it answers as a manager."""

    state: str
    id: str
    manages: bool
    error: str = ""


@dataclass(frozen=True)
class Member:
    """What a host of the inventory shall be in the swarm."""

    host: str
    id: str
    role: str
    availability: str = "active"
    labels: Mapping[str, str] = field(default_factory=dict)


def seen() -> Node:
    """How this host is now."""
    swarm = get("/info")["Swarm"]
    return Node(swarm["LocalNodeState"], swarm["NodeID"], bool(swarm["ControlAvailable"]), swarm.get("Error", ""))


def unlock(key_file: Path) -> None:
    """Opens a manager that was restarted, by the key that is kept on it."""
    try:
        key = key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SwarmError(
            f"this manager is locked and its key cannot be read ({error}): docker swarm unlock asks for it; "
            "docker swarm unlock-key on another manager tells it"
        ) from error
    call("POST", "/swarm/unlock", None, {"UnlockKey": key})
    wait(manages=True)


def keep_key(key_file: Path) -> bool:
    """Writes the key that opens managers, for root alone; true when it was another one."""
    key = str((get("/swarm/unlockkey") or {}).get("UnlockKey") or "")
    before = key_file.read_text(encoding="utf-8").strip() if key_file.exists() else ""
    if not key or key == before:
        return False
    make_directory(key_file.parent)
    replace(key_file, key + "\n", 0o600)
    return True


def begin(address: str, data_path_address: str, pools: Sequence[str]) -> None:
    """Makes a swarm of this host."""
    body = _addresses(address, data_path_address) | {"Spec": {}}
    if pools:
        body |= {"DefaultAddrPool": list(pools), "SubnetSize": 24}
    call("POST", "/swarm/init", None, body)
    wait(manages=True)


def join(address: str, data_path_address: str, managers: Sequence[str], token: str, manages: bool) -> None:
    """Becomes a node of the swarm of these managers."""
    remote = [join_host_port(one, PORT) for one in managers]
    body = _addresses(address, data_path_address) | {"RemoteAddrs": remote, "JoinToken": token}
    call("POST", "/swarm/join", None, body)
    wait(manages)


def wait(manages: bool) -> Node:
    """Returns when this host takes part."""
    deadline = time.monotonic() + PATIENCE
    while True:
        now = seen()
        if now.state == "active" and (now.manages or not manages):
            return now
        if time.monotonic() >= deadline:
            raise SwarmError(
                f"this host does not take part in the swarm after {PATIENCE:.0f} s: it is {now.state}"
                f"{', ' + now.error if now.error else ''}. journalctl -u docker says more; do port 2377 (tcp) and 7946 "
                "(tcp, udp) of the managers let it in?"
            )
        time.sleep(0.5)


def tokens() -> dict[str, str]:
    """By which hosts join, by role."""
    found = get("/swarm")["JoinTokens"]
    return {"manager": found["Manager"], "worker": found["Worker"]}


def rotate() -> None:
    """Makes new tokens: the former ones let nobody in any more."""
    swarm = get("/swarm")
    query = {"version": str(swarm["Version"]["Index"]), "rotateWorkerToken": "true", "rotateManagerToken": "true"}
    call("POST", "/swarm/update", query, swarm["Spec"])


def lock(wanted: bool, check: bool) -> list[str]:
    """Has managers need a key after a restart, or not; says what was changed."""
    swarm = get("/swarm")
    spec = swarm["Spec"]
    if bool(spec["EncryptionConfig"]["AutoLockManagers"]) == wanted:
        return []
    if not check:
        spec["EncryptionConfig"] = {"AutoLockManagers": wanted}
        call("POST", "/swarm/update", {"version": str(swarm["Version"]["Index"])}, spec)
    return [f"managers {'need' if wanted else 'no longer need'} a key after a restart"]


def arrange(members: Sequence[Member], check: bool) -> list[str]:
    """Gives each node its role, labels and availability; says what was changed."""
    nodes = {one["ID"]: one for one in get("/nodes")}
    strangers = [member.host for member in members if member.id not in nodes]
    if strangers:
        raise SwarmError(
            f"{', '.join(strangers)} is a node of another swarm. If nothing of that one is needed, docker swarm leave "
            "--force on the host has it join this one at the next run"
        )
    told = []
    for member in sorted(members, key=lambda member: member.role != "manager"):  # first those who are to manage
        node = nodes[member.id]
        spec = {**node["Spec"], "Role": member.role, "Availability": member.availability, "Labels": dict(member.labels)}
        changes = [
            f"{name.lower()} {value or 'none'}"
            for name, value in spec.items()
            if (node["Spec"].get(name) or {}) != (value or {})
        ]
        if changes:
            told.append(f"{member.host}: {', '.join(changes)}")
            if not check:
                _update(node, spec)
    return told


def absent(members: Sequence[Member]) -> list[Any]:
    """The nodes that no host of the inventory is."""
    return [one for one in get("/nodes") if one["ID"] not in [member.id for member in members]]


def remove(node: Any) -> None:
    """Takes a node out: first its tasks, then its vote, then itself."""
    identifier = node["ID"]
    _update(node, {**node["Spec"], "Availability": "drain", "Role": "worker"})
    deadline = time.monotonic() + PATIENCE
    while node["Status"]["State"] == "ready" and list(_running(identifier)) and time.monotonic() < deadline:
        time.sleep(0.5)
    call("DELETE", f"/nodes/{identifier}", {"force": "true"})


def named(node: Any) -> str:
    """A node in words."""
    status = node["Status"]
    return f"{node['Description'].get('Hostname', '?')} ({status.get('Addr', '?')}, {status['State']}, {node['ID']})"


def _running(node: str) -> Iterator[Any]:
    for task in get("/tasks", {"filters": {"node": [node]}}) or []:
        if task["Status"]["State"] in ("running", "starting"):
            yield task


def _update(node: Any, spec: Mapping[str, Any]) -> None:
    """By the newest version of the node: its own signs of life count as changes."""
    newest = get(f"/nodes/{node['ID']}")
    call("POST", f"/nodes/{node['ID']}/update", {"version": str(newest["Version"]["Index"])}, spec)


def _addresses(address: str, data_path_address: str) -> dict[str, Any]:
    listen = join_host_port(address, PORT)
    return {"ListenAddr": listen, "AdvertiseAddr": listen, "DataPathAddr": data_path_address}
