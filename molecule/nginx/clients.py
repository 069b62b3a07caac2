"""Clients that curl cannot be: slow ones, and many at once. Each slow one has an address of its own."""

from __future__ import annotations

import collections
import http.client
import json
import socket
import ssl
import sys
import time
from pathlib import Path

NAME = "busy.example.test"
BEGUN = Path("/run/pool-begun")  # the pool writes it
CONTEXT = ssl.create_default_context(cafile="/usr/local/share/ca-certificates/slipway-internal-ca.crt")
HEAD = f"POST / HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: slow\r\nContent-Length: 1000\r\n"


def connected(address, name=NAME):
    plain = socket.create_connection(("127.0.0.1", 443), timeout=60, source_address=(address, 0))
    return CONTEXT.wrap_socket(plain, server_hostname=name)


def slow_headers(address):
    client = connected(address)
    client.sendall(HEAD.encode())
    return client


def slow_body(address):
    client = connected(address)
    client.sendall(f"{HEAD}\r\nonly the beginning".encode())
    return client


def still_there(client):
    """Whether nginx neither answered nor closed."""
    client.setblocking(False)
    try:
        client.recv(1)
    except (ssl.SSLWantReadError, BlockingIOError):
        return True
    return False


def asked():
    """The status that an ordinary client gets, and its seconds."""
    began = time.monotonic()
    connection = http.client.HTTPSConnection("127.0.0.1", context=CONTEXT, timeout=60)
    connection.sock = connected("127.0.0.1")
    connection.request("GET", "/", headers={"Host": NAME, "User-Agent": "ordinary"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.monotonic() - began


def crowd(number):
    slow = [slow_headers(f"127.1.0.{n}") for n in range(1, number + 1)]
    slow += [slow_body(f"127.2.0.{n}") for n in range(1, number + 1)]
    answers = [asked() for _ in range(100)]
    seconds = sorted(took for _, took in answers)
    return {
        "statuses": collections.Counter(str(status) for status, _ in answers),
        "slow": sum(still_there(client) for client in slow),
        "p50": round(seconds[50], 4),
        "p99": round(seconds[98], 4),
    }


def hold(number, address):
    """Keeps requests under way until it is ended."""
    slow = [slow_body(address) for _ in range(number)]
    print(len(slow), flush=True)
    time.sleep(300)


def upload(path, patience):
    """Sends the end of a body once the pool has had its beginning, or when it does not get it in time."""
    BEGUN.unlink(missing_ok=True)
    client = connected("127.0.0.1", "www.example.test")
    client.sendall(f"POST {path} HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 10\r\n\r\nfirst".encode())
    until = time.monotonic() + patience
    while not (begun := BEGUN.exists()) and time.monotonic() < until:
        time.sleep(0.05)
    client.sendall(b"-last")
    return {"begun": begun, "answer": client.recv(1000).decode().splitlines()[0]}


if sys.argv[1] == "crowd":
    print(json.dumps(crowd(int(sys.argv[2]))))
elif sys.argv[1] == "upload":
    print(json.dumps(upload(sys.argv[2], float(sys.argv[3]))))
else:
    hold(int(sys.argv[2]), sys.argv[3])
