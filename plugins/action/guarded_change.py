# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.guarded_change``: keeps the change over a connection made after it."""

from __future__ import annotations

import time
import uuid
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

PAUSE = 1
GRACE = 30  # seconds for a host that has taken the change back to answer again
OURS = ("attempt", "keep")


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        arguments = {name: value for name, value in self._task.args.items() if name not in OURS}
        arguments["attempt"] = uuid.uuid4().hex
        try:
            made: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:  # what cuts the connection takes its own answer with it
            return result | {"changed": True} | self._keep(arguments, task_vars, str(error))
        attempt = made.pop("attempt", None)
        if attempt is None or made.get("failed") or made.get("unreachable"):
            return result | made
        return result | made | self._keep(arguments, task_vars)

    def _keep(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None, trouble: str = "") -> dict[str, Any]:
        name, within = arguments["name"], int(arguments.get("within") or 60)
        give_up = time.monotonic() + within + GRACE
        answers = False
        while time.monotonic() < give_up:
            answer = self._ask_afresh({**arguments, "keep": True}, task_vars)
            if answer.get("kept"):
                return {"kept": True}
            if answer.get("taken_back"):
                return {"failed": True, "kept": False} | _taken_back(name, within, answer, trouble)
            answers = "kept" in answer  # and knows of no such change: a lost one that is still being made, or never was
            trouble = trouble if answers else " ".join(str(answer.get("msg", answer)).split())
            time.sleep(PAUSE)
        if answers:
            return {"failed": True, "kept": False, "changed": False, "msg": _not_made(name, trouble)}
        return {"failed": True, "kept": False, "msg": _silent(name, within, trouble)}

    def _ask_afresh(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """What the host answers over a new connection; why it does not, otherwise."""
        try:
            self._connection.reset()
            answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"msg": str(error)}
        return answer


def _taken_back(name: str, within: int, answer: dict[str, Any], trouble: str) -> dict[str, str]:
    why = f" ({trouble})" if trouble else ""
    told = (
        f"The change of {name} would have locked this controller out: no fresh connection succeeded within {within} "
        f"seconds{why}. The host took it back at {answer['taken_back']} and has what it had before. Correct the "
        "change, then run again."
    )
    return {"msg": told, "taken_back": answer["taken_back"]}


def _not_made(name: str, trouble: str) -> str:
    return (
        f"The change of {name} was not made: the connection was lost before the host had it ({trouble}). The host "
        "answers again and has what it had before. Run again."
    )


def _silent(name: str, within: int, trouble: str) -> str:
    return (
        f"The change of {name} is not kept: no fresh connection to this host has succeeded since ({trouble}). The host "
        f"was to take it back by itself after {within} seconds, and does not answer. Look at it from its console, at "
        f"/var/lib/slipway/guard/{name}."
    )
