# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service as typed data: what an item of ``app_services`` says, with every default and every rule for one value.

``roles/app/meta/argument_specs.yml`` describes each field; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from ansible_collections.slipway.ops.plugins.module_utils.service.rules import (
    Anything,
    Choice,
    Content,
    Number,
    Quoted,
    Text,
)

COLOURS = ("blue", "green")
STRATEGIES = ("blue_green", "rolling", "canary", "recreate")
COLD = ("rolling", "recreate")
"""The strategies that keep no release warm."""
MIXED = "both"
"""The set that has the servers of both colours, of the pool of a canary or a rolling release."""

Label = Annotated[
    str,
    Text("a DNS label (lower-case letters, digits and dashes, a letter first)", r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"),
]
FileName = Annotated[str, Text("a plain file name", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")]
Path = Annotated[str, Text("an absolute path", r"/[^\0\n]*")]
UrlPath = Annotated[str, Text("a path that begins with /, as it stands in a URL", r"/[!$-~]*")]
Image = Annotated[
    str,
    Text(
        "an image without a tag, like registry1:5000/shop (the version is the tag)",
        r"(([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:\d+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
    ),
]
Variable = Annotated[str, Text("a name of an environment variable", r"[A-Za-z_][A-Za-z0-9_.-]*")]
Port = Annotated[int, Number(int, 1, 65535)]
Count = Annotated[int, Number(int, 1)]
Some = Annotated[int, Number(int, 0)]
Seconds = Annotated[float, Number(float, 0)]
Percent = Annotated[float, Number(float, 0, 100)]
Environment = dict[Variable, Annotated[str, Content()]]


@dataclass(frozen=True)
class Ports:
    """The first published host port of each colour; instance ``n`` (from 1) has the port ``n - 1`` above it."""

    blue: Port
    green: Port


@dataclass(frozen=True)
class Health:
    """The container's health check; times in seconds."""

    path: UrlPath = "/health"
    command: list[str] | None = None
    interval: Count = 10
    timeout: Count = 5
    retries: Count = 3
    start_period: Some = 40


@dataclass(frozen=True)
class Ready:
    """What must answer 200 before an instance gets traffic; for an empty path the reader takes that of health.

    ``interval`` and ``timeout`` are HAProxy's, in seconds.
    """

    path: Annotated[str, Text("a path that begins with /, or nothing for that of health", r"(/[!$-~]*)?")] = ""
    interval: Seconds | None = None
    timeout: Seconds | None = None


@dataclass(frozen=True)
class Resources:
    """Limits of one container."""

    cpus: Annotated[float, Number(float, 0)] = 1.0
    memory: Annotated[str, Text("a size like 512M", r"\d+(\.\d+)?([bB]|[kKmMgGtT]([iI]?[bB])?)?")] = "512M"
    pids: Annotated[int, Number(int, -1)] = 256


@dataclass(frozen=True)
class Volume:
    """A directory of the host that outlives releases, and where a container sees it. Without ``backup`` nobody is
    warned that no backup of files has it."""

    name: FileName
    path: Path
    backup: bool = True


@dataclass(frozen=True)
class HostMount:
    """A file or directory of the host, and where a container reads it."""

    source: Path
    path: Path


@dataclass(frozen=True)
class Logging:
    """Where the containers' output goes; without a driver and options, where the engine sends it."""

    driver: str = ""
    options: dict[str, Annotated[str, Content()]] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """The same image with another command and no ports, in the live colour only."""

    name: Label
    command: list[str]
    instances: Some = 1
    environment: Environment = field(default_factory=dict)


@dataclass(frozen=True)
class Watch:
    """What the prober asks while a release is watched, and where; an empty ``url`` means the service's site of nginx.

    ``version`` is false for a service whose answers give another version than its image's tag.
    """

    url: Annotated[str, Text("a URL without a path, like https://shop.example.test", r"(https?://[^\s/?#\"']+/?)?")] = (
        ""
    )
    version: bool = True
    path: UrlPath = "/"
    status: list[Annotated[int, Number(int, 100, 599)]] = field(default_factory=list)
    post_path: Annotated[str, Text("a path that begins with /, or nothing", r"(/[!$-~]*)?")] = ""
    post_body: str = "slipway"


@dataclass(frozen=True)
class Migrate:
    """A command of the image that changes the database before a release starts, once; seconds that it may take."""

    command: list[str] = field(default_factory=list)
    timeout: Annotated[float, Number(float, 1)] = 600


@dataclass(frozen=True)
class Bake:
    """For how long the hosts watch a release that is live (0 is not at all), on which port the app hosts keep what was
    decided, and from what on it is bad: a limit, and the seconds for which it must be over it."""

    seconds: Annotated[int, Number(int, 0, 14400)] = 0
    port: Port | None = None
    error_rate: Percent = 5
    error_rate_seconds: Count = 300
    latency_p95: Seconds = 2
    latency_p95_seconds: Count = 180
    cpu: Seconds = 90
    cpu_seconds: Count = 300
    memory: Percent = 95
    memory_seconds: Count = 180
    health_failures: Some = 3


@dataclass(frozen=True)
class Scaling:
    """Up to how many instances per app host there may be (0 is always ``instances``, which is the least), from which
    share of their processors on there are more and below which fewer, in percent, and for how many seconds it then
    rests."""

    max: Some = 0
    cpu_out: Percent = 70
    cpu_in: Percent = 30
    cooldown: Some = 300


@dataclass(frozen=True)
class Service:
    """A deployable application."""

    name: Label
    image: Image
    port: Port
    ports: Ports
    strategy: Annotated[str, Choice(STRATEGIES)] = "blue_green"
    instances: Count = 1
    scaling: Scaling = field(default_factory=Scaling)
    command: list[str] = field(default_factory=list)
    user: Annotated[str, Quoted("uid:gid in numbers", r"\d{1,9}(:\d{1,9})?")] = "10001:10001"
    health: Health = field(default_factory=Health)
    ready: Ready = field(default_factory=Ready)
    stop_timeout: Some = 30
    resources: Resources = field(default_factory=Resources)
    environment: Environment = field(default_factory=dict)
    secrets: dict[FileName, Annotated[str, Content()]] = field(default_factory=dict)
    volumes: list[Volume] = field(default_factory=list)
    read_only: bool = True
    tmpfs: list[Path] = field(default_factory=lambda: ["/tmp"])  # noqa: S108 (inside the container)
    capabilities: list[Annotated[str, Text("a capability like NET_BIND_SERVICE", r"[A-Za-z_]+")]] = field(
        default_factory=list
    )
    restart: Annotated[str, Choice(("no", "always", "on-failure", "unless-stopped"))] = "unless-stopped"
    networks: list[
        Annotated[
            str, Text("a network of the host's own", r"(?!(default|host|none|bridge)$)[A-Za-z0-9][A-Za-z0-9_.-]*")
        ]
    ] = field(default_factory=list)
    host_mounts: list[HostMount] = field(default_factory=list)
    logging: Logging = field(default_factory=Logging)
    workers: list[Worker] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    bake: Bake = field(default_factory=Bake)
    migrate: Migrate = field(default_factory=Migrate)
    edge_port: Port | None = None
    pool: dict[str, Annotated[Any, Anything()]] = field(default_factory=dict)

    def host_ports(self, colour: str) -> list[int]:
        """The host port of each instance of a colour, instance 1 first."""
        return self.possible_ports(colour)[: self.instances]

    def possible_ports(self, colour: str) -> list[int]:
        """Those of the instances that it may come to have, too."""
        first = int(getattr(self.ports, colour))
        return list(range(first, first + self.most))

    @property
    def most(self) -> int:
        """How many instances of a colour a host may come to have: the pools have room for as many."""
        scales = self.scaling.max and self.strategy in ("blue_green", "recreate")
        return max(self.instances, self.scaling.max) if scales else self.instances

    def worker_containers(self) -> list[tuple[str, Worker]]:
        """Each container of the workers by its name within the release."""
        return [(f"{worker.name}-{n}", worker) for worker in self.workers for n in range(1, worker.instances + 1)]

    def container_names(self, colour: str) -> list[str]:
        """The name on the host of every container of a colour."""
        project = project_name(self.name, colour)
        instances = [f"{project}-{number}" for number in range(1, self.instances + 1)]
        return instances + [f"{project}-{name}" for name, _worker in self.worker_containers()]

    def without_secrets(self) -> dict[str, Any]:
        """Plain data, the values of secrets left out."""
        return asdict(self) | {"secrets": dict.fromkeys(self.secrets, "")}


def project_name(service: str, colour: str) -> str:
    """One Compose project per colour."""
    return f"{service}-{colour}"
