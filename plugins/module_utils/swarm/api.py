# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine's own API for a swarm, over its socket: tokens and secrets go in bodies, never through a command line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ansible_collections.slipway.ops.plugins.module_utils.release import engine

Answer = Any
PATIENCE = 60.0
"""Seconds for one answer: a host joins within its request."""


class SwarmError(Exception):
    """The engine refused, or the swarm is not as it has to be; the message says what came back and what to do."""


def call(
    method: str,
    path: str,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The engine's answer as data, ``None`` for nothing; filters in ``query`` may be data too."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (query or {}).items()}
    target = path + ("?" + urlencode(texts) if texts else "")
    content = None if body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json", **(headers or {})}
    try:
        status, answer = engine.exchange(method, target, PATIENCE, content, kind)
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
        raise SwarmError(f"the Docker engine does not answer {method} {path} on {engine.SOCKET}: {why}") from error
    if status >= 400:
        raise SwarmError(f"the Docker engine answered {status} to {method} {path}: {_message(answer)}")
    return json.loads(answer) if answer.strip() else None


def get(path: str, query: Mapping[str, Any] | None = None) -> Answer:
    """What is there."""
    return call("GET", path, query)


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip() or "nothing"
