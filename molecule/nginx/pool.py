"""What a pool would answer, on 127.0.0.1: HTTP on 18000, an echoing WebSocket on 18001, TLS on 18443 to 18447."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from websockets.asyncio.server import serve

CERTIFICATES = Path("/etc/slipway/certificates/backend")
AUTHORITY = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
STRANGER = Path("/etc/stranger")
FAILS = Path("/run/pool-fails")
BEGUN = Path("/run/pool-begun")
ASKED = Path("/run/pool-asked")
SAYS = Path("/run/pool-says")
ANSWERS = itertools.count(1)


class Pool(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.endswith("/asked"):
            headers = {name.lower(): value for name, value in self.headers.items()}
            ASKED.write_text(json.dumps({"method": self.command, "headers": headers}))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))  # else it is taken for the next request
        if FAILS.exists():
            return self.answer(500, {"error": "the pool's own"})
        if self.path == "/events":
            return self.events()
        if "slow" in self.path:
            time.sleep(0.5)
        says = self.path + (SAYS.read_text() if SAYS.exists() else "")
        if "missing" in says:
            return self.answer(404, {"error": "the pool's own"})
        if "compressed" in says:
            return self.compressed()
        headers = {name.lower(): value for name, value in self.headers.items()}
        shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        document = {"path": self.path, "headers": headers, "number": next(ANSWERS), "shown": shown}
        return self.answer(200, document | ({"much": "text " * 2000} if "much" in self.path else {}))

    do_HEAD = do_DELETE = do_GET

    def do_POST(self):
        if self.path.endswith("/asked"):
            return self.do_GET()
        whole = int(self.headers["Content-Length"])
        length = len(self.rfile.read(min(5, whole)))
        BEGUN.write_text(self.path)
        length += len(self.rfile.read(whole - length))
        return self.answer(200, {"length": length})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.send_header("X-Request-ID", "from-the-pool")
        self.send_header("X-Cache-Status", "from-the-pool")
        if "sets-cookie" in self.path + (SAYS.read_text() if SAYS.exists() else ""):
            self.send_header("Set-Cookie", f"session={next(ANSWERS)}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def compressed(self):
        """As a pool that compresses by itself."""
        body = gzip.compress(b'{"compressed": "by the pool"}' + b" " * 5000)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(3):
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.5)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def secured(port, place=CERTIFICATES, newest=ssl.TLSVersion.TLSv1_3):
    """A pool that speaks TLS, and asks for a certificate of the same authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=AUTHORITY)
    context.load_cert_chain(place / "fullchain.pem", place / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest
    server = ThreadingHTTPServer(("127.0.0.1", port), Pool)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def secure():
    """Once role certificate was there."""
    while not (CERTIFICATES / "key.pem").exists():
        time.sleep(0.2)
    secured(18443)
    secured(18444, STRANGER)
    secured(18445)
    secured(18446, newest=ssl.TLSVersion.TLSv1_2)
    secured(18447)


async def main():
    threading.Thread(target=secure, daemon=True).start()
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 18000), Pool).serve_forever, daemon=True).start()
    async with serve(echo, "127.0.0.1", 18001):
        await asyncio.Future()


asyncio.run(main())
