# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the server tells and does itself: collections, replication, dropping and indexes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection, index
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import gist

SCRATCH = "slipway_drill_"  # begins the names of a drill's databases
SYSTEM = ("admin", "config", "local")
PATIENCE = 20.0  # seconds
_WITH_DATA = ("collection", "timeseries")  # a view has none


class Server:
    """A connection to a server. What goes wrong is told without the password."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def version(self) -> str:
        return str(self._client.admin.command("buildInfo").get("version", ""))

    def has_oplog(self) -> bool:
        """Whether it is a member of a replica set whose oplog can be dumped along."""
        answer = self._client.admin.command("hello")
        if not answer.get("setName") or answer.get("msg") == "isdbgrid":
            return False
        return "oplog.rs" in self._client.local.list_collection_names()

    def databases(self) -> list[str]:
        return sorted(self._client.list_database_names())

    def collections(self, only: str = "") -> list[str]:
        """Every collection with data of its own, as ``database.collection``."""
        mine = [only] if only else [name for name in self.databases() if is_data(name)]
        return sorted(
            f"{database}.{one['name']}"
            for database in mine
            for one in self._client[database].list_collections()
            if one.get("type", "collection") in _WITH_DATA and not one["name"].startswith("system.")
        )

    def drop(self, database: str) -> None:
        self._client.drop_database(database)

    def drop_others(self, kept: Iterable[str], databases: Iterable[str]) -> None:
        """Drops the collections of these databases that are not to be kept."""
        for name in sorted({one for other in databases for one in self.collections(other)} - set(kept)):
            database, _, inner = name.partition(".")
            self._client[database].drop_collection(inner)

    def make_indexes(self, collections: Mapping[str, Collection]) -> None:
        """Servers that speak the protocol take indexes as they are meant, not always as mongorestore sends them."""
        for name, collection in collections.items():
            database, _, inner = name.partition(".")
            wanted = [one for one in collection.indexes if one["name"] != "_id_"]
            if wanted:
                self._client[database].command("createIndexes", inner, indexes=wanted)

    def indexes(self, name: str) -> list[dict[str, Any]]:
        database, _, inner = name.partition(".")
        return sorted(map(index, self._client[database][inner].list_indexes()), key=lambda one: str(one["name"]))


def is_data(database: str) -> bool:
    """Whether a database is somebody's data, and not the server's own or a drill's."""
    return database not in SYSTEM and not database.startswith(SCRATCH)


@contextmanager
def connected(uri: str) -> Iterator[Server]:
    """The server of a URI, for as long as the block lasts."""
    with client_of(uri) as client:
        yield Server(client)


@contextmanager
def client_of(uri: str, patience: float = PATIENCE, **options: Any) -> Iterator[Any]:
    """pymongo's client, with options beside those of the URI. An error has the server's ``code`` for it, or none."""
    try:
        pymongo = importlib.import_module("pymongo")
    except ImportError as error:
        raise MongodbError("python3-pymongo is not installed on this host: run the role mongodump") from error
    try:
        client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=int(1000 * patience), appname="slipway", **options)
        try:
            yield client
        finally:
            client.close()
    except pymongo.errors.PyMongoError as error:
        told = MongodbError(f"the server cannot be asked: {gist(str(error)) or type(error).__name__}")
        told.code = getattr(error, "code", None) or 0
        raise told from error


def scratch_names(databases: Iterable[str]) -> dict[str, str]:
    """The names that a drill restores databases under; MongoDB's have 63 bytes at most."""
    names = {name: f"{SCRATCH}{name}" for name in databases}
    long = [name for name, other in names.items() if len(other.encode()) > 63]
    if long:
        raise MongodbError(f"{', '.join(long)} cannot be drilled: with {SCRATCH} before it the name is too long")
    return names
