"""Steady traffic for the scenario: `load.py <port> <report>`, until <report>.stop exists (at most 300 s).

Keep-alive GET, keep-alive POST and fresh connections; a WebSocket-like echo stays open. Nothing is retried.
"""

import collections
import http.client
import json
import socket
import sys
import threading
import time
from pathlib import Path

PORT, REPORT = int(sys.argv[1]), Path(sys.argv[2])
STOP = REPORT.with_name(REPORT.name + ".stop")
DEADLINE = time.monotonic() + 300
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
counts = collections.Counter()
failures = []


def client(kind, method, fresh):
    """One client: a request every 5 ms at most."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    number = 0
    while not STOP.exists() and time.monotonic() < DEADLINE:
        number += 1
        body = f"{kind}-{threading.get_ident()}-{number}" if method == "POST" else None
        try:
            connection.request(method, "/?ms=2", body)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                raise OSError(f"status {answer.status}")
            counts[kind] += 1
            counts[text.split("-")[0]] += 1
        except (OSError, http.client.HTTPException) as error:
            failures.append({"kind": kind, "at": time.time(), "error": repr(error)})
            connection.close()
        if fresh:
            connection.close()
        time.sleep(0.005)


def tunnel():
    """One connection that is upgraded and echoes all the time."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=5) as connection:
        connection.sendall(HANDSHAKE)
        if not connection.recv(4096).startswith(b"HTTP/1.1 101"):
            failures.append({"kind": "tunnel", "at": time.time(), "error": "not upgraded"})
            return
        while not STOP.exists() and time.monotonic() < DEADLINE:
            try:
                connection.sendall(b"ping")
                if (answer := connection.recv(64)) != b"ping":
                    raise OSError(f"echo was {answer!r}")
                counts["tunnel"] += 1
            except OSError as error:
                failures.append({"kind": "tunnel", "at": time.time(), "error": repr(error)})
                return
            time.sleep(0.05)


threads = [threading.Thread(target=client, args=kind) for kind in [("keepalive", "GET", False)] * 4]
threads += [threading.Thread(target=client, args=kind) for kind in [("post", "POST", False)] * 4]
threads += [threading.Thread(target=client, args=kind) for kind in [("fresh", "GET", True)] * 2]
threads.append(threading.Thread(target=tunnel))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
REPORT.write_text(json.dumps({"counts": counts, "failures": failures}), encoding="utf-8")
