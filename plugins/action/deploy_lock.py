# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.deploy_lock``: who asks, whether the holder still lives, and the waiting."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.ops.plugins.module_utils import lock

POLL = 2.0  # seconds between attempts


def controller_process() -> int:
    """The process whose death ends the run: ``ansible-playbook``, of which every task's worker is a child."""
    return os.getppid()


def owner(task_vars: dict[str, Any]) -> str:
    """``user@controller``, and the AWX user and job when AWX runs this."""
    user = task_vars.get("awx_user_name") or task_vars.get("tower_user_name") or getpass.getuser()
    job = task_vars.get("awx_job_id") or os.environ.get("JOB_ID") or os.environ.get("AWX_JOB_ID")
    return f"{user}@{socket.gethostname()}" + (f", AWX job {job}" if job else "")


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("state", "present") == "absent":
            return result | self._execute_module(module_args=arguments, task_vars=task_vars)
        arguments |= {"owner": owner(task_vars), "process": lock.process_identity(controller_process())}
        return result | self._wait(arguments, task_vars) | {"controller_started": lock.started_at(controller_process())}

    def _wait(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        wait = float(arguments.get("wait", 0))
        announced = False
        while True:
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
            waited = time.monotonic() - started
            if answer.get("failed") or answer.get("unreachable") or answer.get("acquired"):
                return answer | {"waited": round(waited, 3)}
            holder = answer["holder"]
            if lock.provably_dead(holder["process"]) and arguments.get("dead") != holder["process"]:
                arguments["dead"] = holder["process"]
                continue
            who = answer["description"]
            if waited >= wait:
                return {
                    "failed": True,
                    "holder": holder,
                    "waited": round(waited, 3),
                    "msg": refusal(arguments["name"], who, waited),
                }
            if not announced:
                Display().display(f"{arguments['name']} is locked by {who}; waiting up to {wait:.0f} s")
                announced = True
            time.sleep(min(POLL, wait - waited))


def refusal(name: str, who: str, waited: float) -> str:
    """Why this run stops here, and what its operator can do."""
    after = f" after waiting {waited:.0f} s" if waited >= 1 else ""
    return (
        f"{name} is locked by {who}{after}. Let that run end, or wait for it with -e deploy_lock_wait=SECONDS. "
        "Nothing was changed."
    )
