# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups that are a file each, sealed for a key, and beside each a description of what it holds: in a directory, or in
a bucket, whose files are in the directory as long as they are made or read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, TypeVar, cast

from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.bucket import Bucket
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, moment
from ansible_collections.slipway.ops.plugins.module_utils.host.run import environment

DAY = 86400.0
_COMPARED = 5  # backups before the newest
_SHRUNK = 0.5


class Described(Protocol):
    """What every description says, a dataclass. Moments are Unix time, ``size`` the bytes that the backup restores,
    ``stored`` those of the sealed file."""

    @property
    def label(self) -> str: ...
    @property
    def began(self) -> float: ...
    @property
    def ended(self) -> float: ...
    @property
    def sha256(self) -> str: ...
    @property
    def stored(self) -> int: ...
    @property
    def size(self) -> int: ...


K = TypeVar("K", bound=Described)


@dataclass(frozen=True)
class Kept:
    """One backup of an engine that adds no more than counts and hashes of what is in it, its ``holds``."""

    label: str
    began: float
    ended: float
    sha256: str
    stored: int
    size: int
    holds: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shelf(Generic[K]):
    """Where one store's backups are: in ``bucket`` where one is given, else in ``directory``. ``key`` is an age
    identity, ``retention`` days. An engine's own says how a description is read, and may have its own ending, words and
    error."""

    ending: ClassVar[str] = ".age"
    file_of: ClassVar[str] = "the backup"
    error: ClassVar[type[DataError]] = BackupError

    name: str
    directory: Path
    key: Path
    retention: float = 7.0
    bucket: Bucket | None = None

    @property
    def where(self) -> str:
        """The place of the backups, for messages."""
        return self.bucket.called("") if self.bucket else str(self.directory)

    def read(self, description: dict[str, Any]) -> K:
        """A description from its file; ValueError, TypeError or KeyError when it is none."""
        raise NotImplementedError

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One backup, drill or restore at a time, else Busy. The kernel gives the lock back whatever happens to its
        holder."""
        with (self.directory / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(f"another backup, drill or restore of {self.name} is under way; wait for its end") from error
            yield

    def sealed(self, label: str) -> Path:
        """The file; one of a bucket is there while it is at hand, and is called as none of the directory's own."""
        return self.directory / f"{'.' if self.bucket else ''}{self.named(label)}"

    def named(self, label: str) -> str:
        return f"{label}{self.ending}"

    @contextmanager
    def at_hand(self, kept: K) -> Iterator[Path]:
        """The sealed file in the directory, as long as the block lasts."""
        path = self.sealed(kept.label)
        if not self.bucket:
            yield path
            return
        if trouble := self.trouble(kept):
            raise self.error(trouble)
        try:
            self._fetch(kept, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def troubles(self, check: Callable[[K], object], tell: Tell, whole: str) -> list[str]:
        """What ``check`` raises of each, once it is at hand; that there is none is trouble, too.

        Of the others their label is told, and ``whole`` after it.
        """
        found = []
        with self.alone() if self.bucket else nullcontext():  # one at a time fetches
            kept = self.all()
            for one in kept:
                try:
                    with self.at_hand(one):
                        check(one)
                    tell(f"{one.label}{whole}")
                except (DataError, OSError) as error:
                    found.append(str(error))
                    tell(f"{one.label}: {error}")
        return found if kept else ["there is none"]

    def partial(self, label: str) -> Path:
        return self.directory / f".{label}.partial"

    def all(self) -> list[K]:
        """Oldest first. One whose description cannot be read is an error: it may be the only one."""
        found = []
        for name in sorted(name for name in self._sizes() if fnmatch(name, "[0-9]*.json")):
            try:
                found.append(self.read(json.loads(self._text(name))))
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise self.error(
                    f"{self._called(name)} cannot be read ({error}): restore it from a copy, or remove it"
                ) from error
        return found

    def newest(self) -> K:
        """The last one, which a restore would take."""
        kept = self.all()
        if not kept:
            raise self.error(f"there is no backup of {self.name} to restore: make one with backup.yml")
        return kept[-1]

    def trouble(self, kept: K) -> str:
        """What can be seen of a file without reading it."""
        return self._trouble(kept, self._sizes())

    def _trouble(self, kept: K, sizes: Mapping[str, int]) -> str:
        name = self.named(kept.label)
        if name not in sizes:
            return f"{self.file_of} {kept.label} is missing: {self._called(name)} is not there"
        if sizes[name] == kept.stored:
            return ""
        return f"{self._called(name)} has {sizes[name]} bytes instead of {kept.stored}: it is truncated"

    def refuse_damage(self, kept: K) -> None:
        """An error when the file, which is at hand, is not what was written."""
        if not self.bucket and (trouble := self.trouble(kept)):
            raise self.error(trouble)
        if digest(self.sealed(kept.label)) != kept.sha256:
            called = self._called(self.named(kept.label))
            raise self.error(f"{called} is not what was written: its checksum is another, so it is corrupted")

    @contextmanager
    def seal(self, path: Path) -> Iterator[IO[bytes]]:
        """What is written into it is sealed in the file."""
        with _age(["--encrypt", f"--identity={self.key}", f"--output={path}"], stdin=subprocess.PIPE) as age:
            yield cast(IO[bytes], age.stdin)

    def unseal(self, path: Path, target: Path) -> None:
        """Brings back what was sealed, to a file that is the caller's alone."""
        with target.open("wb") as output:
            target.chmod(0o600)
            with _age(["--decrypt", f"--identity={self.key}", str(path)], stdout=output):
                pass

    def keep(self, kept: K) -> None:
        """Makes a partial file count: the description goes last."""
        description = self.directory / f".{kept.label}.json"
        text = json.dumps(asdict(cast(Any, kept)), indent=1)
        if self.bucket:
            self.bucket.send(self.partial(kept.label), self.named(kept.label))
            if trouble := self.trouble(kept):
                raise self.error(trouble)
            self.bucket.write(f"{kept.label}.json", text)
            self.forget(kept.label)
            return
        description.write_text(text, encoding="utf-8")  # before the disk is full
        self.partial(kept.label).rename(self.sealed(kept.label))
        description.rename(self.directory / f"{kept.label}.json")

    def forget(self, label: str) -> None:
        """Removes what was not kept."""
        for path in (self.partial(label), self.directory / f".{label}.json"):
            path.unlink(missing_ok=True)

    def free(self) -> int:
        return shutil.disk_usage(self.directory).free

    def expire(self, now: float) -> list[str]:
        """Removes backups beyond their days, never the newest that can be restored, and what killed runs left."""
        self.tidy()
        if self.bucket:
            self.bucket.abort()
        kept, sizes = self.all(), self._sizes()
        good = [one for one in kept if not self._trouble(one, sizes)]
        old = [one for one in kept if now - one.ended > self.retention * DAY and one not in good[-1:]]
        if not good:
            return []
        for one in old:
            self._remove(f"{one.label}.json")
            self._remove(self.named(one.label))
        self._remove_nameless(now, sizes)
        return [one.label for one in old]

    def _remove_nameless(self, now: float, sizes: Mapping[str, int]) -> None:
        """Removes old files that have no description: a run was killed between the two."""
        oldest = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - self.retention * DAY))
        for name in sorted(name for name in sizes if fnmatch(name, f"[0-9]*{self.ending}")):
            label = name.removesuffix(self.ending)
            if label < oldest and f"{label}.json" not in sizes:
                self._remove(name)

    def tidy(self) -> None:
        """Removes what killed runs left in the directory."""
        for left in (".*.partial", ".*.json", f".*{self.ending}"):
            for path in self.directory.glob(left):
                path.unlink()

    def statuses(self, engine: str, now: float) -> list[Status]:
        """The state in the shape of all engines. Backups that are missing or cut are none to restore from."""
        kept, sizes = self.all(), self._sizes()
        troubles = [self._trouble(one, sizes) for one in kept]
        good = [one for one, trouble in zip(kept, troubles, strict=True) if not trouble]
        if not good:
            return [Status(engine, self.name, trouble=next(filter(None, troubles), None))]
        last = good[-1]
        age = max(0.0, now - last.began)  # what was written after it began may not be in it
        return [
            Status(
                engine=engine,
                name=self.name,
                last_success=moment(last.ended),
                kind="full",
                age=age,
                full_success=moment(last.ended),
                full_age=age,
                backups=len(good),
                size=last.size,
                stored=last.stored,
                duration=round(last.ended - last.began, 3),
            )
        ]

    def _fetch(self, kept: K, path: Path) -> None:
        try:
            cast(Bucket, self.bucket).fetch(self.named(kept.label), kept.stored, path)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise self.error(
                f"the disk of {self.directory} is full, so {kept.label} cannot be fetched: enlarge it"
            ) from error

    def _sizes(self) -> dict[str, int]:
        return self.bucket.sizes() if self.bucket else _sizes(self.directory)

    def _text(self, name: str) -> str:
        return self.bucket.text(name) if self.bucket else (self.directory / name).read_text(encoding="utf-8")

    def _called(self, name: str) -> str:
        return self.bucket.called(name) if self.bucket else str(self.directory / name)

    def _remove(self, name: str) -> None:
        if self.bucket:
            self.bucket.remove(name)
        else:
            (self.directory / name).unlink(missing_ok=True)


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir() if path.is_file()}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def shrinkage(counts: Mapping[str, int], before: Sequence[Mapping[str, int]]) -> list[str]:
    """Which of these counts are much less than in the five backups before, in a clause each."""
    last = before[-_COMPARED:]
    found = []
    for what, count in counts.items():
        usual = statistics.median(one[what] for one in last) if last else 0
        if count < _SHRUNK * usual:
            found.append(f"it has {count} {what}, and the {len(last)} before had about {usual:.0f}")
    return found


@contextmanager
def _age(words: Sequence[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as said:
        try:
            age = subprocess.Popen(["age", *words], stderr=said, cwd="/", env=environment(), **streams)
        except FileNotFoundError as error:
            raise BackupError("age is not installed on this host: run the engine's role") from error
        broken = False
        try:
            yield age
        except BrokenPipeError:
            broken = True
        except BaseException:
            age.kill()
            raise
        finally:
            if age.stdin:
                try:
                    age.stdin.close()
                except BrokenPipeError:
                    broken = True
            code = age.wait()
        if code or broken:
            said.seek(0)
            words_said = "; ".join(said.read().decode(errors="replace").split("\n")[:2]).strip("; ")
            raise BackupError(f"age ended with status {code}; it says: {words_said or 'nothing'}")
