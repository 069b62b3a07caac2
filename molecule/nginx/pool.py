"""What a pool would answer, on 127.0.0.1: HTTP on 18000, an echoing WebSocket on 18001."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.asyncio.server import serve


class Pool(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/events"):
            return self.events()
        if self.path.startswith("/missing"):
            return self.answer(404, {"error": "the pool's own"})
        return self.answer(200, {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}})

    def do_POST(self):
        length = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, {"length": length})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.send_header("X-Request-ID", "from-the-pool")
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


async def main():
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 18000), Pool).serve_forever, daemon=True).start()
    async with serve(echo, "127.0.0.1", 18001):
        await asyncio.Future()


asyncio.run(main())
