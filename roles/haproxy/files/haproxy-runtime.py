#!/usr/bin/python3
"""What HAProxy's unit needs beside HAProxy.

    haproxy-runtime wait|save|reload

`wait` returns when the process serves. `save` writes weights, drains and health, so that a new process starts with
what the old one knew. `reload` saves, then asks the master process; from HAProxy 2.7 on it answers when the new
process serves, or why it does not.
"""

import os
import socket
import sys
import time
from pathlib import Path

ADMIN = "/run/haproxy/admin.sock"
MASTER = "/run/haproxy-master.sock"
STATE = Path("/var/lib/slipway/haproxy/server-state")
TIMEOUT = 20  # seconds


def ask(path, command):
    """One command, one answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(path)
        connection.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def save():
    """Replace the state file by the whole new one, or leave it."""
    state = ask(ADMIN, "show servers state")
    if not state.startswith("1\n"):
        raise OSError(f"unexpected answer to `show servers state`: {state[:200]!r}")
    staged = STATE.with_suffix(".new")
    with staged.open("w", encoding="utf-8") as file:
        file.write(state)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(STATE)


def wait():
    """Return when the runtime socket answers, or give up."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return ask(ADMIN, "show info")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def reload():
    """Reload; a process that cannot start leaves the old one serving."""
    try:
        save()
    except OSError as error:  # an old state is better than no reload
        print(f"haproxy-runtime: state not saved: {error}", file=sys.stderr)
    answer = ask(MASTER, "reload")
    print(answer.strip())
    if answer.startswith("Success=0"):
        sys.exit("haproxy-runtime: the new configuration could not be started; the old process goes on")


if __name__ == "__main__":
    try:
        {"wait": wait, "save": save, "reload": reload}[sys.argv[1]]()
    except (OSError, IndexError, KeyError) as error:
        sys.exit(f"haproxy-runtime: {error!r}")
