# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the hosts of a bake agree while nobody controls them: each app host keeps a board that all edges read.

Whoever sees a trigger hold says so on every board that it reaches, and every edge follows what any board says. What is
said is signed with the release's own key, and only ever added to: a release goes from good to bad, never back.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.address import split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.release.bake import proven, sign

PATIENCE = 1.0
"""Seconds for one board's answer: those that do not answer must not keep an edge from what the others say."""
LARGEST = 4096
WENT_BACK = "back"
"""What came of it, the last word of an edge; any other says why it could not go back yet."""
SIGNATURE = "X-Slipway-Signature"


@dataclass
class Said:
    """What is on a board: why the release is bad, who said so, and of each edge that went back, what came of it."""

    run: str
    reason: str = ""
    by: str = ""
    edges: dict[str, str] = field(default_factory=dict)

    def merge(self, other: Said) -> None:
        """Takes over what another says of the same release; the first reason stays."""
        if other.run != self.run:
            return
        if other.reason and not self.reason:
            self.reason, self.by = other.reason, other.by
        back = {edge: WENT_BACK for edge, outcome in self.edges.items() if outcome == WENT_BACK}
        self.edges = self.edges | other.edges | back


def encode(said: Said) -> bytes:
    """As it goes over the wire."""
    return json.dumps(asdict(said)).encode()


def decode(key: str, body: bytes, signature: str) -> Said | None:
    """What was said, if it was said by one of the release's hosts."""
    if not proven(key, body, signature):
        return None
    try:
        told = json.loads(body)
        edges = {str(edge): str(outcome) for edge, outcome in told["edges"].items()}
        return Said(str(told["run"]), str(told["reason"]), str(told["by"]), edges)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Board(ThreadingHTTPServer):
    """An app host's board."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, key: str, run: str) -> None:
        host, port = split_host_port(address)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.key, self._said, self._lock = key, Said(run), threading.Lock()
        super().__init__((host, port), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def exchange(self, said: Said) -> Said:
        """Adds what a host says, and tells it what all said."""
        with self._lock:
            self._said.merge(said)
            return Said(**asdict(self._said))


class _Handler(BaseHTTPRequestHandler):
    server: Board
    timeout = PATIENCE

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST:
            self.send_error(413)
            return
        said = decode(self.server.key, self.rfile.read(int(length)), self.headers.get(SIGNATURE, ""))
        if said is None:
            self.send_error(403)
            return
        body = encode(self.server.exchange(said))
        self.send_response(200)
        self.send_header(SIGNATURE, sign(self.server.key, body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A line each second would be nobody's news."""


def exchange(boards: Sequence[str], key: str, said: Said) -> set[str]:
    """Tells all boards what this host knows, takes over what they know, and returns those that answered."""
    body, answered = encode(said), set()
    # One that does not answer must not keep the others waiting, however many those are.
    with ThreadPoolExecutor(max_workers=max(len(boards), 1)) as pool:
        for board, heard in zip(boards, pool.map(lambda board: _ask(board, key, body), boards), strict=True):
            if heard:
                answered.add(board)
                said.merge(heard)
    return answered


def _ask(board: str, key: str, body: bytes) -> Said | None:
    host, port = split_host_port(board)
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("POST", "/", body, {SIGNATURE: sign(key, body)})
        answer = connection.getresponse()
        told = answer.read(LARGEST)
        return decode(key, told, answer.getheader(SIGNATURE, "")) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
