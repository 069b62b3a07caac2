# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory says of files: a host's sources with their defaults, and the clients of a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KEYS = "/etc/slipway/restic/keys"
USER = "restic-rest-server"
DEFAULTS: dict[str, Any] = {"exclude": [], "schedule": "daily", "retention": 30, "watch": []}


def sources_of(given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Complete; ``retention`` is in days."""
    named = [{"retention" if key == "retention_days" else key: one[key] for key in one} for one in given]
    return [{**DEFAULTS, **one, "retention": int(one.get("retention", DEFAULTS["retention"]))} for one in named]


def clients_of(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], directory: str, patience: float
) -> list[dict[str, Any]]:
    """Those hosts whose files the server has: name, password, and ``kept``, what its program knows of them."""
    found = []
    for host in hosts:
        theirs = hostvars[host]
        if not theirs.get("restic_sources") or theirs.get("restic_repository"):
            continue
        name = str(theirs.get("restic_name") or host)
        place = f"{directory}/{name}"
        repository = {"where": place, "key": f"{KEYS}/{name}", "secrets": "", "cache": "", "user": USER}
        retention = {one["name"]: one["retention"] for one in sources_of(theirs["restic_sources"])}
        kept = {
            "name": name,
            "directory": place,
            "retention": retention,
            "repository": repository | {"patience": patience},
        }
        found.append({"name": name, "password": str(theirs.get("restic_password") or ""), "kept": kept})
    return found
