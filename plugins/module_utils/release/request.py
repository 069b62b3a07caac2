# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator asks for, on which hosts, and why it may have to be refused. Decided on the controller."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError, check_version
from ansible_collections.slipway.ops.plugins.module_utils.service.model import MIXED, Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import (
    ServiceError,
    check_known,
    check_name,
    find_service,
    service_names,
)

Variables = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One run: its id and what it is about; ``problem`` is a sentence when it must be refused.

    ``edges`` are all edge hosts: which of them have the service's pool only they can say. ``services`` is the service's
    description without secrets, by host; an edge knows it by the first app host.
    """

    run: str
    action: str
    service: str
    version: str
    apps: list[str]
    edges: list[str]
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: str = ""
    strategy: str = ""

    @property
    def hosts(self) -> list[str]:
        """All hosts of the run, edges first: the first one keeps the lock."""
        return list(dict.fromkeys(self.edges + self.apps))


def read_request(hosts: Mapping[str, Variables], groups: Mapping[str, Sequence[str]], asked: Request) -> Request:
    """Fills in the hosts of a request, or its problem. ``hosts`` are every host's variables."""
    run = asked.run or f"{_stamp()}-{asked.action}-{asked.service}"
    found = replace(asked, run=run, edges=list(groups.get("edge", [])))
    try:
        _check(hosts, groups, asked)
        apps = [host for host in groups["app"] if asked.service in service_names(_services(hosts, host))]
        own = {host: find_service(_services(hosts, host), asked.service) for host in apps}
    except (RequestError, ServiceError) as error:
        return replace(found, problem=str(error))
    found = replace(found, apps=apps, strategy=own[apps[0]].strategy)
    return replace(found, services={host: own.get(host, own[apps[0]]).without_secrets() for host in found.hosts})


def retire_problem(
    hosts: Mapping[str, Variables], groups: Mapping[str, Sequence[str]], service: str, force: bool
) -> str:
    """Why a service must not be retired; empty when nothing is in the way."""
    if not service:
        return "Say which service with -e service=NAME."
    try:
        check_name(service)
        apps = [host for group in ("app", "swarm_managers") for host in groups.get(group, [])]
        wanted_on = [host for host in apps if service in service_names(_services(hosts, host))]
    except ServiceError as error:
        return str(error)
    if not apps:
        return "The inventory has no hosts in group app or swarm_managers: is this the right inventory (-i)?"
    if wanted_on and not force:
        return (
            f"{service} is still in app_services of {', '.join(wanted_on)}: take it out of the inventory first, "
            "or say -e retire_force=true."
        )
    return ""


def _check(hosts: Mapping[str, Variables], groups: Mapping[str, Sequence[str]], asked: Request) -> None:
    known = sorted({name for host in groups.get("app", []) for name in service_names(_services(hosts, host))})
    if not known:
        raise RequestError("No host of group app has app_services: is this the right inventory (-i)?")
    if not asked.service:
        raise RequestError(f"Say which service with -e service=NAME (known: {', '.join(known)}).")
    check_known(asked.service, known)
    if not groups.get("edge"):
        raise RequestError("The inventory has no hosts in group edge: nothing could switch.")
    if asked.action == "deploy" and not asked.version:
        raise RequestError("Say which version with -e version=VERSION; it is the image's tag.")
    if asked.version:
        check_version(asked.version)


def _services(hosts: Mapping[str, Variables], host: str) -> Any:
    return hosts[host].get("app_services", [])


def _stamp() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y%m%dT%H%M%S.") + f"{now.microsecond // 1000:03d}Z"


def gate_checks(service: Service, colour: str, address: str, host: str) -> list[dict[str, Any]]:
    """Definitions for ``health_check``: health and readiness of every instance, asked directly."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 (compared, not bound)
    paths = {"health": service.health.path, "ready": service.ready.path}
    return [
        {
            "id": f"application.instance.{kind}",
            "kind": "http",
            "url": f"http://{join_host_port(reachable, port)}{path}",
            "subject": f"{host}-{number}",
        }
        for number, port in enumerate(service.host_ports(colour), start=1)
        for kind, path in paths.items()
    ]


def problems(
    surveys: Mapping[str, Variables],
    pools: Mapping[str, Variables],
    plan: Mapping[str, Any],
    min_free: int,
    strategy: str = "",
) -> list[str]:
    """Why a plan cannot end well, each as a sentence; nothing has been changed yet."""
    found = []
    for host in plan["start"]:
        found += _host_problems(host, surveys[host], plan["target"]["colour"], min_free)
    if strategy == "canary" and plan["action"] == "deploy" and plan["switch"]:
        found += _canary_problems(pools, plan)
    instances = sum(int(survey["instances"]) for survey in surveys.values())
    for edge, pool in pools.items():
        found += _pool_problems(edge, pool, plan, instances)
    return found


def bake_problems(surveys: Mapping[str, Variables], plan: Mapping[str, Any], override: str) -> list[str]:
    """Why a deploy must not push out what a bake would go back to; a rollback ends the bake and needs no word."""
    bakes = [survey["bake"] for survey in surveys.values() if survey.get("bake")]
    if not bakes or plan["action"] != "deploy" or plan["nothing"] or override:
        return []
    bake = bakes[0]
    if bake["version"] == plan["target"]["version"] and not plan.get("switch"):
        return []
    until = datetime.datetime.fromtimestamp(bake["until"], datetime.timezone.utc).strftime("%H:%M:%S UTC")
    return [
        f"{bake['version']} bakes until {until}, and {bake['previous_version']}, to which its hosts would go back, "
        "would be pushed out. Wait, roll back, or say -e override='REASON' to end the bake."
    ]


def _host_problems(host: str, survey: Variables, colour: str, min_free: int) -> list[str]:
    taken = survey["ports_taken"].get(colour, {})
    found = [f"{host}: port {port}, which {colour} needs, is taken by {holder}." for port, holder in taken.items()]
    for disk in survey["disk"]:
        if disk["free"] < min_free:
            free, wanted = disk["free"] // 2**20, min_free // 2**20
            found.append(f"{host}: only {free} MiB are free at {disk['path']}, deploy_min_free wants {wanted} MiB.")
    return found


def _canary_problems(pools: Mapping[str, Variables], plan: Mapping[str, Any]) -> list[str]:
    without = [edge for edge, pool in pools.items() if MIXED not in pool["sets"]]
    found = (
        [f"{', '.join(without)}: the pool has no set {MIXED}, which a canary needs; run site.yml."] if without else []
    )
    live, version = plan["live"], plan["target"]["version"]
    if live and live["version"] == version:
        found.append(
            f"{version} is live already, and a canary of itself cannot be told from it: give it a new version."
        )
    return found


def _pool_problems(edge: str, pool: Variables, plan: Mapping[str, Any], instances: int) -> list[str]:
    if plan["nothing"]:
        return []
    missing = {"blue", "green"} - set(pool["sets"])
    if missing:
        return [f"{edge}: the pool has no set {' and no set '.join(sorted(missing))}; run site.yml for haproxy_pools."]
    target = pool["sets"][plan["target"]["colour"]]
    # Of a service that scales, the edge is told how many there are before the gate.
    if target["total"] != instances and not plan.get("scales"):
        colour = plan["target"]["colour"]
        return [
            f"{edge}: set {colour} has {target['total']} servers and the app hosts have {instances} instances; "
            "make haproxy_pools and app_services agree and run site.yml."
        ]
    if plan["switch"] and not plan["start"] and target["up"] < target["total"]:
        return [f"{edge}: only {target['up']} of {target['total']} servers of {plan['target']['version']} are up."]
    return []
