# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run of pgBackRest that tells where it is while it runs, and how it ended."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.data.status import seconds_of
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import reason
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.progress import Progress
from ansible_collections.slipway.ops.plugins.module_utils.host.run import as_user, environment

TICK = 3.0  # seconds between two lines at most

Tell = Callable[[str], None]


@dataclass
class Outcome:
    """How it ended: exit status, seconds, the label of a new backup, pgBackRest's own reason, its output, its start."""

    code: int
    seconds: float
    label: str | None = None
    reason: str = ""
    lines: list[str] = field(default_factory=list)
    at: str = field(default_factory=timestamp)

    @property
    def began(self) -> float:
        """Unix time."""
        return seconds_of(self.at)


class _Stop:
    """Passes SIGTERM on to a process; one that comes while the process is being started reaches it, too."""

    def __init__(self) -> None:
        self._asked = False
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, *_: object) -> None:
        self._asked = True
        self._pass_on()

    def reaches(self, process: subprocess.Popen[str]) -> None:
        """Names the process, once it is there."""
        self._process = process
        self._pass_on()

    def _pass_on(self) -> None:
        if self._asked and self._process:
            self._process.terminate()


def watch(argv: Sequence[str], user: str, tell: Tell, tick: float = TICK) -> Outcome:
    """Runs it to the end and tells a line whenever the phase changes, and every ``tick`` seconds.

    SIGTERM is passed on, so that pgBackRest ends in order and its end is still recorded.
    """
    progress, at, began = Progress(), timestamp(), time.monotonic()
    stop = _Stop()
    former = signal.signal(signal.SIGTERM, stop)
    try:
        process = subprocess.Popen(
            list(argv),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd="/",
            env=environment(),
            **as_user(user),
        )
        stop.reaches(process)
        reader = threading.Thread(target=_read, args=(process, progress), daemon=True)
        reader.start()
        _tell_until_end(reader, progress, began, tell, tick)
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, former)
    lines = list(progress.lines)
    why = reason(lines) if code else ""
    if code < 0:
        why = f"it was ended by the signal {signal.Signals(-code).name}"
    return Outcome(code, time.monotonic() - began, progress.label, why, lines, at)


def _read(process: subprocess.Popen[str], progress: Progress) -> None:
    for line in process.stdout or ():
        progress.take(line.rstrip("\n"))


def _tell_until_end(reader: threading.Thread, progress: Progress, began: float, tell: Tell, tick: float) -> None:
    told, next_line = "", 0.0
    while reader.is_alive():
        reader.join(0.1)
        if progress.phase != told or time.monotonic() >= next_line:
            told, next_line = progress.phase, time.monotonic() + tick
            tell(described(progress, time.monotonic() - began))


def described(progress: Progress, seconds: float) -> str:
    """One line: elapsed time, phase, what is copied and what share of all that is."""
    words = f"{seconds:7.1f} s  {progress.phase}"
    if progress.copied:
        words += f", {to_byte_size(progress.copied)} read"
    if progress.percent is not None:
        words += f", {progress.percent:.1f} %"
    return words
