# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets of a service in the swarm. Nobody can read one back, nor change it: another value is another secret.

A label keeps a salted, slow hash, by which the same value is found again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.swarm.api import SwarmError, call, get

SERVICE, NAME, HASH = "slipway.service", "slipway.secret", "slipway.hash"
_ROUNDS = 200_000
CLIENT = Path("/root/.docker/config.json")


def present(service: str, values: Mapping[str, str], check: bool) -> dict[str, dict[str, str]]:
    """The secret of each value, made where none has it; in check mode such a one has no id."""
    known = _of(service)
    return {name: _found(known, name, value) or _made(service, name, value, check) for name, value in values.items()}


def reference(name: str, found: Mapping[str, str], user: str, group: str) -> dict[str, Any]:
    """How a container has it: a file in /run/secrets that its user alone reads."""
    file = {"Name": name, "UID": user, "GID": group, "Mode": 0o400}
    return {"File": file, "SecretID": found["id"], "SecretName": found["name"]}


def names(service: str) -> list[str]:
    """Those of a service that there are."""
    return sorted(one["Spec"]["Name"] for one in _of(service))


def clear(service: str, services: Sequence[Any]) -> list[str]:
    """Removes those that no service has, nor would have after a rollback; returns what a task that ends has still."""
    used = {
        one["SecretID"]
        for each in services
        for spec in (each["Spec"], each.get("PreviousSpec"))
        if spec
        for one in spec["TaskTemplate"]["ContainerSpec"].get("Secrets") or []
    }
    left = []
    for one in _of(service):
        if one["ID"] not in used:
            try:
                call("DELETE", f"/secrets/{one['ID']}")
            except SwarmError:
                left.append(str(one["Spec"]["Name"]))
    return left


def login(image: str, path: Path = CLIENT) -> dict[str, str]:
    """The header by which nodes may pull an image, of root's own login on this manager; none without one."""
    registry = image.partition("/")[0]
    try:
        words = json.loads(path.read_text(encoding="utf-8"))["auths"][registry]["auth"]
    except (OSError, ValueError, KeyError):
        return {}
    user, _, password = base64.b64decode(words).decode().partition(":")
    login = {"username": user, "password": password, "serveraddress": registry}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}


def _of(service: str) -> list[Any]:
    return list(get("/secrets", {"filters": {"label": [f"{SERVICE}={service}"]}}) or [])


def _found(known: Sequence[Any], name: str, value: str) -> dict[str, str] | None:
    for one in known:
        labels = one["Spec"]["Labels"]
        if labels.get(NAME) == name and _is(value, labels.get(HASH, "")):
            return {"id": one["ID"], "name": one["Spec"]["Name"]}
    return None


def _made(service: str, name: str, value: str, check: bool) -> dict[str, str]:
    full = name_of(service, name)
    if check:
        return {"id": "", "name": full}
    labels = {SERVICE: service, NAME: name, HASH: _hash(value, os.urandom(16))}
    body = {"Name": full, "Labels": labels, "Data": base64.b64encode(value.encode()).decode()}
    return {"id": str(call("POST", "/secrets/create", None, body)["ID"]), "name": full}


def name_of(service: str, name: str) -> str:
    """A new one: at most 64 characters, of which the first is a letter or a digit."""
    return f"{service}-{name}-{os.urandom(4).hex()}"[-64:].lstrip("-._")


def _hash(value: str, salt: bytes) -> str:
    return f"{salt.hex()}${hashlib.pbkdf2_hmac('sha256', value.encode(), salt, _ROUNDS).hex()}"


def _is(value: str, hashed: str) -> bool:
    salt = hashed.partition("$")[0]
    return bool(salt) and hmac.compare_digest(_hash(value, bytes.fromhex(salt)), hashed)
