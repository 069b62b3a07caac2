# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the metrics on the cards of all hosts to what one Prometheus scrapes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

Target = Mapping[str, Any]


def jobs(targets: Iterable[Target], host: str) -> list[dict[str, Any]]:
    """The scrapes of a Prometheus on ``host``: one for each job and login, with all its targets."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for target in targets:
        if within_reach(target, host):
            login = tuple(str(target.get(name) or "") for name in ("job", "username", "password"))
            found.setdefault(login, []).extend(_targets(target))
    jobs_so_far = [job for job, *_ in found]
    names = [
        f"{job}-{number}" if (number := jobs_so_far[: at + 1].count(job)) > 1 else job
        for at, job in enumerate(jobs_so_far)
    ]
    return [
        {"name": name, "job": job, "username": username, "password": password, "targets": there}
        for name, ((job, username, password), there) in zip(names, found.items(), strict=True)
    ]


def out_of_reach(targets: Iterable[Target], host: str) -> list[str]:
    """What is measured but listens on another host's loopback, one sentence each."""
    return [
        f"{one['host']}: {one['job']} listens on {one['address']}, where Prometheus on {host} cannot scrape it"
        for one in targets
        if not within_reach(one, host)
    ]


def within_reach(target: Target, host: str) -> bool:
    return target["host"] == host or not is_loopback(str(target.get("address") or ""))


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _targets(target: Target) -> list[dict[str, Any]]:
    """One, or each of its probes: those of other hosts, asked of this exporter."""
    address = str(target.get("address") or "")
    exporter = {
        "address": join_host_port(address if is_loopback(address) else str(target["reached_at"]), int(target["port"])),
        "host": str(target["host"]),
        "scheme": str(target.get("scheme") or "http"),
        "path": str(target.get("path") or "/metrics"),
        "labels": {},
    }
    if "probes" not in target:
        return [exporter]
    return [exporter | {"host": str(probe["host"]), "labels": _labels(probe)} for probe in target["probes"]]


def _labels(probe: Mapping[str, Any]) -> dict[str, str]:
    """What Prometheus sends of them as parameters, and what tells one probe's series from another's."""
    labels = {
        "instance": probe["instance"],
        "kind": probe["kind"],
        "__param_module": probe["kind"],
        "__param_target": probe["target"],
    }
    return labels | ({"__param_hostname": probe["hostname"]} if probe["hostname"] else {})
