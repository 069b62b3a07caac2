# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What HAProxy's unit runs beside HAProxy: `wait` until it serves, `save` and `fit` its servers' state, `reload` it.

HAProxy gives a new process all that the old one knew of its servers, their ports included: a port that the inventory
changed would never arrive. So a state is fitted to the configuration whenever it is written and before each start: what
an operator set at run time stays, what the configuration says goes over what was.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Worker

ADMIN = Worker("/run/haproxy/admin.sock")
MASTER = Worker("/run/haproxy-master.sock")
CONFIG = Path("/etc/haproxy/haproxy.cfg")
STATE = Path("/var/lib/slipway/haproxy/server-state")
TIMEOUT = 20.0
"""Seconds in which HAProxy starts."""

# Columns of `show servers state`, version 1. Those after the first 20 are the ports and addresses of checks and agents,
# and whether TLS is spoken: HAProxy takes a line without them, and what the configuration says of them.
BACKEND, SERVER, ADDRESS, OPERATION, CHECK_STATUS, CHECK_RESULT, NAME, PORT, COLUMNS = 1, 3, 4, 5, 10, 11, 17, 18, 20
NONE, RUNNING, UNKNOWN = "-", "2", "0"
INITIAL = "1"
"""HAProxy's HCHK_STATUS_INI. With 0 in this column it asks the server for ever and takes no answer as a result."""


def endpoints(config: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Host and port of each server that a configuration has, by backend and server."""
    found = {}
    backend = ""
    for words in (line.split() for line in config.splitlines()):
        if words[:1] in (["backend"], ["listen"]):
            backend = words[1]
        elif words[:1] == ["server"]:
            host, _colon, port = words[2].rpartition(":")
            found[backend, words[1]] = (host.strip("[]"), port)
    return found


def fit(state: str, config: str) -> str:
    """A state with every server where the configuration has it.

    Weights, drains and maintenance stay with the server's name; what is known of its health, with its address.
    """
    configured = endpoints(config)
    return "".join(f"{_fit(line, configured)}\n" for line in state.splitlines())


def _fit(line: str, configured: dict[tuple[str, str], tuple[str, str]]) -> str:
    columns = line.split(" ")[:COLUMNS]
    wanted = configured.get((columns[BACKEND], columns[SERVER])) if len(columns) == COLUMNS else None
    if wanted is None:
        return line  # the header; or a server that is gone, which HAProxy passes over
    was = (columns[ADDRESS] if columns[NAME] == NONE else columns[NAME], columns[PORT])
    if was != wanted:
        # Without its address too: HAProxy would take it for the last known one of a name that cannot be looked up.
        columns[ADDRESS] = columns[NAME] = NONE
        columns[OPERATION], columns[CHECK_STATUS], columns[CHECK_RESULT] = RUNNING, INITIAL, UNKNOWN
        columns[PORT] = wanted[1]
    if columns[CHECK_STATUS] == UNKNOWN:
        columns[CHECK_STATUS] = INITIAL
    return " ".join(columns)


def save(state: str) -> None:
    """Replace the state file by a whole new one, or leave it."""
    staged = STATE.with_suffix(".new")
    with staged.open("w", encoding="utf-8") as file:
        file.write(fit(state, CONFIG.read_text(encoding="utf-8")))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(STATE)


def save_running() -> None:
    """Save what the running process knows."""
    state = ADMIN.ask("show servers state", TIMEOUT)
    if not state.startswith("1\n"):
        raise HaproxyError(f"HAProxy answered {state[:200]!r} to `show servers state`; its state was not saved.")
    save(state)


def fit_saved() -> None:
    """Fit what was saved before the configuration changed."""
    if STATE.exists():
        save(STATE.read_text(encoding="utf-8"))


def wait() -> None:
    """Return when the runtime socket answers, or give up."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            ADMIN.ask("show info")
            return
        except HaproxyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def reload() -> None:
    """Reload; a process that cannot start leaves the old one serving. From HAProxy 2.7 on the answer says which."""
    try:
        save_running()
    except (HaproxyError, OSError) as error:  # an old state is better than no reload
        sys.stderr.write(f"The servers' state was not saved: {error}\n")
    answer = MASTER.ask("reload", TIMEOUT)
    sys.stdout.write(f"{answer}\n")
    if answer.startswith("Success=0"):
        raise HaproxyError("The new configuration could not be started; the old process goes on.")


VERBS: dict[str, Callable[[], None]] = {"wait": wait, "save": save_running, "fit": fit_saved, "reload": reload}


def main(words: list[str]) -> str | None:
    """Do what the one word says; what went wrong, or None."""
    if len(words) != 1 or words[0] not in VERBS:
        return f"usage: haproxy_runtime {'|'.join(VERBS)}"
    try:
        VERBS[words[0]]()
    except (HaproxyError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
