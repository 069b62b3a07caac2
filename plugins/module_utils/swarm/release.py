# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service in the swarm goes to a version, node by node, or back to what it was: asked of a manager."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError, last_words, run
from ansible_collections.slipway.ops.plugins.module_utils.swarm import secrets
from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError, call, get

SERVICE, VERSION, RUN, EARLIER = "slipway.service", "slipway.version", "slipway.run", "slipway.earlier"
KEPT = 5
"""How many versions before the live one are known."""
_UNDER_WAY = ("updating", "rollback_started")
_ENDED = {"failed": "it failed", "rejected": "it was refused", "complete": "it ended, as one does that is not healthy"}
Tree = Mapping[str, Any]


class ReleaseFailed(SwarmError):
    """A version was not accepted; the message says why."""


@dataclass(frozen=True)
class Order:
    """What a service shall be: ``wanted`` are names and specs as ``render`` makes them. ``run`` marks what changes;
    ``back`` says that the live version is left for good. ``timeout`` bounds each service's change, in seconds."""

    service: str
    version: str
    run: str
    wanted: Sequence[Tree]
    networks: Sequence[str] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    back: bool = False
    timeout: float = 600


@dataclass(frozen=True)
class Seen:
    """What the swarm says of a service: the live version, those before it, the newest first, the one that a rollback
    goes to, and the names."""

    version: str
    earlier: list[str]
    previous: str
    names: list[str]


def services_of(service: str) -> dict[str, Any]:
    """Its services in the swarm by name, in the order in which a release changes them: instances, then workers."""
    found = get("/services", {"filters": {"label": [f"{SERVICE}={service}"]}}) or []
    return {one["Spec"]["Name"]: one for one in sorted(found, key=_place)}


def _place(one: Any) -> tuple[bool, int, str]:
    name = str(one["Spec"]["Name"])
    return one["Spec"]["Labels"].get("slipway.role") != "instance", len(name), name


def look(service: str) -> Seen:
    """A killed run has changed the first of them and not all: what the others have counts as live, and a rollback ends
    the one that was begun, or undoes the release that was."""
    found = services_of(service)
    labels: list[Tree] = [_begun_from(one)["Labels"] for one in found.values()] or [{}]
    aim = labels[0]
    live = next((one for one in labels if one.get(VERSION) != aim.get(VERSION)), aim)
    version, earlier = live.get(VERSION, ""), live.get(EARLIER, "").split()
    undone = version in aim.get(EARLIER, "").split()
    return Seen(version, earlier, version if undone else "".join(earlier[:1]), list(found))


def _begun_from(one: Any) -> Tree:
    """Its spec, or the former one while the swarm is still leaving that."""
    former: Tree = one.get("PreviousSpec") or one["Spec"]
    spec: Tree = one["Spec"]
    return former if _state(one) == "updating" else spec


