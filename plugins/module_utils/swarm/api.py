# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine's own API for a swarm, over its socket: tokens and secrets go in bodies, never through a command line."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

SOCKET = "/var/run/docker.sock"
Answer = Any
PATIENCE = 60.0
"""Seconds for one answer: a host joins within its request."""


class SwarmError(Exception):
    """The engine refused, or the swarm is not as it has to be; the message says what came back and what to do."""


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


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
    connection = _Connection("docker", timeout=PATIENCE)
    try:
        connection.request(method, target, content, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
        raise SwarmError(f"the Docker engine does not answer {method} {path} on {SOCKET}: {why}") from error
    finally:
        connection.close()
    if response.status >= 400:
        raise SwarmError(f"the Docker engine answered {response.status} to {method} {path}: {_message(answer)}")
    return json.loads(answer) if answer.strip() else None


def get(path: str, query: Mapping[str, Any] | None = None) -> Answer:
    """What is there."""
    return call("GET", path, query)


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip() or "nothing"
