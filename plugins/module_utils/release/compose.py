# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Compose project of one release on one host: ``compose.yml`` as data, and an environment file per container."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service, Worker, project_name

_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=-]*")
# An image brings one of these, or its service sets health.command.
_PROBE = """\
if command -v curl >/dev/null; then exec curl --globoff --fail --silent --output /dev/null "$1"
elif command -v wget >/dev/null; then exec wget -q -O /dev/null "$1"
elif command -v python3 >/dev/null; then exec python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1])' "$1"
else echo 'no curl, wget or python3 in the image: set health.command' >&2; exit 1; fi"""


@dataclass(frozen=True)
class Place:
    """Where a release runs: the host, the address its ports are bound to, and the service's directory."""

    host: str
    address: str
    directory: str


def image_reference(service: Service, version: str) -> str:
    """The image of a version; the version is the tag."""
    return f"{service.image}:{version}"


def health_command(service: Service) -> list[str]:
    """How the engine asks an instance whether it is healthy."""
    if service.health.command:
        return ["CMD", *service.health.command]
    return ["CMD", "sh", "-c", _PROBE, "sh", f"http://127.0.0.1:{service.port}{service.health.path}"]


def release_files(service: Service, version: str, colour: str, place: Place) -> dict[str, str | dict[str, Any]]:
    """The files of a release by name: ``compose.yml`` and ``release.json`` as data, environment files as text."""
    release = _Release(service, version, colour, place)
    services: dict[str, Any] = {}
    files: dict[str, str | dict[str, Any]] = {}
    for number in range(1, service.instances + 1):
        name = f"app-{number}"
        services[name] = release.instance(name, number)
        files[f"{name}.env"] = env_file(release.environment(f"{place.host}-{number}") | {"PORT": str(service.port)})
    workers = service.worker_containers()
    for name, worker in workers:
        services[name] = release.worker(name, worker)
        files[f"{name}.env"] = env_file(release.environment(f"{place.host}-{name}") | worker.environment)
    networks: dict[str, Any] = {"default": {}} | {network: {"external": True} for network in service.networks}
    files["compose.yml"] = _literal({"name": release.project, "services": services, "networks": networks})
    files["release.json"] = {
        "image": image_reference(service, version),
        "version": version,
        "colour": colour,
        "workers": [name for name, _worker in workers],
    }
    return files


class _Release:
    def __init__(self, service: Service, version: str, colour: str, place: Place) -> None:
        self.service, self.version, self.colour, self.place = service, version, colour, place
        self.project = project_name(service.name, colour)

    def environment(self, instance: str) -> dict[str, str]:
        identity = {"INSTANCE_ID": instance, "SERVICE_VERSION": self.version, "SERVICE_COLOUR": self.colour}
        return self.service.environment | identity

    def instance(self, name: str, number: int) -> dict[str, Any]:
        service = self.service
        port = service.host_ports(self.colour)[number - 1]
        definition = self._container(name, f"{self.project}-{number}", "instance")
        definition["ports"] = [f"{join_host_port(self.place.address, port)}:{service.port}"]
        definition["healthcheck"] = {
            "test": health_command(service),
            "interval": f"{service.health.interval}s",
            "timeout": f"{service.health.timeout}s",
            "retries": service.health.retries,
            "start_period": f"{service.health.start_period}s",
        }
        if service.command:
            definition["command"] = service.command
        return definition

    def worker(self, name: str, worker: Worker) -> dict[str, Any]:
        definition = self._container(name, f"{self.project}-{name}", "worker")
        definition["command"] = worker.command
        definition["healthcheck"] = {"disable": True}
        # Without its profile a plain `docker compose up` leaves the workers of the colour that is not live alone.
        definition["profiles"] = ["live"]
        return definition

    def _container(self, name: str, container_name: str, role: str) -> dict[str, Any]:
        service = self.service
        definition: dict[str, Any] = {
            "image": image_reference(service, self.version),
            "pull_policy": "never",
            "container_name": container_name,
            "user": service.user,
            "env_file": [f"{name}.env"],
            "labels": {
                "slipway.service": service.name,
                "slipway.version": self.version,
                "slipway.colour": self.colour,
                "slipway.role": role,
            },
            "networks": ["default", *service.networks],
            "volumes": self._volumes(),
            "read_only": service.read_only,
            "tmpfs": service.tmpfs,
            "cap_drop": ["ALL"],
            "cap_add": service.capabilities,
            "security_opt": ["no-new-privileges:true"],
            "cpus": service.resources.cpus,
            "mem_limit": service.resources.memory,
            "pids_limit": service.resources.pids,
            "restart": service.restart,
            "stop_grace_period": f"{service.stop_timeout}s",
        }
        logging = {key: value for key, value in vars(service.logging).items() if value}
        if logging:
            definition["logging"] = logging
        return definition

    def _volumes(self) -> list[dict[str, Any]]:
        directory = self.place.directory
        mounts = [_bind(f"{directory}/volumes/{volume.name}", volume.path) for volume in self.service.volumes]
        if self.service.secrets:
            # The directory, not each file: a secret that site.yml replaces is seen without a restart.
            mounts.append(_bind(f"{directory}/secrets", "/run/secrets", read_only=True))
        return mounts + [_bind(mount.source, mount.path, read_only=True) for mount in self.service.host_mounts]


def _bind(source: str, target: str, read_only: bool = False) -> dict[str, Any]:
    mount = {"type": "bind", "source": source, "target": target, "bind": {"create_host_path": False}}
    return mount | ({"read_only": True} if read_only else {})


def _literal(tree: Any) -> Any:
    """Compose reads ``$`` in any value as the start of a variable; doubled it is itself."""
    if isinstance(tree, dict):
        return {key: _literal(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_literal(item) for item in tree]
    return tree.replace("$", "$$") if isinstance(tree, str) else tree


def env_file(values: Mapping[str, str]) -> str:
    """Lines that Compose reads back as exactly these values."""
    return "".join(f"{name}={_quoted(values[name])}\n" for name in sorted(values))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    escaped = escaped.replace("\r", "\\r")
    return f'"{escaped}"'
