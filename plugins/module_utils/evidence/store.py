# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The evidence store: a directory of JSON Lines that is only ever appended to.

    records/2026-11.jsonl     the records written in that month, one a line
    artifacts/<run>/<name>    raw output, named with its SHA-256 by the records it belongs to
    latest.json               the newest record per id and subject; derived, rebuilt when it is missing
    metrics/                  the same as a node-exporter textfile, the only part that everyone may read
    lock                      writers exclude each other and readers

A batch is one write(2) at the end of the month's file, under the lock, synced before it counts. What a killed writer
left half-written stays there as one damaged line; the next batch starts on a fresh line.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import VERDICTS, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import (
    ARTIFACT,
    CLOCK_SKEW,
    RUN,
    EvidenceError,
    encoded,
    parse_time,
    validated,
)
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace, sync_directory

# Others may pass through to the metrics, and see nothing else.
ROOT_MODE = 0o2751
METRICS_MODE = 0o2755
DIRECTORY_MODE = 0o2750
FILE_MODE = 0o640
LOCK_SECONDS = 30.0

Record = dict[str, Any]
Key = tuple[str, str]


@dataclass
class Reading:
    """Records in the order in which they were written, and the lines that could not be read."""

    records: list[Record] = field(default_factory=list)
    damaged: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Snapshot:
    """The newest records, how many bytes of each month's file they take into account, and those bytes' SHA-256."""

    offsets: dict[str, int] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    damaged: list[dict[str, Any]] = field(default_factory=list)

    def reading(self) -> Reading:
        """The records and the damaged lines, without where they came from."""
        return Reading(self.records, self.damaged)

    @classmethod
    def kept(cls, content: bytes) -> Snapshot:
        """What ``latest.json`` holds; empty, so that all is read anew, when it is no snapshot."""
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            snapshot = cls(**json.loads(content))
            sound = (
                all(isinstance(offset, int) for offset in snapshot.offsets.values())
                and all(isinstance(line, dict) for line in snapshot.damaged)
                and all(_is_record(record) for record in snapshot.records)
            )
            if sound and snapshot.sums.keys() == snapshot.offsets.keys():
                return snapshot
        return cls()


def key(record: Mapping[str, Any]) -> Key:
    """What a record speaks of: records with the same key supersede each other."""
    return record["id"], record["subject"]


def newest(records: Iterable[Record]) -> dict[Key, Record]:
    """The record with the latest ``at`` per key; of two with the same time the one written last.

    One of the future, as a clock that was wrong has left it, gives way to whatever was written after it.
    """
    latest: dict[Key, Record] = {}
    horizon = timestamp(datetime.datetime.now(datetime.timezone.utc) + CLOCK_SKEW)
    for record in records:
        former = latest.get(key(record))
        if former is None or record["at"] >= former["at"] or former["at"] > horizon:
            latest[key(record)] = record
    return latest


