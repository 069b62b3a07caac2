"""Hosts that only answer a scrape: `/NUMBER/metrics` is one of them.

Runs in a container, with the standard library alone: `python3 simulated_targets.py FILE SERIES`. Each answers what a
real node exporter said (the file), filled up to so many series. Whatever is posted is taken, as an alert's receiver
takes it.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 9999
FILLER = "simulated_total"


def page(real: list[str], series: int) -> bytes:
    """The part that is the same for all: comments, and so many series but one."""
    samples = sum(not line.startswith("#") for line in real)
    filler = [f'{FILLER}{{number="{number}"}} {number}' for number in range(series - samples - 1)]
    return "\n".join([*real, f"# TYPE {FILLER} counter", *filler, "# TYPE simulated_seconds counter", ""]).encode()


class Target(BaseHTTPRequestHandler):
    """Answers for every target."""

    same = b""

    def do_GET(self) -> None:
        self._answer(self.same + f"simulated_seconds {time.monotonic():.3f}\n".encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    Target.same = page(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines(), int(sys.argv[2]))
    ThreadingHTTPServer(("0.0.0.0", PORT), Target).serve_forever()
