# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker on this host: reading by the engine's socket (milliseconds), changing by its command line."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

SOCKET = "/var/run/docker.sock"


class EngineError(Exception):
    """The engine or one of its commands refused; the message carries what it said."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(path: str, query: Mapping[str, str] | None = None, timeout: float = 20) -> Any:
    """The engine's answer to a GET as data, ``None`` when there is no such object; ``timeout`` in seconds."""
    target = path + ("?" + urlencode(query) if query else "")
    try:
        status, body = exchange("GET", target, timeout)
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(f"the Docker engine does not answer on {SOCKET}: {error}") from error
    if status == 404:
        return None
    if status >= 400:
        raise EngineError(f"the Docker engine answered {status} to GET {target}: {body.decode(errors='replace')}")
    return json.loads(body)


def exchange(
    method: str, target: str, timeout: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """The status and body of one answer; an OSError or an HTTPException without one."""
    connection = _Connection(SOCKET, timeout)
    try:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def containers(labels: Sequence[str]) -> list[dict[str, Any]]:
    """All containers, running or not, that have every one of these labels."""
    filters = json.dumps({"label": list(labels)})
    return list(get("/containers/json", {"all": "1", "filters": filters}) or [])


def image_id(reference: str) -> str | None:
    """The id of an image that is on this host."""
    image = get(f"/images/{quote(reference, safe='')}/json")
    return str(image["Id"]) if image else None


def image_label(reference: str, label: str) -> str:
    """A label of an image that is on this host; empty without it."""
    image = get(f"/images/{quote(reference, safe='')}/json") or {}
    return str(((image.get("Config") or {}).get("Labels") or {}).get(label) or "")


def run(arguments: Sequence[str], timeout: float, keep_open: Sequence[int] = ()) -> str:
    """Runs a command of Docker's; its last words become the error. ``keep_open`` are descriptors that it inherits."""
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            pass_fds=tuple(keep_open),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"`{' '.join(arguments)}` did not end within {timeout:.0f} s") from error
    except OSError as error:
        raise EngineError(f"`{arguments[0]}` cannot be run: {error}") from error
    if done.returncode:
        raise EngineError(f"`{' '.join(arguments)}` failed: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def last_words(text: str, lines: int = 3) -> str:
    """The end of a program's output on one line."""
    return "; ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:]) or "it said nothing"
