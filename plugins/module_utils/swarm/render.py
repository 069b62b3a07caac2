# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services of a swarm that run a service of ``app_services``, as the engine's API has them.

Every node that may run tasks runs what an app host would: instance n is a global service, whose port each node
publishes by itself (``mode: host``). So a node that comes back, or is new, gets its instances without anybody.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.units import duration
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.plan import pools_of
from ansible_collections.slipway.ops.plugins.module_utils.release.compose import health_command, image_reference
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError, check_version
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service, Worker

Spec = dict[str, Any]
MANAGERS, WORKERS = "swarm_managers", "swarm_workers"
COLOUR = "blue"
"""Whose ports the instances have; the other's stay free."""
NOTICE = 2
"""Seconds beyond its health checks within which an edge knows that an instance is back."""
_NANO = 1_000_000_000
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)i?b?", re.IGNORECASE)
_TMPFS = re.compile(r"size=\d+[kmgt]?b?|mode=[0-7]{3,4}", re.IGNORECASE)


def problems(service: Service, version: str) -> list[str]:
    """What a swarm has no word for, each a clause."""
    found = []
    if service.migrate.command:
        found.append("migrate: nothing runs it here; run it by itself before the release, and leave it out")
    found += [
        f"tmpfs {entry}: of its options a swarm knows size and mode"
        for entry in service.tmpfs
        if not all(_TMPFS.fullmatch(option) for option in _options(entry))
    ]
    try:
        check_version(version)
    except RequestError as error:
        found.append(str(error))
    return found


