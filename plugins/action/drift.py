# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a playbook in check mode beneath this one, with its inventory and secrets, as M(slipway.ops.drift) describes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.plugin_utils import drift

SETTINGS = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
    "ANSIBLE_JSON_INDENT": "0",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
}
PATIENCE = 10.0
"""Seconds that a run has to end its workers, which are of sessions of their own."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """What is under way is cleared away when this worker is told to end. Ansible's own handler leaves at once."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def leave(number: int, _: object) -> None:
        for one in former:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number in former:
            signal.signal(number, leave)
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ends a run and all beneath it; what it has said."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=PATIENCE)
    process.wait()
    return "", ""


class ActionModule(ActionBase):
    """Runs on the controller alone; no connection is made."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "playbook": {"type": "path", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "timeout": {"type": "float", "default": 3600},
            }
        )
        if not Path(given["playbook"]).is_file():
            raise AnsibleActionFail(f"There is no playbook {given['playbook']}. Nothing was compared.")
        at, began = timestamp(), time.monotonic()
        output, errors = self._compare(given["playbook"], given["timeout"])
        found = drift.read(output, errors, given["hosts"])
        return {
            "changed": False,
            "verdict": found.verdict,
            "lines": found.lines(),
            "sentence": found.sentence(),
            "records": found.records(at, round(time.monotonic() - began, 3)),
            "differences": found.artifact(),
        }

    def _compare(self, playbook: str, timeout: float) -> tuple[str, str]:
        # Its session is its own, so who stops this run does not reach it: it is told here.
        with _stoppable(), tempfile.TemporaryDirectory(prefix="slipway-drift-") as place:
            options = [*self._secrets(Path(place)), *drift.arguments(context.CLIARGS, playbook)]
            process = subprocess.Popen(
                [sys.executable, "-m", "ansible", "playbook", *options],
                env=os.environ | SETTINGS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            try:
                return process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                output, errors = _end(process)
                return output, f"{errors} It was ended after {timeout:g} s, drift_timeout."
            finally:
                if process.poll() is None:
                    _end(process)

    def _secrets(self, place: Path) -> Iterator[str]:
        """What this run was told at a prompt or read from files, in files that only its user reads, while it runs."""
        known = [
            (f"--vault-id={name}@", secret.bytes)
            for name, secret in (self._loader._vault.secrets or [])
            if secret.bytes
        ]
        passwords = {"--connection-password-file=": "password", "--become-password-file=": "become_pass"}
        for option, attribute in passwords.items():
            password = getattr(self._play_context, attribute, None)
            known += [(option, str(password).encode())] if password else []
        for number, (option, content) in enumerate(known):
            path = place / str(number)
            path.touch(mode=0o600)
            path.write_bytes(content)
            yield f"{option}{path}"
