# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shelf of the dumps: an encrypted archive each, and beside it what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.bucket import bucket
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import Shelf, shrinkage
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import is_data
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import contents

ENGINE = "mongodb"


@dataclass(frozen=True)
class Plan:
    """What the role left. ``required`` are collections that must be there, ``retention`` days, ``bucket`` where dumps
    are kept when not in ``directory``."""

    name: str
    directory: Path
    secrets: Path
    key: Path
    database: str = ""
    required: tuple[str, ...] = ()
    retention: float = 7.0
    oplog: str = "auto"
    secondary: bool = False
    bucket: Mapping[str, str] = field(default_factory=dict)


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
    """Whether it is somebody's data, by the name of the database and the collection: mongodump takes functions that
    somebody stored, ``system.js``, and mongorestore counts them."""
    database, _, inner = name.partition(".")
    return bool(database) and is_data(database) and (inner == "system.js" or not inner.startswith("system."))


class Store(Shelf[Dump]):
    """Where one server's dumps are: an encrypted archive each."""

    ending = ".archive.age"
    file_of = "the archive of"
    error = MongodbError

    def __init__(self, wanted: Plan) -> None:
        super().__init__(wanted.name, wanted.directory, wanted.key, wanted.retention, bucket(wanted.bucket))
        self.plan = wanted

    def read(self, description: dict[str, Any]) -> Dump:
        collections = {name: Collection(**one) for name, one in description["collections"].items()}
        return Dump(**{**description, "collections": collections})

    def check(self, dump: Dump) -> dict[str, Collection]:
        """Reads an archive at hand to its end: its checksum, its key, and that all is in it that it was made with."""
        self.refuse_damage(dump)
        found = contents([self.decrypt()], self.sealed(dump.label))
        if found != dump.collections:
            raise MongodbError(f"the archive of {dump.label} holds other documents than it was made with")
        return found

    def decrypt(self) -> list[str]:
        return ["age", "--decrypt", f"--identity={self.key}"]


def shrunk(dump: Dump, before: Sequence[Dump]) -> list[str]:
    """What is missing in it, or much less than in the dumps before, in a clause each."""
    gone = sorted(set(before[-1].data()) - set(dump.data())) if before else []
    found = [f"{', '.join(gone[:3])} was in the last dump and is in this one no more"] if gone else []
    return found + shrinkage(_counts(dump), [_counts(one) for one in before])


def _counts(dump: Dump) -> dict[str, int]:
    return {"documents": dump.documents, "bytes": dump.size}
