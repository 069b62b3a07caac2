"""A swarm that answers as Docker's API does: what it accepts runs at once, what it does not comes back by itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError


class Engine:
    """``refuses`` are words of specs that no node accepts; ``sticks`` says that going back from them fails too."""

    def __init__(self, nodes: tuple[str, ...] = ("a", "b"), refuses: str = "bad", sticks: bool = False) -> None:
        self.refuses, self.sticks = refuses, sticks
        self.nodes = {name: self._node(name) for name in nodes}
        self.services: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []

    def _node(self, name: str) -> dict[str, Any]:
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

    def _get_services(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return self.services[rest[0]] if rest else list(self.services.values())

    def _post_services(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        if rest == ["create"]:
            self._run({"ID": body["Name"], "Version": {"Index": 1}, "Spec": body})
            return {"ID": body["Name"]}
        service = self.services[rest[0]]
        if query["version"] != str(service["Version"]["Index"]):
            raise SwarmError("update out of sequence")
        if query.get("rollback"):
            spec = service.pop("PreviousSpec")
            state = "rollback_paused" if self.sticks else "rollback_completed"
            self._run(service | {"Spec": spec, "UpdateStatus": {"State": state, "StartedAt": "2026-11-30T10:00:00Z"}})
            return None
        service = service | {"PreviousSpec": service["Spec"], "Spec": body, "UpdateStatus": {"State": "completed"}}
        if self.refuses in str(body):
            self.tasks[rest[0]].append(self._task(service, "a", "failed") | {"CreatedAt": "2026-11-30T10:00:01Z"})
            state = "rollback_paused" if self.sticks else "rollback_completed"
            service |= {"Spec": service.pop("PreviousSpec")}
            service |= {"UpdateStatus": {"State": state, "StartedAt": "2026-11-30T10:00:00Z", "Message": state}}
        self._run(service)
        return None

    def _run(self, service: dict[str, Any]) -> None:
        name = service["Spec"]["Name"]
        self.services[name] = service | {"Version": {"Index": service["Version"]["Index"] + 1}}
        state = "failed" if self.refuses in str(service["Spec"]) else "running"
        kept = [task for task in self.tasks.get(name, []) if task["Status"]["State"] == "failed"]
        ready = [node for node in self.nodes.values() if node["Status"]["State"] == "ready"]
        self.tasks[name] = kept + [self._task(service, node["ID"], state) for node in ready]

    def _task(self, service: dict[str, Any], node: str, state: str) -> dict[str, Any]:
        status = {"State": state} | ({"Err": "task: non-zero exit (3)"} if state == "failed" else {})
        return {
            "ID": f"{node}-task", "NodeID": node, "DesiredState": "running" if state == "running" else "shutdown",
            "CreatedAt": "2026-11-30T09:00:00Z", "Spec": service["Spec"]["TaskTemplate"], "Status": status,
        }  # fmt: skip

    def _delete_services(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        del self.services[rest[0]]

    def _get_tasks(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        if "node" in query["filters"]:
            return []
        return self.tasks[query["filters"]["service"][0]]

    def _get_nodes(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return self.nodes[rest[0]] if rest else list(self.nodes.values())

    def _post_nodes(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        assert query["version"] == str(self.nodes[rest[0]]["Version"]["Index"])
        self.nodes[rest[0]]["Version"]["Index"] += 1
        self.nodes[rest[0]]["Spec"] = body

    def _delete_nodes(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        del self.nodes[rest[0]]

    def _get_networks(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return list(self.networks.values())

    def _post_networks(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        self.networks[body["Name"]] = body | {"Id": f"id-{body['Name']}", "Scope": "swarm"}
        return self.networks[body["Name"]]

    def _get_secrets(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        return list(self.secrets.values())

    def _post_secrets(self, rest: list[str], query: Mapping[str, Any], body: Any) -> Any:
        identifier = f"id-{len(self.calls)}"
        self.secrets[identifier] = {"ID": identifier, "Spec": body}
        return {"ID": identifier}

    def _delete_secrets(self, rest: list[str], query: Mapping[str, Any], _body: Any) -> Any:
        del self.secrets[rest[0]]
