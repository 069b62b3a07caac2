# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the services of the inventory to the pools of the edge, refusing what cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.haproxy import HaproxyError

POOL_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SET_NAME = re.compile(r"[a-z][a-z0-9]*")
SERVER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
BIND = re.compile(r"(\*|[0-9.]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
ADDRESS = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
RESERVED = {"slipway_metrics"}


def pools_of(services: list[dict[str, Any]], hosts: list[str], hostvars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pools for `services` that run on `hosts`; services without `edge_port` are not behind the edge."""
    behind = [service for service in services if service.get("edge_port")]
    taken: dict[int, str] = {}
    pools = []
    for service in behind:
        for port, user in _published(service):
            if port in taken:
                raise HaproxyError(f"Port {port} of the app hosts is {taken[port]}'s and {user}'s: move `ports` apart.")
            taken[port] = user
        pools.append(_pool(service, hosts, hostvars))
    problems = pool_problems(pools)
    if problems:
        raise HaproxyError("; ".join(problems))
    return pools


def _published(service: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Each host port that a service publishes, and who has it."""
    name = service.get("name") or "(a service without name)"
    missing = [key for key in ("name", "ports") if not service.get(key)]
    if missing:
        raise HaproxyError(f"Service {name} has `edge_port` but no {', '.join(f'`{key}`' for key in missing)}.")
    for set_name, first in service["ports"].items():
        for port in range(_number(name, f"ports.{set_name}", first), int(first) + _instances(service)):
            if not 0 < port < 65536:
                raise HaproxyError(
                    f"Service {name}: `ports.{set_name}` {first} leads to port {port}, which does not exist."
                )
            yield port, f"{name} {set_name}"


def _instances(service: dict[str, Any]) -> int:
    count = _number(service["name"], "instances", service.get("instances", 1))
    if count < 1:
        raise HaproxyError(
            f"Service {service['name']}: `instances` is {count}; a service behind the edge has at least one."
        )
    return count


def _number(name: str, key: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise HaproxyError(f"Service {name}: `{key}` is a number, not {value!r}.") from None


def _pool(service: dict[str, Any], hosts: list[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    if not hosts:
        raise HaproxyError(f"Service {service['name']} has no hosts to run on.")
    ready = service.get("ready") or service.get("health") or {}
    health = {"path": ready.get("path", "/ready")}
    # In app_services durations are numbers of seconds.
    health |= {key: f"{round(float(ready[key]) * 1000)}ms" for key in ("interval", "timeout") if key in ready}
    settings = service.get("pool") or {}
    return {
        "name": service["name"],
        "bind": f"127.0.0.1:{_number(service['name'], 'edge_port', service['edge_port'])}",
        **settings,
        "health": health | settings.get("health", {}),
        "sets": {
            set_name: [
                {"name": f"{host}-{n}", "address": f"{_address(host, hostvars)}:{int(first) + n - 1}"}
                for host in hosts
                for n in range(1, _instances(service) + 1)
            ]
            for set_name, first in service["ports"].items()
        },
    }


def _address(host: str, hostvars: Mapping[str, Any]) -> str:
    """`app_address` of the host, else its inventory name; IPv6 in brackets."""
    address = str(hostvars.get(host, {}).get("app_address") or host)
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def pool_problems(pools: list[dict[str, Any]]) -> list[str]:
    """What is wrong with `haproxy_pools` that their types cannot say, one sentence each."""
    problems: list[str] = []
    binds: dict[str, str] = {}
    backends: dict[str, str] = {}
    for pool in pools:
        name, bind = str(pool.get("name")), str(pool.get("bind"))
        if not POOL_NAME.fullmatch(name) or name in RESERVED:
            problems.append(f"pool {name!r}: a name has lower-case letters, digits and hyphens")
        if not _port_of(BIND, bind):
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


def _server_problems(pool: str, sets: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    for set_name, servers in sets.items():
        where = f"pool {pool!r}" + (f", set {set_name!r}" if set_name else "")
        if set_name and not SET_NAME.fullmatch(set_name):
            yield f"{where}: a set's name has lower-case letters and digits, no hyphen"
        if set_name and not servers:
            yield f"{where} has no servers"
        seen = set()
        for server in servers:
            unknown = set(server) - {"name", "address", "weight", "maxconn", "backup"}
            name, address = str(server.get("name")), str(server.get("address"))
            if not SERVER_NAME.fullmatch(name) or "name" not in server:
                yield f"{where}: {name!r} is not a server's name"
            if name in seen:
                yield f"{where} has two servers {name!r}"
            if not _port_of(ADDRESS, address):
                yield f"{where}, server {name!r}: address {address!r} is not a host and port, like app1:8000"
            if not 0 <= int(server.get("weight", 100)) <= 256:
                yield f"{where}, server {name!r}: weight {server['weight']} is not between 0 and 256"
            if unknown:
                yield f"{where}, server {name!r}: unknown {', '.join(sorted(unknown))}"
            seen.add(name)


def _port_of(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.fullmatch(text)
    return int(found[2]) if found and 0 < int(found[2]) < 65536 else None
