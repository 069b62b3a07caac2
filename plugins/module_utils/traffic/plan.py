# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to send where, how often and for how long."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import ssl
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError, split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.url import Url, UrlError, parse_url

CLIENTS = ("keep_alive", "fresh", "post", "websocket", "http2")
MAX_RATE = 2000.0  # requests per second, all clients together
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class TrafficError(Exception):
    """The prober cannot do what was asked; the message is for the operator."""


@dataclass(frozen=True)
class Plan:
    """The whole order to a prober; survives as JSON. Times are seconds, rates requests per second by client."""

    name: str
    url: str
    rates: dict[str, float]
    post_url: str = ""
    websocket_url: str = ""
    address: str = ""
    server_name: str = ""
    ca_file: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "{}"
    content_type: str = "application/json"
    connections: int = 10
    timeout: float = 10.0
    max_duration: float = 600.0
    success_codes: list[int] = field(default_factory=list)
    version_header: str = "X-Service-Version"
    version_field: str = "version"

    def url_of(self, client: str) -> str:
        """The URL that a client uses; a POST or a WebSocket without one of its own uses `url`."""
        if client == "post":
            return self.post_url or self.url
        if client == "websocket":
            return self.websocket_url or re.sub(r"^http", "ws", self.url)
        return self.url

    def target(self, client: str) -> Url:
        """Where a client connects, before `address` overrides it."""
        try:
            return parse_url(self.url_of(client), ("ws", "wss") if client == "websocket" else ("http", "https"))
        except UrlError as error:
            raise TrafficError(str(error)) from None

    def endpoint(self, client: str) -> tuple[str, int]:
        """Host and port that a client's connections go to."""
        target = self.target(client)
        if not self.address:
            return target.host, target.port
        try:
            return split_host_port(self.address, target.port)
        except AddressError as error:
            raise TrafficError(f"address: {error}") from None

    def active(self) -> list[str]:
        """The clients that have a rate."""
        return [client for client in CLIENTS if self.rates.get(client)]

    def succeeds(self, status: int) -> bool:
        """Whether an HTTP status counts as success: `success_codes`, or 200 to 399 when there are none."""
        return status in self.success_codes if self.success_codes else 200 <= status < 400

    def tls_context(self) -> ssl.SSLContext:
        """Verification is always on."""
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise TrafficError(f"ca_file {self.ca_file}: {error.strerror or error}; it must be a PEM file") from None

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        return cls(**json.loads(text))


def check_name(name: str) -> None:
    """Refuses a prober's name that cannot be a directory's."""
    if not _NAME.fullmatch(name):
        raise TrafficError(
            f"name {name!r} must be at most 63 lower-case letters, digits, dots, dashes and underscores, "
            "and start with a letter or digit"
        )


def check(plan: Plan) -> None:
    """Refuses a plan that cannot work, without touching the network."""
    check_name(plan.name)
    unknown = sorted(set(plan.rates) - set(CLIENTS))
    if unknown:
        raise TrafficError(f"rates has no client {unknown[0]!r}; there are {', '.join(CLIENTS)}")
    if not plan.active():
        raise TrafficError("rates are all 0: nothing would be sent")
    if min(plan.rates.values()) < 0 or sum(plan.rates.values()) > MAX_RATE:
        raise TrafficError(f"rates must not be negative and not exceed {MAX_RATE:g} requests/s together")
    _check_range("timeout", plan.timeout, 0.05, 300)
    _check_range("max_duration", plan.max_duration, 1, 86400)
    _check_range("connections", plan.connections, 1, 200)
    for name, value in plan.headers.items():
        if not _HEADER_NAME.fullmatch(name) or re.search(r"[\r\n\x00]", value):
            raise TrafficError(f"header {name!r} is not one line of a name and a value")
    for client in plan.active():
        plan.endpoint(client)


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise TrafficError(f"{name} is {value:g}; it must be from {least:g} to {most:g}")


def check_on_host(plan: Plan) -> None:
    """Refuses a plan that this host cannot carry out: name resolution, CA file, packages. Sends nothing."""
    check(plan)
    for client in plan.active():
        host, port = plan.endpoint(client)
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a host name"
            raise TrafficError(
                f"{host} cannot be resolved on {socket.gethostname()}: {reason}; correct the URL or set `address`"
            ) from None
    if plan.ca_file and not Path(plan.ca_file).is_file():
        raise TrafficError(f"ca_file {plan.ca_file} does not exist on {socket.gethostname()}")
    plan.tls_context()
    if plan.rates.get("http2"):
        _check_http2(plan)


def _check_http2(plan: Plan) -> None:
    if not plan.target("http2").tls:
        raise TrafficError("The http2 client needs an https URL: HTTP/2 is negotiated in the TLS handshake")
    if importlib.util.find_spec("h2") is None:
        raise TrafficError(
            f"The http2 client needs python3-h2 on {socket.gethostname()}: install it there, or set rates.http2 to 0"
        )
