# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory of the dumps: an encrypted archive each, and beside it what is in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import is_data
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import contents

ENGINE = "mongodb"
DAY = 86400.0
_COMPARED = 5  # dumps before the newest
_SHRUNK = 0.5


@dataclass(frozen=True)
class Plan:
    """What the role left. ``required`` are collections that must be there, ``retention`` days."""

    name: str
    directory: Path
    secrets: Path
    key: Path
    database: str = ""
    required: tuple[str, ...] = ()
    retention: float = 7.0
    oplog: str = "auto"
    secondary: bool = False


def plan(settings: Mapping[str, Any]) -> Plan:
    """The plan that plain data of the role describes."""
    given = dict(settings["plan"])
    paths = {name: Path(given[name]) for name in ("directory", "secrets", "key")}
    return Plan(**{**given, **paths, "required": tuple(given.get("required", ()))})


@dataclass(frozen=True)
class Dump:
    """One dump. Moments are Unix time; ``consistency`` is "oplog" or "collection", the server's at one moment or each
    collection's at its own."""

    label: str
    began: float
    ended: float
    server: str
    consistency: str
    sha256: str
    stored: int
    collections: dict[str, Collection]

    @property
    def documents(self) -> int:
        return sum(one.documents for one in self.data().values())

    @property
    def size(self) -> int:
        return sum(one.size for one in self.data().values())

    def data(self) -> dict[str, Collection]:
        """Without the server's own: users, sessions, the oplog."""
        return {name: one for name, one in self.collections.items() if is_data_collection(name)}


def is_data_collection(name: str) -> bool:
    """Whether it is somebody's data, by the name of the database and the collection."""
    database, _, inner = name.partition(".")
    return bool(database) and is_data(database) and not inner.startswith("system.")


class Store:
    """Where one server's dumps are."""

    def __init__(self, wanted: Plan) -> None:
        self.plan, self.directory = wanted, wanted.directory

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One backup, drill or restore at a time. The kernel gives the lock back whatever happens to its holder."""
        with (self.directory / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise MongodbError(
                    f"another backup, drill or restore of {self.plan.name} is under way; wait for its end"
                ) from error
            yield

    def archive(self, label: str) -> Path:
        return self.directory / f"{label}.archive.age"

    def partial(self, label: str) -> Path:
        return self.directory / f".{label}.partial"

    def dumps(self) -> list[Dump]:
        """All, oldest first. One whose description cannot be read is an error: it may be the only one."""
        found = []
        for path in sorted(self.directory.glob("[0-9]*.json")):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                collections = {name: Collection(**one) for name, one in data["collections"].items()}
                found.append(Dump(**{**data, "collections": collections}))
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise MongodbError(f"{path} cannot be read ({error}): restore it from a copy, or remove it") from error
        return found

    def trouble(self, dump: Dump) -> str:
        """What can be seen of an archive without reading it."""
        path = self.archive(dump.label)
        if not path.exists():
            return f"the archive of {dump.label} is missing: {path} is not there"
        size = path.stat().st_size
        return f"{path} has {size} bytes instead of {dump.stored}: it is truncated" if size != dump.stored else ""

    def newest(self) -> Dump:
        """The last one, which a restore would take."""
        dumps = self.dumps()
        if not dumps:
            raise MongodbError(f"there is no backup of {self.plan.name} to restore: make one with backup.yml")
        return dumps[-1]

    def check(self, dump: Dump) -> dict[str, Collection]:
        """Reads an archive to its end: its checksum, its key, and that all is in it that it was made with."""
        if trouble := self.trouble(dump):
            raise MongodbError(trouble)
        path = self.archive(dump.label)
        if digest(path) != dump.sha256:
            raise MongodbError(f"{path} is not what was written: its checksum is another, so it is corrupted")
        found = contents([self.decrypt()], path)
        if found != dump.collections:
            raise MongodbError(f"{path} holds other documents than it was made with")
        return found

    def decrypt(self) -> list[str]:
        return ["age", "--decrypt", f"--identity={self.plan.key}"]

    def keep(self, dump: Dump) -> None:
        """Makes a partial archive count."""
        description = self.directory / f".{dump.label}.json"
        description.write_text(json.dumps(asdict(dump), indent=1), encoding="utf-8")  # before the disk is full
        self.partial(dump.label).rename(self.archive(dump.label))
        description.rename(self.directory / f"{dump.label}.json")

    def forget(self, label: str) -> None:
        """Removes what was not kept."""
        for path in (self.partial(label), self.directory / f".{label}.json"):
            path.unlink(missing_ok=True)

    def expire(self, now: float) -> list[str]:
        """Removes dumps beyond their days, never the newest that can be restored, and what killed runs left."""
        for path in (*self.directory.glob(".*.partial"), *self.directory.glob(".*.json")):
            path.unlink()
        dumps = self.dumps()
        good = [dump for dump in dumps if not self.trouble(dump)]
        old = [dump for dump in dumps if now - dump.ended > self.plan.retention * DAY and dump not in good[-1:]]
        for dump in old if good else []:
            (self.directory / f"{dump.label}.json").unlink()
            self.archive(dump.label).unlink(missing_ok=True)
        return [dump.label for dump in old] if good else []


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def shrinkage(dump: Dump, before: Sequence[Dump]) -> list[str]:
    """What is much less than in the five dumps before, in a clause each."""
    last = before[-_COMPARED:]
    if not last:
        return []
    gone = sorted(set(last[-1].data()) - set(dump.data()))
    found = [f"{', '.join(gone[:3])} was in the last dump and is in this one no more"] if gone else []
    for what, of in (("documents", lambda one: one.documents), ("bytes", lambda one: one.size)):
        usual = statistics.median(map(of, last))
        if of(dump) < _SHRUNK * usual:
            found.append(f"it has {of(dump)} {what}, and the {len(last)} before had about {usual:.0f}")
    return found


def statuses(wanted: Plan, now: float) -> list[Status]:
    """The state in the shape of all engines. Dumps that are missing or cut are none to restore from."""
    store = Store(wanted)
    dumps = store.dumps()
    troubles = [store.trouble(dump) for dump in dumps]
    good = [dump for dump, trouble in zip(dumps, troubles, strict=True) if not trouble]
    if not good:
        return [Status(ENGINE, wanted.name, trouble=next(filter(None, troubles), None))]
    last = good[-1]
    # What was written after a dump began may not be in it.
    age = max(0.0, now - last.began)
    return [
        Status(
            engine=ENGINE,
            name=wanted.name,
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
