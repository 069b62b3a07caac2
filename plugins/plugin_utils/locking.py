# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of a lock on a host: who asks, whether the holder still lives, and the waiting."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible.utils.display import Display
from ansible_collections.slipway.ops.plugins.module_utils.host import lock

Attempt = Callable[[dict[str, Any]], dict[str, Any]]

POLL = 2.0  # seconds between attempts


class Orphaned(Exception):
    """``ansible-playbook`` was killed and this worker of it goes on: what it would lock nobody would open."""

    def __init__(self) -> None:
        super().__init__("ansible-playbook was killed, so this task of it takes no lock. Nothing was changed.")


def controller_process() -> int:
    """The process whose death ends the run: ``ansible-playbook``, of which every task's worker is a child.

    Whoever adopts the child of a killed parent is not it, though it may be PID 1, as ``ansible-playbook`` itself is in
    a container.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return os.getppid()
    if parent.pid != os.getppid():
        raise Orphaned
    return os.getppid()


def controller() -> tuple[str, float]:
    """The identity and the start (Unix time) of that process, both of one that lives."""
    process = controller_process()
    try:
        found = lock.process_identity(process), lock.started_at(process)
    except ValueError as error:  # it has no start any more
        raise Orphaned from error
    controller_process()
    return found


def owner(task_vars: dict[str, Any]) -> str:
    """``user@controller``, and the AWX user and job when AWX runs this. Of a pipeline the user is the one whose run it
    is (``SLIPWAY_RUN_BY``, which slipway-ci sets), for all of them are root of a container."""
    user = task_vars.get("awx_user_name") or task_vars.get("tower_user_name") or os.environ.get("SLIPWAY_RUN_BY")
    user = user or getpass.getuser()
    job = task_vars.get("awx_job_id") or os.environ.get("JOB_ID") or os.environ.get("AWX_JOB_ID")
    return f"{user}@{socket.gethostname()}" + (f", AWX job {job}" if job else "")


def wait_for_lock(attempt: Attempt, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """Calls ``attempt`` with the lock's options until it has the lock, fails, or ``wait`` seconds are over.

    What it returns is the last attempt's answer, with ``waited`` (s) and ``controller_started`` (Unix time).
    """
    try:
        return _wait(attempt, options, task_vars)
    except Orphaned as error:
        return {"failed": True, "msg": str(error)}


def _wait(attempt: Attempt, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    identity, controller_started = controller()
    options = options | {"owner": owner(task_vars), "process": identity}
    started = time.monotonic()
    wait = float(options.get("wait", 0))
    announced = False
    while True:
        controller_process()
        answer = attempt(options)
        waited = time.monotonic() - started
        if answer.get("failed") or answer.get("unreachable") or answer.get("acquired"):
            return answer | {"waited": round(waited, 3), "controller_started": controller_started}
        holder = answer["holder"]
        if lock.provably_dead(holder["process"]) and options.get("dead") != holder["process"]:
            options["dead"] = holder["process"]
            continue
        who = answer["description"]
        if waited >= wait:
            told = refusal(options["name"], who, waited)
            return {"failed": True, "holder": holder, "waited": round(waited, 3), "msg": told}
        if not announced:
            Display().display(f"{options['name']} is locked by {who}; waiting up to {wait:.0f} s")
            announced = True
        time.sleep(min(POLL, wait - waited))


def refusal(name: str, who: str, waited: float) -> str:
    """Why this run stops here, and what its operator can do."""
    after = f" after waiting {waited:.0f} s" if waited >= 1 else ""
    return (
        f"{name} is locked by {who}{after}. Let that run end, or wait for it with -e deploy_lock_wait=SECONDS; "
        f"unlock.yml -e service={name} opens a lock whose run is gone. Nothing was changed."
    )
