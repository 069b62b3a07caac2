# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.backup_run``: asks the host again and again, and prints what it says."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

RETRY = 10.0  # seconds between two attempts while another backup runs
LOST = 300.0  # seconds for which a host may be unreachable while its backup goes on


class ActionModule(ActionBase):
    _supports_check_mode = True
    work = "backup"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        host = task_vars.get("inventory_hostname", "")
        ends = time.monotonic() + float(arguments.get("wait") or 0)
        answer = self._once(arguments, task_vars, host)
        while skipped(answer) and time.monotonic() < ends:
            Display().display(f"{host}: it is tried again for {ends - time.monotonic():.0f} s")
            time.sleep(min(RETRY, max(0.0, ends - time.monotonic())))
            answer = self._once(arguments, task_vars, host)
        failures = [entry["reason"] for entry in answer.get("results") or [] if entry["verdict"] == "fail"]
        if arguments.get("type") in ("full", "verify"):
            failures += [f"{arguments['type']} was not made: {reason}" for reason in skipped(answer)]
        if failures:
            answer |= {"failed": True, "msg": " ".join(failures)}
        return result | answer

    def _once(self, arguments: dict[str, Any], task_vars: dict[str, Any], host: str) -> dict[str, Any]:
        """Starts a run and follows it to its end."""
        first = answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        heard_at = time.monotonic()
        while not answer.get("failed"):
            if answer.get("unreachable"):
                if not first.get("run") or time.monotonic() - heard_at > LOST:
                    return answer
                Display().display(f"{host}: cannot be reached; its {self.work} goes on")
                time.sleep(RETRY)
            else:
                heard_at, last = time.monotonic(), answer
                tell(host, answer)
                if answer.get("results") is not None:
                    return answer | {"joined": first.get("joined", False)}
                arguments = arguments | {"run": last["run"], "offset": last["offset"]}
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        return answer


def tell(host: str, answer: dict[str, Any]) -> None:
    """Prints what is new, if anything is."""
    lines = answer.pop("lines", None) or []
    if lines:
        Display().display("\n".join(f"{host}: {line}" for line in lines))


def skipped(answer: dict[str, Any]) -> list[str]:
    """What was in the way, of each that another run kept from being made. A standby, which leaves backups to its
    primary, needs no second try."""
    reasons = (str(entry["reason"]) for entry in answer.get("results") or [] if entry["verdict"] == "skip")
    return [reason for reason in reasons if "is a standby" not in reason]