class Store:
    """One evidence store. Only the operations that write need write permission."""

    def __init__(self, root: str | os.PathLike[str], lock_seconds: float = LOCK_SECONDS) -> None:
        self.root = Path(root)
        self.records = self.root / "records"
        self.artifacts = self.root / "artifacts"
        self.metrics = self.root / "metrics"
        self.lock_seconds = lock_seconds

    def check(
        self, records: Sequence[Mapping[str, Any]], run: str, artifacts: Sequence[Mapping[str, Any]] = ()
    ) -> list[Record]:
        """The records as ``append`` would write them; writes nothing. An EvidenceError names every bad record."""
        if not RUN.fullmatch(run):
            raise EvidenceError(f"run: {run!r} may only have letters, digits and . _ : + - (at most 128)")
        contents = _named(artifacts)
        paths = {name: self._artifact_path(run, name, content) for name, content in contents.items()}
        mentioned = {name for record in records for name in record.get("artifacts") or []}
        shared = [name for name in paths if name not in mentioned]
        checked, problems = [], []
        for number, record in enumerate(records, start=1):
            try:
                valid = validated(record, run)
                self._attach(valid, [*valid["artifacts"], *shared], paths, contents)
                encoded(valid)
                checked.append(valid)
            except EvidenceError as error:
                problems.append(f"record {number} of {len(records)} ({record.get('id', 'no id')}): {error}")
        if problems:
            raise EvidenceError("not recorded: " + " | ".join(problems))
        return checked

    def append(
        self, records: Sequence[Mapping[str, Any]], run: str, artifacts: Sequence[Mapping[str, Any]] = ()
    ) -> list[Record]:
        """Validate and write a batch; when this returns it is on disk. All of it is recorded, or none."""
        checked = self.check(records, run, artifacts)
        if not checked:
            return []
        contents = _named(artifacts)
        try:
            self._make_directories()
            with self.locked():
                for name, content in contents.items():
                    self._write_artifact(self._artifact_path(run, name, content), content)
                self._append_lines(b"".join(encoded(record) for record in checked))
        except OSError as error:
            raise EvidenceError(f"not recorded: {_explained(error, self.root)}") from error
        return checked

    def history(self) -> Reading:
        """Everything in the store."""
        with self.locked(exclusive=False):
            return self.read()

    def read(self) -> Reading:
        """Everything in the store; the caller holds the lock."""
        reading = Reading()
        for path in self.months():
            _read_lines(path, 0, reading)
        return reading

    def latest(self) -> Reading:
        """The newest record per id and subject."""
        with self.locked(exclusive=False):
            return self._caught_up().reading()

    def keep_latest(self) -> Reading:
        """Write ``latest.json`` anew, so that the next reading of the latest records need not read the whole store."""
        with self.locked():
            snapshot = self._caught_up()
            replace(self.root / "latest.json", json.dumps(asdict(snapshot)), FILE_MODE)
            return snapshot.reading()

    def months(self) -> list[Path]:
        """The files of records, oldest first."""
        return sorted(self.records.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9].jsonl"))

    def artifact(self, name: str) -> Path:
        """The file that a record's artifact path names."""
        if not (name.startswith("artifacts/") and ARTIFACT.fullmatch(name)):
            raise EvidenceError(f"artifacts: {name!r} was not given, and is no path artifacts/RUN/NAME in the store")
        return self.root / name

    def _caught_up(self) -> Snapshot:
        """``latest.json`` with what was appended since it was written; the caller holds the lock.

        What it took into account must be what is there: a part that was damaged or edited since makes it worthless.
        """
        snapshot = Snapshot()
        with contextlib.suppress(FileNotFoundError, PermissionError):
            snapshot = Snapshot.kept((self.root / "latest.json").read_bytes())
        months = {path.name: path for path in self.months()}
        if any(_sum(months.get(name), end) != snapshot.sums[name] for name, end in snapshot.offsets.items()):
            snapshot = Snapshot()
        added = Reading(snapshot.records, snapshot.damaged)
        sizes = {name: path.stat().st_size for name, path in months.items()}
        for name, path in months.items():
            _read_lines(path, snapshot.offsets.get(name, 0), added)
        known = {name: snapshot.sums[name] for name, size in sizes.items() if snapshot.offsets.get(name) == size}
        sums = {name: known.get(name) or _sum(path, sizes[name]) for name, path in months.items()}
        return Snapshot(sizes, sums, list(newest(added.records).values()), added.damaged)

    @contextlib.contextmanager
    def locked(self, exclusive: bool = True) -> Iterator[None]:
        """Hold the store's lock; readers share it. A store without a lock file has no writers."""
        path = self.root / "lock"
        if not exclusive and not path.exists():
            yield
            return
        descriptor = _open(path, os.O_RDONLY | (os.O_CREAT if exclusive else 0))
        try:
            _flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, self.lock_seconds, self.root)
            yield
        finally:
            os.close(descriptor)

    def _make_directories(self) -> None:
        modes = {self.root: ROOT_MODE, self.metrics: METRICS_MODE}
        for path in (self.root, self.records, self.artifacts, self.metrics):
            if not path.is_dir():
                make_directory(path, modes.get(path, DIRECTORY_MODE))

    def _append_lines(self, lines: bytes) -> None:
        path = self.records / datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m.jsonl")
        descriptor = _open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            try:
                written = os.write(descriptor, lines)
                if written != len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except OSError:
                # What did not get to the disk whole was never recorded; the lock is held, nobody has read it.
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if not size:
            sync_directory(self.records)

    def _artifact_path(self, run: str, name: str, content: bytes) -> Path:
        """Where an artifact is kept. A second content under the same name gets a path of its own, by its hash."""
        path = self.artifacts / run / name
        if path.exists() and path.read_bytes() != content:
            return path.with_name(f"{path.stem}-{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}")
        return path

    def _write_artifact(self, path: Path, content: bytes) -> None:
        if path.exists():
            return
        for parent in reversed(path.relative_to(self.artifacts).parents):
            directory = self.artifacts / parent
            if not directory.is_dir():
                make_directory(directory, DIRECTORY_MODE)
                sync_directory(directory.parent)
        replace(path, content, FILE_MODE)

    def _attach(
        self, record: Record, names: list[str], paths: Mapping[str, Path], contents: Mapping[str, bytes]
    ) -> None:
        """Name the record's artifacts by their path in the store, each with its hash."""
        record["artifacts"], record["sha256"] = [], {}
        for name in names:
            path = paths.get(name) or self.artifact(name)
            try:
                content = contents[name] if name in contents else path.read_bytes()
            except OSError as error:
                raise EvidenceError(f"artifacts: {name!r} is not in the store ({error.strerror})") from error
            relative = str(path.relative_to(self.root))
            record["artifacts"].append(relative)
            record["sha256"][relative] = hashlib.sha256(content).hexdigest()


