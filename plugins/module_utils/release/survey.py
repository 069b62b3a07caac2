# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is true on this host about a service: containers, image, ports, free space, history. Reads only."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import bare_host
from ansible_collections.slipway.ops.plugins.module_utils.release import bake, engine, history
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")


class SurveyError(Exception):
    """What the inventory says of this host is not so."""


@dataclass(frozen=True)
class Question:
    """What to look for: how many ``instances`` a colour should have, an ``image`` with its tag, and the ``ports`` that
    each colour publishes on ``address`` (the default route's when empty)."""

    service: str
    instances: int = 1
    image: str = ""
    ports: Mapping[str, Sequence[int]] = field(default_factory=dict)
    address: str = ""


def survey(question: Question, directory: Path) -> dict[str, Any]:
    """Everything a release needs to know of this host; ``directory`` is the service's."""
    found = [_container(item) for item in engine.containers([f"slipway.service={question.service}"])]
    address = bare_host(question.address) if question.address else default_address()
    if question.ports:
        check_address(address)
    ours = {port for item in found for port in item["ports"]}
    image = question.image
    return {
        "address": address,
        "directory": str(directory),
        "instances": question.instances,
        "containers": found,
        "colours": {colour: _colour(colour, found, question.instances) for colour in COLOURS},
        "image": {"reference": image, "id": engine.image_id(image)} if image else None,
        "ports_taken": {colour: taken_ports(address, ports, ours) for colour, ports in question.ports.items()},
        "disk": [free_space(path) for path in (directory / "releases", Path(engine.get("/info")["DockerRootDir"]))],
        "history": history.read(directory / "history.jsonl"),
        "bake": baking(question.service),
    }


def baking(service: str) -> dict[str, Any]:
    """The bake that goes on; empty when none does."""
    found = bake.read_standing(service) if bake.read_order(service) else None
    return asdict(found) if found and found.state == "baking" else {}


def _container(item: Mapping[str, Any]) -> dict[str, Any]:
    labels = item["Labels"]
    health = _HEALTH.search(item.get("Status", ""))
    return {
        "name": item["Names"][0].lstrip("/"),
        "colour": labels.get("slipway.colour", ""),
        "version": labels.get("slipway.version", ""),
        "role": labels.get("slipway.role", ""),
        "state": item["State"],
        "health": health.group(1) if health else "none",
        "status": item.get("Status", ""),
        "ports": sorted({port["PublicPort"] for port in item.get("Ports", []) if "PublicPort" in port}),
    }


def _colour(colour: str, found: Iterable[Mapping[str, Any]], instances: int) -> dict[str, Any]:
    """One version, or none when the colour is empty or mixed; complete when every instance runs."""
    ours = [item for item in found if item["colour"] == colour and item["role"] == "instance"]
    versions = {item["version"] for item in ours}
    running = sum(item["state"] == "running" and item["health"] != "unhealthy" for item in ours)
    version = versions.pop() if len(versions) == 1 else None
    return {"version": version, "running": running, "complete": version is not None and running >= instances}


def default_address() -> str:
    """The address of the interface that the default route uses, IPv6 where there is none of IPv4; nothing is sent."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
    return "127.0.0.1"


def taken_ports(address: str, ports: Sequence[int], ours: set[int]) -> dict[str, str]:
    """The ports that someone else listens on, each with who that is."""
    return {str(port): _listener(port) for port in ports if port not in ours and not _is_free(address, port)}


def check_address(address: str) -> None:
    """Raises :class:`SurveyError` when nothing here can listen on an address."""
    try:
        _bind(address, 0)
    except OSError as error:
        raise SurveyError(f"app_address {address} is no address of this host: {error.strerror or error}") from error


def _is_free(address: str, port: int) -> bool:
    try:
        _bind(address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _bind(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))


def _listener(port: int) -> str:
    command = ["ss", "--no-header", "--listening", "--tcp", "--processes", f"sport = :{port}"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "another program"
    process = re.search(r'users:\(\("([^"]+)",pid=(\d+)', listing)
    return f"{process.group(1)} (process {process.group(2)})" if process else "another program"


def free_space(path: Path) -> dict[str, Any]:
    """Bytes that are free where ``path`` is or will be."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    state = os.statvfs(existing)
    return {"path": str(path), "free": state.f_bavail * state.f_frsize, "inodes_free": state.f_favail}
