# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a killed run leaves behind for the next one: a lock that dies with its holder, and a journal that does not."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import ConfigTreeError


def default_state_directory() -> str:
    """Where the lock and the journal are: one place a host, so that every run finds what any run left."""
    if os.geteuid() == 0:
        return "/var/lib/slipway/config_tree"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "slipway/config_tree")


@dataclass
class Entry:
    """``phase``: `stage` (nothing swapped), `trial` (swapped, not yet checked) or `commit` (checked, being swapped)."""

    phase: str
    workspaces: list[str]
    changed: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


class Journal:
    """One entry, replaced whole and on disk before the function returns."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "journal.json")

    def read(self) -> Entry | None:
        try:
            with open(self._path, encoding="utf-8") as stream:
                return Entry(**json.load(stream))
        except FileNotFoundError:
            return None

    def write(self, entry: Entry) -> None:
        new = self._path + ".new"
        with open(new, "w", encoding="utf-8") as stream:
            json.dump(asdict(entry), stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(new, self._path)
        sync_directory(self._directory)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
            sync_directory(self._directory)


@contextlib.contextmanager
def locked(directory: str, timeout: float) -> Iterator[None]:
    """Hold the host's one lock; wait at most `timeout` seconds for another run to end."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, "lock")
    deadline = time.monotonic() + timeout
    with open(path, "a+", encoding="utf-8") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigTreeError(
                        f"another config_tree run holds {path} for more than {timeout:g} s; "
                        "wait for it to end or see what its checker waits for. Nothing was changed"
                    ) from None
                time.sleep(0.05)
        yield


def sync_directory(path: str) -> None:
    """Put a directory's entries on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
