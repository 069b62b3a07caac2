"""A swarm that answers as Docker's API does: it filters, changes one node with each ``step`` of its clock, takes back
what a node does not accept, and keeps what ended as history."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError

Data = dict[str, Any]


class Engine:
    """``refuses`` are words of specs that no node accepts; ``sticks`` says that going back from them fails too. Nodes
    that are ``slow`` start nothing."""

    def __init__(self, nodes: tuple[str, ...] = ("a", "b"), refuses: str = "bad", sticks: bool = False) -> None:
        self.refuses, self.sticks = refuses, sticks
        self.nodes = {name: self._node(name) for name in nodes}
        self.services: dict[str, Data] = {}
        self.tasks: dict[str, list[Data]] = {}
        self.secrets: dict[str, Data] = {}
        self.networks: dict[str, Data] = {}
        self.calls: list[str] = []
        self.slow: set[str] = set()
        self.seconds = self.secrets_held = 0

    def _node(self, name: str) -> Data:
        return {
            "ID": name, "Version": {"Index": 1}, "Description": {"Hostname": name}, "Status": {"State": "ready"},
            "Spec": {"Availability": "active", "Role": "manager", "Labels": {}},
        }  # fmt: skip

    def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None, **_more: Any
    ) -> Any:
        _, kind, *rest = path.split("/")
        if method != "GET":
            self.calls.append(f"{method} {path}")
        return copy.deepcopy(getattr(self, f"_{method.lower()}_{kind}")(rest, query or {}, body))

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.call("GET", path, query)

    @property
    def now(self) -> str:
        return f"2026-11-30T10:{self.seconds // 60:02}:{self.seconds % 60:02}.5Z"

    def step(self) -> None:
        """A second passes: each service that changes goes on with one node, and each that is new starts on all."""
        self.seconds += 1
        for name, service in self.services.items():
            if not service.get("UpdateStatus") and not service.get("PreviousSpec"):
                self._start(name, service, list(self._lacking(name, service)))
            elif service.get("UpdateStatus", {"State": "updating"})["State"] in ("updating", "rollback_started"):
                self._go_on(name, service)

    def _go_on(self, name: str, service: Data) -> None:
        status = service.setdefault("UpdateStatus", {"State": "updating", "StartedAt": service["UpdatedAt"]})
        back = status["State"] == "rollback_started"
        if back and self.sticks:
            status["State"] = status["Message"] = "rollback_paused"
            return
        lacking = list(self._lacking(name, service))
        if lacking and not self._start(name, service, lacking[:1]):
            service["Spec"] = service.pop("PreviousSpec")
            status["State"] = "rollback_started"
        elif len(lacking) < 2:
            status["State"] = status["Message"] = "rollback_completed" if back else "completed"

    def _lacking(self, name: str, service: Data) -> Iterator[str]:
        """The nodes that do not run it as it is described."""
        task = service["Spec"]["TaskTemplate"]
        there = [one["NodeID"] for one in self.tasks[name] if one["DesiredState"] == "running" and one["Spec"] == task]
        for node in self.nodes.values():
            able = node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active"
            if able and node["ID"] not in there and node["ID"] not in self.slow:
                yield node["ID"]

    def _start(self, name: str, service: Data, nodes: list[str]) -> bool:
        state = "failed" if self.refuses in str(service["Spec"]) else "running"
        for task in self.tasks[name]:
            if task["NodeID"] in nodes and task["DesiredState"] == "running":
                task |= {"DesiredState": "shutdown", "Status": {"State": "shutdown"}}
        self.tasks[name] += [self.task(service, node, state) for node in nodes]
        return state == "running"

    def task(self, service: Data, node: str, state: str) -> Data:
        status = {"State": state} | ({"Err": "task: non-zero exit (3)"} if state == "failed" else {})
        return {
            "ID": f"{node}-task", "NodeID": node, "DesiredState": "running" if state == "running" else "shutdown",
            "CreatedAt": self.now, "Spec": service["Spec"]["TaskTemplate"], "Status": status,
        }  # fmt: skip

    def _get_services(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        if not rest:
            return [one for one in self.services.values() if _labelled(one, query)]
        if rest[0] not in self.services:
            raise SwarmError(f"service {rest[0]} not found")
        return self.services[rest[0]]

    def _post_services(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        if rest == ["create"]:
            moments = {"CreatedAt": self.now, "UpdatedAt": self.now}
            self.services[body["Name"]] = {"ID": body["Name"], "Version": {"Index": 1}, "Spec": body} | moments
            self.tasks[body["Name"]] = []
            return {"ID": body["Name"]}
        service = self.services[rest[0]]
        if query["version"] != str(service["Version"]["Index"]):
            raise SwarmError("update out of sequence")
        service["Version"]["Index"] += 1
        service["UpdatedAt"] = self.now
        if query.get("rollback"):
            service["Spec"] = service.pop("PreviousSpec")
            service["UpdateStatus"] = {"State": "rollback_started", "StartedAt": self.now}
        else:
            service |= {"PreviousSpec": service["Spec"], "Spec": body}
            service.pop("UpdateStatus", None)
        return None

    def _delete_services(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        del self.services[rest[0]], self.tasks[rest[0]]

    def _get_tasks(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        filters = query["filters"]
        found = [(name, task) for name, tasks in self.tasks.items() for task in tasks]
        return [
            task
            for name, task in found
            if name in filters.get("service", [name]) and task["NodeID"] in filters.get("node", [task["NodeID"]])
        ]

    def _get_nodes(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return self.nodes[rest[0]] if rest else list(self.nodes.values())

    def _post_nodes(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        assert query["version"] == str(self.nodes[rest[0]]["Version"]["Index"])
        self.nodes[rest[0]]["Version"]["Index"] += 1
        self.nodes[rest[0]]["Spec"] = body

    def _delete_nodes(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        del self.nodes[rest[0]]

    def _get_networks(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        words = query["filters"]["name"]  # a part of the name is enough for Docker
        return [one for name, one in self.networks.items() if any(word in name for word in words)]

    def _post_networks(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        self.networks[body["Name"]] = body | {"Id": f"id-{body['Name']}", "Scope": "swarm"}
        return self.networks[body["Name"]]

    def _get_secrets(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return [one for one in self.secrets.values() if _labelled(one, query)]

    def _post_secrets(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        identifier = f"id-{len(self.calls)}"
        self.secrets[identifier] = {"ID": identifier, "Spec": body}
        return {"ID": identifier}

    def _delete_secrets(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        if self.seconds < self.secrets_held:
            raise SwarmError("secret is in use by a task that ends")
        del self.secrets[rest[0]]


def _labelled(one: Data, query: Mapping[str, Any]) -> bool:
    labels = [f"{name}={value}" for name, value in one["Spec"]["Labels"].items()]
    return all(wanted in labels for wanted in query.get("filters", {}).get("label", []))
