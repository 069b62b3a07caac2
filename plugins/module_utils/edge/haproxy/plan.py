# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the services of the inventory to the pools of the edge, refusing what cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.edge.words import WordError, haproxy_word
from ansible_collections.slipway.ops.plugins.module_utils.net.address import (
    AddressError,
    join_host_port,
    reached_at,
    split_host_port,
)
from ansible_collections.slipway.ops.plugins.module_utils.net.names import is_address
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, MIXED, Service

POOL_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SET_NAME = re.compile(r"[a-z][a-z0-9]*")
SERVER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
BIND_HOST = re.compile(r"\*|[0-9.]+|[0-9a-fA-F:.]+")
SERVER_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9a-fA-F:.]+")
RESERVED = {"slipway_metrics"}


def pools_of(services: Iterable[Service], hosts: list[str], hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pools for `services` that run on `hosts`; services without `edge_port` are not behind the edge."""
    pools = [_pool(service, hosts, hostvars) for service in services if service.edge_port]
    problems = pool_problems(pools)
    if problems:
        raise HaproxyError("; ".join(problems))
    return pools


def _pool(service: Service, hosts: list[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    if not hosts:
        raise HaproxyError(f"Service {service.name} has no hosts to run on.")
    ready = service.ready
    seconds = {"interval": ready.interval, "timeout": ready.timeout}
    health = {"path": ready.path} | {
        key: f"{value * 1000:.0f}ms" for key, value in seconds.items() if value is not None
    }
    sets = {
        colour: [
            {"name": f"{host}-{number}", "address": join_host_port(_address(host, hostvars), port)}
            | ({"spare": True} if number > service.instances else {})
            for host in hosts
            for number, port in enumerate(service.possible_ports(colour), start=1)
        ]
        for colour in COLOURS
    }
    canary: dict[str, Any] = {}
    if service.strategy in ("canary", "rolling"):
        sets[MIXED] = [server | {"name": f"{colour}-{server['name']}"} for colour in COLOURS for server in sets[colour]]
    if service.strategy == "canary":
        # In turn, clients that ask in a rhythm would each have a release of their own: nothing could be compared.
        canary = {"balance": "random"}
    return {
        "name": service.name,
        "bind": f"127.0.0.1:{service.edge_port}",
        **canary,
        **service.pool,
        "health": health | service.pool.get("health", {}),
        "sets": sets,
    }


def _address(host: str, hostvars: Mapping[str, Any]) -> str:
    """`app_address` of the host; its inventory name when it has none or listens on all."""
    return reached_at(host, str(hostvars.get(host, {}).get("app_address") or host))


def pool_problems(pools: list[dict[str, Any]]) -> list[str]:
    """What is wrong with `haproxy_pools` that their types cannot say, one sentence each."""
    problems: list[str] = []
    binds: dict[str, str] = {}
    backends: dict[str, str] = {}
    for pool in pools:
        name, bind = str(pool.get("name")), str(pool.get("bind"))
        if not POOL_NAME.fullmatch(name) or name in RESERVED:
            problems.append(f"pool {name!r}: a name has lower-case letters, digits and hyphens")
        if not _host_of(BIND_HOST, bind):
            problems.append(f"pool {name!r}: bind {bind!r} is not an address and port, like 127.0.0.1:18000")
        if bind in binds:
            problems.append(f"pools {binds[bind]!r} and {name!r} have the same bind {bind}")
        binds[bind] = name
        if bool(pool.get("sets")) == bool(pool.get("servers")):
            problems.append(f"pool {name!r}: give either `sets` or `servers`, and not empty")
        for backend in [f"{name}-{set_name}" for set_name in pool.get("sets") or {}] or [name]:
            if backend in backends:
                problems.append(f"pools {backends[backend]!r} and {name!r} both make a backend {backend!r}: rename one")
            backends[backend] = name
        problems += _tcp_problems(name, pool)
        problems += _health_problems(name, pool)
        problems += _server_problems(name, pool.get("sets") or {"": pool.get("servers") or []})
    return problems


def _tcp_problems(name: str, pool: Mapping[str, Any]) -> Iterator[str]:
    """What only one of the modes has."""
    if pool.get("mode", "http") == "tcp":
        for key in ("sets", "sticky", "circuit_breaker", "queue", "slow_start"):
            if pool.get(key):
                yield f"pool {name!r}: `{key}` is for HTTP, its mode is tcp"
    else:
        for key in ("port", "ca", "method"):
            if (pool.get("health") or {}).get(key):
                yield f"pool {name!r}: `health.{key}` is for mode tcp"


def _health_problems(name: str, pool: Mapping[str, Any]) -> Iterator[str]:
    health = pool.get("health") or {}
    for key, value in health.items():
        try:
            haproxy_word(value)
        except WordError as error:
            yield f"pool {name!r}: `health.{key}`: {error}"
    if re.search(r"^[^/]|\s", str(health.get("path", ""))):
        yield f"pool {name!r}: `health.path` {health['path']!r} begins with / and has no blanks"
    hosts = [_host_of(SERVER_HOST, str(server.get("address"))) for server in pool.get("servers") or []]
    if health.get("ca") and any(is_address(host) for host in hosts):
        yield f"pool {name!r}: with `health.ca` servers have names, for HAProxy finds no address in a certificate"


def _server_problems(pool: str, sets: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    for set_name, servers in sets.items():
        where = f"pool {pool!r}" + (f", set {set_name!r}" if set_name else "")
        if set_name and not SET_NAME.fullmatch(set_name):
            yield f"{where}: a set's name has lower-case letters and digits, no hyphen"
        if set_name and not servers:
            yield f"{where} has no servers"
        seen = set()
        for server in servers:
            unknown = set(server) - {"name", "address", "weight", "maxconn", "backup", "spare"}
            name, address = str(server.get("name")), str(server.get("address"))
            if not SERVER_NAME.fullmatch(name) or "name" not in server:
                yield f"{where}: {name!r} is not a server's name"
            if name in seen:
                yield f"{where} has two servers {name!r}"
            if not _host_of(SERVER_HOST, address):
                wrong = f"address {address!r} is not a host and port, like app1:8000 or [fd00::5]:8000"
                yield f"{where}, server {name!r}: {wrong}"
            if not re.fullmatch(r"[0-9]{1,3}", str(server.get("weight", 100))) or int(server.get("weight", 100)) > 256:
                yield f"{where}, server {name!r}: weight {server['weight']} is not between 0 and 256"
            if unknown:
                yield f"{where}, server {name!r}: unknown {', '.join(sorted(unknown))}"
            seen.add(name)


def _host_of(pattern: re.Pattern[str], text: str) -> str:
    """The host of an address with a port; empty when it is none."""
    try:
        host = split_host_port(text)[0]
    except AddressError:
        return ""
    return host if pattern.fullmatch(host) else ""