def plan(order: Order, found: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names of those that have to be made or changed, and of those that have to go."""
    changes = [
        one["name"]
        for one in order.wanted
        if differs(one["spec"], (there := found.get(one["name"], {})).get("Spec"))
        or _state(there).endswith("paused")  # a change that was given up half way
        or _state(there) in _UNDER_WAY
    ]
    return changes, [name for name in found if name not in [one["name"] for one in order.wanted]]


def differs(wanted: Any, actual: Any) -> bool:
    """Whether the engine has something else; it leaves out what is empty, and adds what nobody asked for."""
    if isinstance(wanted, Mapping):
        return any(differs(value, (actual or {}).get(name)) for name, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        own = actual or []
        return len(wanted) != len(own) or any(map(differs, wanted, own))
    return bool(wanted != actual and (wanted or actual))


def converge(order: Order, check: bool = False) -> dict[str, Any]:
    """Brings the service to the order; when a part fails, all of it is as before, and the error says both. What is to
    go stays until ``clear``."""
    if not _nodes():
        raise SwarmError(
            f"no node can run {order.service}: none is ready with availability active (docker node ls says how they "
            "are). Nothing was changed"
        )
    if not check:
        _let_end(order)
    found = services_of(order.service)
    order = _completed(order, check)
    changes, gone = plan(order, found)
    seen = look(order.service)
    result = {
        "changed": bool(changes or gone),
        "changes": changes,
        "removed": gone,
        "previous": seen.version,
    }
    if check:
        return result
    try:
        _apply(order, found, changes, _earlier(seen, order))
    except SwarmError as error:
        restored = restore(order.service, order.run, order.timeout)
        raise ReleaseFailed(f"{order.service} {order.version} was not accepted: {error}. {restored}") from error
    return result


def clear(service: str, wanted: Sequence[Tree], check: bool = False) -> list[str]:
    """Takes away what is not wanted any more, once the rest was seen to work; returns the names."""
    names = [one["name"] for one in wanted]
    gone = [name for name in services_of(service) if name not in names]
    if check:
        return gone
    for name in gone:
        call("DELETE", f"/services/{quote(name)}")
    secrets.clear(service, list(services_of(service).values()))
    return gone


def retire(service: str, timeout: float, check: bool = False) -> list[str]:
    """Takes everything of a service away, and waits for its secrets, which tasks that end have still; as phrases."""
    gone, kept = sorted(services_of(service)), secrets.names(service)
    if not check:
        for name in gone:
            call("DELETE", f"/services/{quote(name)}")
        deadline = time.monotonic() + timeout
        while left := secrets.clear(service, []):
            if time.monotonic() > deadline:
                raise SwarmError(f"tasks that do not end have {', '.join(left)} still; run it again when they have")
            time.sleep(0.5)
    return [f"service {name}" for name in gone] + [f"secret {name}" for name in kept]


def _let_end(order: Order) -> None:
    """Waits for what a killed run left; what comes to no good end, or to none, the new change supersedes."""
    for name, one in services_of(order.service).items():
        if _state(one) in _UNDER_WAY:
            with contextlib.suppress(SwarmError):
                _wait(name, time.monotonic() + order.timeout)


def restore(service: str, run_id: str, timeout: float) -> str:
    """Has what a run changed be as before, once, and says what came of it; what the swarm took back is so already."""
    wrong = []
    for name, one in reversed(services_of(service).items()):
        ours = one["Spec"]["Labels"].get(RUN) == run_id
        try:
            if ours and not one.get("PreviousSpec"):
                call("DELETE", f"/services/{quote(name)}")
                continue
            if ours:
                query = {"version": str(one["Version"]["Index"]), "rollback": "previous"}
                call("POST", f"/services/{quote(name)}/update", query, one["Spec"])
            if ours or _state(one).startswith("rollback"):
                _wait(name, time.monotonic() + timeout)
        except SwarmError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        return (
            f"Going back failed too, and is not tried again: {'; '.join(wrong)}. "
            "docker service ps --no-trunc on a manager says what runs; release a version that works."
        )
    version = look(service).version
    return f"{version} is live again" if version else "Nothing was live before, and what was made is gone"


def problems_of(service: str, settled: bool = False) -> list[str]:
    """What does not run as it should; of what is ``settled`` only, or also of what changes node by node just now."""
    found = [one for one in services_of(service).values() if not settled or _state(one) not in _UNDER_WAY]
    return [told for one in found for told in _missing(one)]


def _completed(order: Order, check: bool) -> Order:
    """The order with what only the swarm knows: ids of networks and secrets, and the labels of what it changes."""
    networks = [{"Target": _network(name, check), "Aliases": [order.service]} for name in order.networks]
    files = secrets.present(order.service, order.secrets, check)
    wanted = []
    for one in order.wanted:
        task = one["spec"]["TaskTemplate"]
        user, _, group = task["ContainerSpec"]["User"].partition(":")
        references = [secrets.reference(name, found, user, group or user) for name, found in sorted(files.items())]
        container = {**task["ContainerSpec"], "Secrets": references}
        task = {**task, "ContainerSpec": container, "Networks": networks}
        wanted.append({**one, "spec": {**one["spec"], "TaskTemplate": task}})
    return Order(**{**vars(order), "wanted": wanted})


def _network(name: str, check: bool) -> str:
    """The id of an overlay network, which is made when it is missing."""
    found = [one for one in get("/networks", {"filters": {"name": [name]}}) or [] if one["Name"] == name]
    if not found and check:
        return name
    if not found:
        body = {"Name": name, "Driver": "overlay", "CheckDuplicate": True, "Labels": {"slipway.owner": "slipway"}}
        return str(call("POST", "/networks/create", None, body)["Id"])
    if found[0]["Scope"] != "swarm":
        raise SwarmError(
            f"the network {name} of this manager is its own ({found[0]['Driver']}), not the swarm's: name another in "
            "networks, or remove it"
        )
    return str(found[0]["Id"])


def _apply(order: Order, found: Mapping[str, Any], changes: Sequence[str], earlier: Sequence[str]) -> None:
    for one in order.wanted:
        name, deadline = one["name"], time.monotonic() + order.timeout
        steady = 0.0
        if name in changes:
            spec = {**one["spec"], "Labels": {**one["spec"]["Labels"], RUN: order.run, EARLIER: " ".join(earlier)}}
            _put(name, spec, found.get(name), order.headers)
            # The swarm itself goes on looking at an update, not at what is new.
            steady = 0 if name in found else spec["UpdateConfig"]["Monitor"] / 1e9
        _wait(name, deadline, changed=name in changes, steady=steady)


def _earlier(seen: Seen, order: Order) -> list[str]:
    """The versions that a rollback goes to, one after the other; never the one that it left."""
    if order.version == seen.version or not seen.version:
        return seen.earlier
    if order.back and order.version in seen.earlier:
        return seen.earlier[seen.earlier.index(order.version) + 1 :]
    return [seen.version, *(one for one in seen.earlier if one != order.version)][:KEPT]


def _put(name: str, spec: Tree, existing: Any, headers: Mapping[str, str]) -> None:
    if not existing:
        call("POST", "/services/create", None, spec, headers=headers)
        return
    # A change by somebody else since then is refused by the engine.
    query = {"version": str(existing["Version"]["Index"])}
    call("POST", f"/services/{existing['ID']}/update", query, spec, headers=headers)


def _wait(name: str, deadline: float, changed: bool = False, steady: float = 0) -> None:
    """Returns when every node runs the service as it is described, for ``steady`` seconds. One that this run has
    ``changed`` must not go back to what it was, and its new tasks must not end."""
    since, begun = time.monotonic(), ""
    while True:
        service = get(f"/services/{quote(name)}")
        begun = begun or str(service["UpdatedAt" if service.get("PreviousSpec") else "CreatedAt"])
        state, missing = _state(service), _missing(service)
        if missing or state in _UNDER_WAY:
            since = time.monotonic()
        if state.endswith("paused") or (state == "rollback_completed" and changed):
            raise SwarmError(_why(name, service, state))
        if changed and not state and (why := _failures(service, begun)):
            raise SwarmError(f"{name} does not go on: {'; '.join(why)}")
        if not missing and state not in _UNDER_WAY and time.monotonic() - since >= steady:
            return
        if time.monotonic() >= deadline:
            why = _failures(service, begun) or missing or ["it goes on"]
            raise SwarmError(f"{name} is not there in time ({state or 'new'}): {'; '.join(why)}")
        time.sleep(0.5)


def _why(name: str, service: Any, state: str) -> str:
    """What the tasks said of a change that the swarm gave up; it runs the former spec by now."""
    ended = {"rollback_completed": "and went back by itself", "rollback_paused": "and could not go back"}.get(state, "")
    told = "; ".join(_failures(service, str(service["UpdateStatus"].get("StartedAt", "")), described=False))
    return f"the swarm gave up its change of {name} {ended}: {told or service['UpdateStatus'].get('Message', state)}"


def _state(service: Any) -> str:
    return str((service.get("UpdateStatus") or {}).get("State") or "")


def _missing(service: Any) -> list[str]:
    """The nodes on which the service does not run as described, with the state of what is there."""
    running: dict[str, str] = {}
    for task in _tasks(service):
        if task["DesiredState"] == "running":
            as_described = _same(task, service)
            state = task["Status"]["State"] if as_described else "another version"
            running[task.get("NodeID", "")] = state
    name = service["Spec"]["Name"]
    nodes = _nodes()
    if not nodes:
        return [f"{name}: no node can run it"]
    lacking = {node: running.get(node, "not there") for node in nodes if running.get(node) != "running"}
    return [f"{name} on {nodes[node]}: {state}" for node, state in lacking.items()]


def _failures(service: Any, since: str, described: bool = True) -> list[str]:
    """Why tasks of the service ended that were begun since then, once for each node; those alone that are as it is
    ``described`` now, or all."""
    nodes, told = _nodes(every=True), dict[str, str]()
    for task in sorted(_tasks(service), key=lambda task: str(task["CreatedAt"]), reverse=True):
        state = task["Status"]["State"]
        ours = task["CreatedAt"] >= since[:19] and (not described or _same(task, service))
        if ours and state in _ENDED:
            node = nodes.get(task.get("NodeID", ""), "no node")
            told.setdefault(node, f"{node}: {task['Status'].get('Err') or _ENDED[state]}{_words(task)}")
    return list(told.values())


def _words(task: Any) -> str:
    """What it logged last."""
    with contextlib.suppress(EngineError):
        logs = ["docker", "service", "logs", "--raw", "--tail", "2", task["ID"]]
        said = run(["sh", "-c", 'exec "$@" 2>&1', "sh", *logs], 20)
        return f"; it said: {last_words(said, 2)}" if said.strip() else ""
    return ""


def _same(task: Any, service: Any) -> bool:
    described = service["Spec"]["TaskTemplate"]
    return all(task["Spec"].get(part) == described.get(part) for part in ("ContainerSpec", "Resources"))


def _tasks(service: Any) -> list[Any]:
    return list(get("/tasks", {"filters": {"service": [service["Spec"]["Name"]]}}) or [])


def _nodes(every: bool = False) -> dict[str, str]:
    """Names of the nodes that can run tasks now, by their ids."""
    return {one["ID"]: one["Description"]["Hostname"] for one in _of_nodes(every)}


def _of_nodes(every: bool) -> Iterator[Any]:
    for one in get("/nodes") or []:
        if every or (one["Spec"]["Availability"] == "active" and one["Status"]["State"] == "ready"):
            yield one
