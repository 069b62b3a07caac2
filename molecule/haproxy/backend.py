"""A tiny application server for the scenario: `backend.py <set>-<name>-<port>`.

Answers with its identity, the request's id and the address it came to. /ready says 503 while
/run/backends/<identity>.down exists, and every other path 500 while ….broken does; `?ms=` delays; /hold waits while
hold exists there; a request to upgrade becomes an echo, without the frames of a real WebSocket.
"""

import base64
import hashlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

IDENTITY, _, PORT = sys.argv[1].rpartition("-")
STATE = Path("/run/backends")


class Handler(BaseHTTPRequestHandler):
    """Every path and method."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        """Answer with who this is."""
        if self.headers.get("Upgrade"):
            return self.echo()
        url = urlsplit(self.path)
        time.sleep(int(parse_qs(url.query).get("ms", ["0"])[0]) / 1000)
        while url.path == "/hold" and (STATE / "hold").exists():
            time.sleep(0.05)
        if url.path == "/ready":
            return self.answer(503 if (STATE / f"{IDENTITY}.down").exists() else 200)
        return self.answer(500 if (STATE / f"{IDENTITY}.broken").exists() else 200)

    def do_POST(self):
        """Count what is posted, so that a test sees one done twice."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with (STATE / f"{IDENTITY}.posts").open("ab") as file:
            file.write(body + b"\n")
        if self.path == "/hang-up":
            self.close_connection = True
            return
        self.do_GET()

    def answer(self, status):
        """Send status and identity."""
        host, port = self.connection.getsockname()
        body = f"{IDENTITY} {self.headers.get('X-Request-ID')} {host}:{port}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self):
        """Send back every byte, until the other side ends."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.end_headers()
        self.close_connection = True
        while data := self.rfile.read1(4096):
            self.wfile.write(data)

    def log_message(self, *_):
        """Stay silent."""


class Server(ThreadingHTTPServer):
    """With room for bursts."""

    request_queue_size = 256


Server(("", int(PORT)), Handler).serve_forever()
