# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One item of ``app_services`` as typed data; ``roles/app/meta/argument_specs.yml`` describes every field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

COLOURS = ("blue", "green")
VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ServiceError(Exception):
    """A description or a request that cannot be meant; the message says what to write instead."""


@dataclass(frozen=True)
class Ports:
    """The first published host port of each colour; instance ``n`` (from 1) has the port ``n - 1`` above it."""

    blue: int
    green: int


@dataclass(frozen=True)
class Health:
    """The container's health check; times in seconds."""

    path: str = "/health"
    command: list[str] | None = None
    interval: int = 10
    timeout: int = 5
    retries: int = 3
    start_period: int = 40


@dataclass(frozen=True)
class Ready:
    """What must answer 200 before an instance gets traffic; an empty path means that of the health check.

    ``interval`` and ``timeout`` are HAProxy's, in seconds.
    """

    path: str = ""
    interval: float | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Resources:
    """Limits of one container."""

    cpus: float = 1.0
    memory: str = "512M"
    pids: int = 256


@dataclass(frozen=True)
class Volume:
    """A directory of the host that outlives releases, and where a container sees it."""

    name: str
    path: str


@dataclass(frozen=True)
class HostMount:
    """A file or directory of the host, and where a container reads it."""

    source: str
    path: str


@dataclass(frozen=True)
class Worker:
    """The same image with another command and no ports, in the live colour only."""

    name: str
    command: list[str]
    instances: int = 1
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Watch:
    """What the prober asks while a release is watched, and where; an empty ``url`` means the service's site of nginx.

    ``version`` is false for a service whose answers give another version than its image's tag.
    """

    url: str = ""
    version: bool = True
    path: str = "/"
    status: list[int] = field(default_factory=list)
    post_path: str = ""
    post_body: str = "slipway"


@dataclass(frozen=True)
class Service:
    """A deployable application."""

    name: str
    image: str
    port: int
    ports: Ports
    strategy: str = "blue_green"
    instances: int = 1
    command: list[str] = field(default_factory=list)
    user: str = "10001:10001"
    health: Health = field(default_factory=Health)
    ready: Ready = field(default_factory=Ready)
    stop_timeout: int = 30
    resources: Resources = field(default_factory=Resources)
    environment: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    volumes: list[Volume] = field(default_factory=list)
    read_only: bool = True
    tmpfs: list[str] = field(default_factory=lambda: ["/tmp"])  # noqa: S108 (inside the container)
    capabilities: list[str] = field(default_factory=list)
    restart: str = "unless-stopped"
    networks: list[str] = field(default_factory=list)
    host_mounts: list[HostMount] = field(default_factory=list)
    logging: dict[str, Any] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    edge_port: int | None = None
    pool: dict[str, Any] = field(default_factory=dict)

    @property
    def ready_path(self) -> str:
        """Where readiness is asked."""
        return self.ready.path or self.health.path

    def first_port(self, colour: str) -> int:
        """The host port of the colour's first instance."""
        return int(getattr(self.ports, colour))

    def host_ports(self, colour: str) -> list[int]:
        """The host port of each instance of a colour, instance 1 first."""
        return [self.first_port(colour) + offset for offset in range(self.instances)]


_NESTED = {"ports": Ports, "health": Health, "ready": Ready, "resources": Resources, "watch": Watch}
_NESTED_LISTS = {"volumes": Volume, "host_mounts": HostMount, "workers": Worker}


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f" (known: {', '.join(sorted(known)) or 'none'})"


def _build(kind: type, data: Mapping[str, Any], where: str) -> Any:
    known = {item.name: item for item in fields(kind)}
    for key in data:
        if key not in known:
            raise ServiceError(f"{where} has no option {key}{_nearest(key, list(known))}")
    for name, item in known.items():
        if name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise ServiceError(f"{where} needs the option {name}.")
    values = dict(data)
    for name, nested in _NESTED.items():
        if name in values and name in known:
            values[name] = _build(nested, values[name], f"{name} of {where}")
    for name, nested in _NESTED_LISTS.items():
        if name in values and name in known:
            values[name] = [_build(nested, item, f"an item of {name} of {where}") for item in values[name]]
    return kind(**values)


def _plain(value: Any) -> Any:
    """Plain data: what a template gives is of Ansible's own types, which can be neither copied nor written as YAML."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (str, int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value


def parse_service(data: Mapping[str, Any]) -> Service:
    """An item of ``app_services`` with its defaults filled in; :class:`ServiceError` says what is wrong with it."""
    name = str(data.get("name", "?"))
    if not NAME.fullmatch(name):
        raise ServiceError(f"The service name {name!r} is not a DNS label: lower-case letters, digits and dashes.")
    service: Service = _build(Service, _plain(data), f"service {name}")
    if service.strategy != "blue_green":
        raise ServiceError(f"Service {name}: the strategy {service.strategy} is not known; use blue_green.")
    shared = set(service.host_ports("blue")) & set(service.host_ports("green"))
    if shared:
        raise ServiceError(
            f"Service {name}: blue and green would share port {min(shared)}; "
            f"leave at least {service.instances} ports between ports.blue and ports.green."
        )
    return service


def find_service(services: Sequence[Mapping[str, Any]], name: str) -> Service:
    """The service called ``name``; an unknown name is answered with the nearest known one."""
    for item in services:
        if item.get("name") == name:
            return parse_service(item)
    raise ServiceError(
        f"There is no service {name} in app_services{_nearest(name, [str(item.get('name')) for item in services])}"
    )


def without_secrets(service: Service) -> dict[str, Any]:
    """A service as plain data, its secrets' values left out."""
    plain = asdict(service)
    return plain | {"secrets": dict.fromkeys(plain["secrets"], "")}


def check_version(version: str) -> str:
    """The version when it can be an image tag and a directory name."""
    if not VERSION.fullmatch(version) or version in (".", ".."):
        raise ServiceError(
            f"{version!r} cannot be a version: tags have letters, digits, dots, dashes, underscores, at most 128."
        )
    return version
