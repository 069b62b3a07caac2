"""Exits 0 when this container's own service answers 200: `sample-service healthcheck [path]`.

Imports next to nothing, for it runs every few seconds in every container.
"""

import os
import socket
import sys

TIMEOUT = 5  # seconds


def status(port: int, path: str) -> int:
    """The HTTP status that the service on this container's loopback answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


def main() -> int:
    port = int(os.environ.get("PORT", "8000"))
    path = sys.argv[1] if len(sys.argv) > 1 else "/health"
    try:
        answer = status(port, path)
    except (OSError, IndexError, ValueError) as error:
        print(f"GET 127.0.0.1:{port}{path}: {error or type(error).__name__}")
        return 1
    print(f"GET 127.0.0.1:{port}{path}: {answer}")
    return 0 if answer == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