def members(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The hosts of a swarm, managers first, each once."""
    return list(dict.fromkeys([*groups.get(MANAGERS, []), *groups.get(WORKERS, [])]))


def runners(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]) -> list[str]:
    """Those of them that run tasks."""
    return [host for host in members(groups) if hostvars[host].get("swarm_availability", "active") == "active"]


def pools(
    services: Sequence[Service], groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """HAProxy's pools of services in the swarm: every node's published ports, none of them ever switched."""
    addresses = {host: {"app_address": hostvars[host].get("swarm_address", "")} for host in members(groups)}
    made = pools_of(services, runners(groups, hostvars), addresses)
    return [
        {name: value for name, value in pool.items() if name != "sets"}
        | {"servers": [server for server in pool["sets"][COLOUR] if "spare" not in server]}
        for pool in made
    ]


def render(service: Service, version: str, directory: str, monitor: float) -> list[dict[str, Any]]:
    """Each of them: its ``name``, and its ``spec`` without what only the swarm knows (ids of networks and secrets)."""
    made = _Services(service, version, directory, monitor)
    instances = [made.instance(number) for number in range(1, service.instances + 1)]
    return instances + [made.worker(name, worker) for name, worker in service.worker_containers()]


class _Services:
    def __init__(self, service: Service, version: str, directory: str, monitor: float) -> None:
        self.of, self.version, self.directory, self.monitor = service, version, directory, monitor

    def instance(self, number: int) -> dict[str, Any]:
        service, health = self.of, self.of.health
        container = self._container(str(number), {"PORT": str(service.port)}) | {
            "Args": service.command,
            "Healthcheck": {
                "Test": health_command(service),
                "Interval": health.interval * _NANO,
                "Timeout": health.timeout * _NANO,
                "Retries": health.retries,
                "StartPeriod": health.start_period * _NANO,
            },
        }
        port = service.host_ports(COLOUR)[number - 1]
        published = {"Protocol": "tcp", "TargetPort": service.port, "PublishedPort": port, "PublishMode": "host"}
        return self._service(str(number), "instance", container, [published])

    def worker(self, name: str, worker: Worker) -> dict[str, Any]:
        container = self._container(name, worker.environment)
        container |= {"Args": worker.command, "Healthcheck": {"Test": ["NONE"]}}
        return self._service(name, "worker", container, [])

    def _service(self, name: str, role: str, container: Spec, ports: list[Spec]) -> dict[str, Any]:
        service, full = self.of, f"{self.of.name}-{name}"
        labels = {"slipway.service": service.name, "slipway.version": self.version, "slipway.role": role}
        condition = {"no": "none", "on-failure": "on-failure"}.get(service.restart, "any")
        task = {
            "ContainerSpec": container | {"Labels": labels},
            "Resources": {"Limits": self._limits()},
            "RestartPolicy": {"Condition": condition},
            "LogDriver": self._log_driver(),
        }
        seen = _seen_within(service) if ports else 0
        # A new task wants the port of the one before it, so that one has to stop first.
        rules = {
            "Parallelism": 0 if service.strategy == "recreate" else 1,
            "Delay": seen * _NANO,
            "Monitor": max(math.ceil(self.monitor), seen) * _NANO,  # after the last node as between two
            "MaxFailureRatio": 0,
            "Order": "stop-first",
        }
        spec = {
            "Name": full,
            "Labels": labels,
            "Mode": {"Global": {}},
            "TaskTemplate": task,
            "UpdateConfig": rules | {"FailureAction": "rollback"},
            "RollbackConfig": rules | {"FailureAction": "pause"},
            # Virtual addresses keep sending to a task that stops.
            "EndpointSpec": {"Mode": "dnsrr", "Ports": ports},
        }
        return {"name": full, "spec": spec}

    def _container(self, name: str, environment: Mapping[str, str]) -> Spec:
        service = self.of
        identity = {"INSTANCE_ID": "{{.Node.Hostname}}-" + name, "SERVICE_VERSION": self.version}
        said = {key: _literal(value) for key, value in (service.environment | dict(environment)).items()}
        return {
            "Image": image_reference(service, self.version),
            "Env": [f"{key}={value}" for key, value in sorted((said | identity).items())],
            "User": service.user,
            "ReadOnly": service.read_only,
            "StopGracePeriod": service.stop_timeout * _NANO,
            "CapabilityDrop": ["ALL"],
            "CapabilityAdd": [f"CAP_{one.upper().removeprefix('CAP_')}" for one in service.capabilities],
            "Mounts": list(self._mounts()),
        }

    def _limits(self) -> Spec:
        resources = self.of.resources
        return {
            "NanoCPUs": round(resources.cpus * _NANO),
            "MemoryBytes": size(resources.memory),
            "Pids": max(resources.pids, 0),
        }

    def _log_driver(self) -> Spec | None:
        logging = self.of.logging
        return {"Name": logging.driver, "Options": logging.options} if logging.driver or logging.options else None

    def _mounts(self) -> Iterator[Spec]:
        for volume in self.of.volumes:
            yield _bind(f"{self.directory}/volumes/{volume.name}", volume.path)
        for mount in self.of.host_mounts:
            yield _bind(mount.source, mount.path) | {"ReadOnly": True}
        for entry in self.of.tmpfs:
            options = dict(option.partition("=")[::2] for option in _options(entry))
            memory = {"SizeBytes": size(options["size"])} if "size" in options else {}
            mode = {"Mode": int(options["mode"], 8)} if "mode" in options else {}
            made = {"Type": "tmpfs", "Target": _literal(entry.partition(":")[0])}
            yield made | ({"TmpfsOptions": memory | mode} if memory | mode else {})


def size(text: str) -> int:
    """Bytes of a size of Docker's, whose units are powers of 1024 however they are spelt."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise RequestError(f"{text!r} is no size like 512M.")
    number, unit = found.groups()
    return int(float(number) * 1024 ** " kmgt".index(unit.lower() or " "))


def _seen_within(service: Service) -> int:
    """Seconds after which an edge sends requests to an instance that is back, and the next one may stop."""
    health = service.pool.get("health", {})
    interval = duration(health.get("interval") or service.ready.interval or 1)
    return math.ceil(interval * int(health.get("rise", 1))) + NOTICE


def _options(entry: str) -> list[str]:
    return [option for option in entry.partition(":")[2].split(",") if option]


def _bind(source: str, target: str) -> Spec:
    return {"Type": "bind", "Source": _literal(source), "Target": _literal(target)}


def _literal(text: str) -> str:
    """A swarm reads ``{{`` in variables and mounts as the start of a template; ``$`` means nothing to it."""
    return text.replace("{{", '{{"{{"}}')
