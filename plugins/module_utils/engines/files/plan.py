# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role left: which files of this host are backed up, where, and whose repositories it keeps."""

from __future__ import annotations

import fcntl
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.data import Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import shrinkage
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import Repository, Snapshot

ENGINE = "files"
PREFIX = ".slipway-"  # what a restore puts beside its target; never backed up
COMPARED = 5  # snapshots before the newest
_REWRITTEN = 0.8
_FEW = 10  # files, whose shares say nothing


@dataclass(frozen=True)
class Source:
    """Files that belong together, a snapshot each time. ``retention`` is in days."""

    name: str
    paths: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    weekly: bool = False
    retention: float = 30.0


@dataclass(frozen=True)
class Kept:
    """A client's repository on this host, the only one that removes anything from it."""

    name: str
    repository: Repository
    directory: Path
    retention: Mapping[str, float]


@dataclass(frozen=True)
class Plan:
    """``parts`` is how many verifications read all of a repository."""

    name: str
    state: Path
    scratch: Path
    sources: tuple[Source, ...]
    repository: Repository | None
    kept: tuple[Kept, ...]
    parts: int = 4

    @property
    def marker(self) -> Path:
        """Says which repository it was, so that another, or none, is seen."""
        return self.state / "repository"

    def opened(self, create: bool = False) -> Repository:
        """The repository, when it is the one that it was."""
        if self.repository is None:
            raise FilesError(f"{self.name} backs up no files: restic_sources is empty")
        known = self.marker.read_text(encoding="utf-8").strip() if self.marker.exists() else ""
        found = self.repository.identity(known, create)
        if not known:
            self.marker.write_text(f"{found}\n", encoding="utf-8")
        return self.repository

    @contextmanager
    def alone(self, patience: float = 0.0) -> Iterator[None]:
        """One backup, drill or restore at a time, else Busy. The kernel gives the lock back whatever happens to its
        holder."""
        deadline = time.monotonic() + patience
        with (self.state / ".lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        raise Busy(
                            f"another backup, drill or restore of {self.name} is under way; wait for its end"
                        ) from error
                    time.sleep(0.5)
            yield


def plan(settings: Mapping[str, object]) -> Plan:
    """The plan that plain data of the role describes."""
    given: dict = dict(settings["plan"])  # type: ignore[call-overload]
    sources = [
        Source(one["name"], tuple(one["paths"]), tuple(one["exclude"]), one["schedule"] == "weekly", one["retention"])
        for one in given["sources"]
    ]
    kept = [
        Kept(one["name"], repository(one["repository"]), Path(one["directory"]), one["retention"])
        for one in given["repositories"]
    ]
    at = repository(given["repository"]) if sources else None
    places = Path(given["state"]), Path(given["scratch"])
    return Plan(given["name"], *places, tuple(sources), at, tuple(kept), int(given["parts"]))


def repository(given: Mapping[str, str]) -> Repository:
    secrets = Path(given["secrets"]) if given.get("secrets") else None
    return Repository(
        given["where"],
        Path(given["key"]),
        Path(given["cache"]),
        secrets,
        given.get("user", "root"),
        float(given["patience"]),
    )


def of(source: str, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """One source's, oldest first."""
    return [one for one in snapshots if one.source == source]


def less(history: Sequence[Snapshot]) -> list[str]:
    """What the last of a source's snapshots lacks, in a clause each."""
    if not history[-1].files:  # a source that never had any is a new one
        return ["it has no files"] if any(one.files for one in history) else []
    return shrinkage(history[-1].counts, [one.counts for one in history[:-1]])


def newest(source: str, snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """The last that did not shrink, which a restore would take: one of a source that was emptied is none to restore."""
    history = of(source, snapshots)
    for end in range(len(history), 0, -1):
        if not less(history[:end]):
            return history[end - 1]
    return None


def rewritten(history: Sequence[Snapshot]) -> str:
    """Whether most files are others than the time before, when they usually are not: encrypted by somebody, perhaps."""
    last, before = history[-1], [one.touched / one.files for one in history[1:-1][-COMPARED:] if one.files]
    share = last.touched / last.files if last.files else 0.0
    if last.added < last.bytes / 2:  # restored files are others to restic, and nothing of them is new
        return ""
    if last.files < _FEW or len(history) < 2 or share < _REWRITTEN or statistics.median(before or [0.0]) >= _REWRITTEN:
        return ""
    return f"{last.touched} of {last.files} files in {last.label} are new or changed since {history[-2].label}"
