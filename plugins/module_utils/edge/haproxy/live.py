# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The map file that says which set of each pool is live, so that a restarted HAProxy comes back the same.

What serves is the truth: where the running process and the file differ, the file is behind. A switch therefore makes
the new file durable under another name, switches the running process, and only then renames the file. Killed before
the command, nothing has happened; killed after it, the requests already go where they should and whoever comes next
(pool_switch, pool_prepare) writes the file from the running process. A full disk is noticed before anything switches.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError

HEADER = "# Which set of each pool is live. Written by Slipway (pool_switch); the running HAProxy has the same map.\n"


@dataclass(frozen=True)
class LiveMap:
    """The map file: one line `<pool> <set>` for each pool with sets."""

    path: Path

    @property
    def _staged(self) -> Path:
        return self.path.with_name(self.path.name + ".new")

    @contextlib.contextmanager
    def locked(self, timeout: float = 30) -> Iterator[None]:
        """Let one writer at a time through; wait at most `timeout` seconds for another one."""
        deadline = time.monotonic() + timeout
        if not self.path.parent.is_dir():
            raise HaproxyError(f"There is no directory {self.path.parent}: has role haproxy been applied to this host?")
        with self.path.with_name(self.path.name + ".lock").open("w", encoding="ascii") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise HaproxyError(
                            f"Another task has held {lock.name} for {timeout:g} s; see who has it with `fuser`."
                        ) from None
                    time.sleep(0.02)
            yield

    def text(self) -> str:
        """The file as it is; empty when it does not exist."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def entries(self) -> dict[str, str]:
        """What the file says: pool → set."""
        lines = (line.split() for line in self.text().splitlines() if line.strip() and not line.startswith("#"))
        return {fields[0]: fields[1] for fields in lines if len(fields) == 2}

    @staticmethod
    def render(entries: dict[str, str]) -> str:
        """The content for these entries."""
        return HEADER + "".join(f"{pool} {live}\n" for pool, live in sorted(entries.items()))

    def stage(self, entries: dict[str, str]) -> None:
        """Make the next file durable under another name, replacing what a killed run left there."""
        try:
            with self._staged.open("w", encoding="utf-8") as file:
                file.write(self.render(entries))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
        except OSError as error:
            raise HaproxyError(
                f"Could not write {self._staged} ({error.strerror}): nothing was switched. Is the disk full?"
            ) from error

    def commit(self) -> None:
        """Let the staged file take the place of the old one, durably."""
        self._staged.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
