# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A timer of the host that lets paused pools get on when whoever paused them does not come back.

It starts this module, which role pgbouncer installs, with the socket's directory and the port.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.pause import resume

PROGRAM = Path("/usr/local/lib/slipway/slipway_pgbouncer")
MODULE = "ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.dead_man"


def unit(port: int) -> str:
    """Of the timer and of what it starts, without the kind."""
    return f"slipway-pgbouncer-resume-{port}"


def arm(where: tuple[str, int], seconds: float) -> None:
    """From now on so many seconds, whoever asked before."""
    socket, port = where
    if not PROGRAM.exists():
        raise PgbouncerError(f"nothing was paused: {PROGRAM}, which would end the pause, is not there; run site.yml")
    disarm(port)
    armed = _run(
        [
            *("systemd-run", "--quiet", "--collect", f"--unit={unit(port)}", f"--on-active={seconds:g}"),
            *("--timer-property=AccuracySec=100ms", "--description=Let pgBouncer's paused pools get on"),
            *(f"--setenv=PYTHONPATH={PROGRAM}", "--setenv=PYTHONDONTWRITEBYTECODE=1"),
            *("python3", "-m", MODULE, socket, str(port)),
        ]
    )
    if armed.returncode:
        raise PgbouncerError(f"nothing was paused, because nothing would end the pause: {armed.stderr.strip()}")


def disarm(port: int) -> None:
    """Whether or not there is one; what it has started already ends."""
    _run(["systemctl", "stop", f"{unit(port)}.timer"])


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))


def main(argv: Sequence[str]) -> int:
    """What the timer starts: every pool that waits gets on."""
    try:
        resumed, _ = resume((argv[0], int(argv[1])), [], check_mode=False)
    except PgbouncerError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"got on by themselves, for nobody resumed them: {', '.join(resumed) or 'none was paused'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