def _open(path: Path, flags: int) -> int:
    """Open a file of the store; a new one gets the store's mode whatever the umask."""
    fresh = not path.exists()
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    if fresh:
        os.fchmod(descriptor, FILE_MODE)
    return descriptor


def _named(artifacts: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for artifact in artifacts:
        name = artifact["name"]
        if not ARTIFACT.fullmatch(name):
            raise EvidenceError(f"not recorded: artifact {name!r} is not a plain relative path such as timeline.json")
        if name in contents:
            raise EvidenceError(f"not recorded: artifact {name!r} is given twice")
        content = artifact["content"]
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
        contents[name] = text.encode("utf-8", "surrogateescape")
    return contents


def _read_lines(path: Path, offset: int, reading: Reading) -> None:
    """Add the records of a month's file from an offset in bytes on."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            record = parsed(line)
            if record is not None:
                reading.records.append(record)
            elif line.strip():
                reading.damaged.append({"file": f"records/{path.name}", "offset": offset, "bytes": len(line)})
            offset += len(line)


def parsed(line: bytes) -> Record | None:
    """The record in a line, or None for a line that is damaged: half-written by a killed writer, or no record."""
    with contextlib.suppress(ValueError):
        record = json.loads(line)
        return record if _is_record(record) else None
    return None


def _is_record(record: Any) -> bool:
    """Whether it says what it speaks of, when, and with which verdict; without these nothing can be judged."""
    if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in ("id", "subject", "at")):
        return False
    with contextlib.suppress(EvidenceError):
        return bool(parse_time(record["at"])) and record.get("verdict") in VERDICTS
    return False


def _sum(path: Path | None, size: int) -> str:
    """The SHA-256 of a file's first bytes; empty when it has fewer."""
    if path is None or path.stat().st_size < size:
        return ""
    whole, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 1 << 20))):
            whole.update(block)
            left -= len(block)
    return whole.hexdigest()


def _flock(descriptor: int, operation: int, seconds: float, root: Path) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise EvidenceError(
                    f"{root}/lock was held by another process for {seconds:g} s; see `fuser -v {root}/lock`"
                ) from None
            time.sleep(0.02)


def _explained(error: OSError, root: Path) -> str:
    advice = {
        errno.EPERM: "run as a user that may write there, or use `become`",
        errno.EACCES: "run as a user that may write there, or use `become`",
        errno.ENOSPC: f"free space on the file system of {root}, or shorten the retention",
        errno.EROFS: f"the file system of {root} is read-only",
    }.get(error.errno or 0, f"look at the file system of {root}")
    return f"{error.strerror or error} ({error.filename or root}); {advice}"
