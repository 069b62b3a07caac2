# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The system that documents are about: its hosts and services by the inventory, alerts of the cards, evidence."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import Job, read_jobs
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.alerts import changed, rules_of
from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import Door, FirewallError, doors_of
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import services_of
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.data import Stored, stored

ROLES = Path(__file__).resolve().parents[3] / "roles"
EVERYWHERE = ("all", "ungrouped", "slipway")  # groups that tell nothing of a host
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Host:
    """A host as its inventory and the cards of its roles have it. A value of None could not be worked out."""

    name: str
    address: str
    groups: Sequence[str]
    roles: frozenset[str]
    engines: Sequence[str]
    units: Sequence[Record]
    ports: Sequence[Record]
    doors: Sequence[Door]
    logs: Sequence[Record]
    values: Mapping[str, Any]
    services: Sequence[Service]


@dataclass(frozen=True)
class Alert:
    role: str
    name: str
    severity: str
    expression: str
    lasting: str
    summary: str
    runbook: str


@dataclass(frozen=True)
class System:
    name: str
    command: str
    at: datetime.datetime
    hosts: Mapping[str, Host]
    alerts: Sequence[Alert]
    jobs: Sequence[Job]
    records: Sequence[Record]
    history: Sequence[Record]
    damaged: int
    store: str
    assessment: Mapping[str, Any]
    graphs: str
    contacts: Sequence[Record]
    processing: Sequence[Record]
    settings: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Any] | None = None  # of `period_costs`; none where nothing has a price

    @property
    def services(self) -> dict[str, tuple[Service, list[str]]]:
        """Each service by its name, with its hosts."""
        found: dict[str, tuple[Service, list[str]]] = {}
        for host in self.hosts.values():
            for service in host.services:
                found.setdefault(service.name, (service, []))[1].append(host.name)
        return found

    @property
    def engines(self) -> list[str]:
        """The stores that the inventory has."""
        return sorted({engine for host in self.hosts.values() for engine in host.engines})

    @property
    def stored(self) -> list[Stored]:
        """What is backed up, by the evidence."""
        limits = {one["id"]: one["limit"] for one in self.assessment["requirements"]}
        return stored([dict(one) for one in self.records], self.history, limits)

    def hosts_in(self, group: str) -> list[str]:
        return [host.name for host in self.hosts.values() if group in host.groups]


def read_system(data: Mapping[str, Any]) -> System:
    """The system of plain data; raises ValueError, or an error of whoever reads a part, with a sentence."""
    if not data["hosts"]:
        raise ValueError("the inventory has no hosts, and documents of nothing say nothing. Is it the right one (-i)?")
    evidence = data["evidence"]
    told = [name for one in data["jobs"] for names in (one.get("notify") or {}).values() for name in names]
    return System(
        name=str(data["system"]),
        command=str(data["command"]),
        at=parse_time(data["assessment"]["at"]),
        hosts={name: _host(name, of) for name, of in sorted(data["hosts"].items())},
        alerts=_alerts(data["alerts"], data.get("alert_changes") or {}),
        jobs=read_jobs(data["jobs"], str(data["timezone"]), sorted(set(told))),
        records=[one for one in map(whole, evidence.get("records") or []) if one],
        history=[one for one in map(whole, evidence.get("history") or []) if one],
        damaged=len(evidence.get("damaged") or []),
        store=str(evidence.get("store") or ""),
        assessment=data["assessment"],
        graphs=str(data["graphs"]).rstrip("/"),
        contacts=data.get("contacts") or [],
        processing=data.get("processing") or [],
        settings=data.get("settings") or {},
        costs=data.get("costs") or None,
    )


def whole(record: Any) -> dict[str, Any] | None:
    """A record with every field that documents speak of; None for one that has no id, subject, verdict or time."""
    if not isinstance(record, Mapping) or not all(isinstance(record.get(name), str) for name in _NEEDED):
        return None
    try:
        parse_time(record["at"])
    except EvidenceError:
        return None
    area = record["id"].partition(".")[0]
    if area not in AREAS:
        return None
    return {"claim": "", "measured": None, "unit": "1", "limit": None, "reason": None, "took": 0.0, "run": ""} | dict(
        record
    )


_NEEDED = ("id", "subject", "verdict", "at")


def _host(name: str, of: Mapping[str, Any]) -> Host:
    entries = [*(of.get("units") or []), *(of.get("ports") or []), *(of.get("logs") or [])]
    roles = {str(entry["role"]) for entry in entries if "role" in entry}
    return Host(
        name=name,
        address=str(of.get("address") or name),
        groups=sorted(group for group in of["groups"] if group not in EVERYWHERE),
        roles=frozenset(roles | {"baseline"} | ({"app"} if of.get("services") else set())),
        engines=of.get("engines") or [],
        units=of.get("units") or [],
        ports=of.get("ports") or [],
        doors=_doors(of),
        logs=of.get("logs") or [],
        values=of.get("values") or {},
        services=services_of(of.get("services") or []),
    )


def _doors(of: Mapping[str, Any]) -> list[Door]:
    """Ports and metrics that others may come to, as role firewall opens them; none where a card cannot be meant."""
    try:
        found = doors_of([*(of.get("ports") or []), *(of.get("metrics") or [])], of.get("firewall_from") or {})
    except FirewallError:
        return []
    return [door for door in found if door.others]


def _alerts(of_roles: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> list[Alert]:
    found = [
        Alert(
            role=str(one["role"]),
            name=str(rule["alert"]),
            severity=str(rule["labels"]["severity"]),
            expression=" ".join(str(rule["expr"]).split()),
            lasting=str(rule.get("for") or ""),
            summary=" ".join(str(rule["annotations"]["summary"]).split()),
            runbook=" ".join(str(rule["annotations"]["runbook"]).split()),
        )
        for one in of_roles
        for rule in rules_of(changed(one["groups"], changes))
        if "alert" in rule
    ]
    order = ("critical", "warning", "info")
    return sorted(found, key=lambda one: (order.index(one.severity), one.name))


@cache
def defaults_of(role: str) -> Mapping[str, Any]:
    """A role's defaults that are no templates."""
    path = ROLES / role / "defaults/main.yml"
    known = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: value for name, value in (known or {}).items() if "{{" not in str(value)}


def value_of(host: Host, role: str, name: str) -> Any:
    """What a role's variable is on a host: the inventory's, or the role's default; None when nobody can say."""
    return host.values[name] if name in host.values else defaults_of(role).get(name)


def file_name(name: str) -> str:
    """A host's or service's name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)
