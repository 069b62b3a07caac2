# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users, indexes and first documents of a server, as the inventory wants them. Nothing is dropped, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import client_of

AUTHENTICATION_FAILED = 18
_OPTIONS = {
    "unique": "unique",
    "sparse": "sparse",
    "expire_after": "expireAfterSeconds",
    "partial": "partialFilterExpression",
}


@dataclass(frozen=True)
class User:
    """``database`` is where the server knows it, ``roles`` are pairs of a role and the database that it is for."""

    name: str
    password: str = field(repr=False)
    database: str
    roles: frozenset[tuple[str, str]]

    @property
    def granted(self) -> list[dict[str, str]]:
        return [{"role": role, "db": database} for role, database in sorted(self.roles)]


@dataclass(frozen=True)
class Index:
    """``keys`` are fields in their order, each with 1, -1 or a word such as "text"."""

    database: str
    collection: str
    keys: tuple[tuple[str, int | str], ...]
    name: str
    options: Mapping[str, Any]

    @property
    def called(self) -> str:
        return f"{self.name} of {self.database}.{self.collection}"

    @property
    def definition(self) -> dict[str, Any]:
        return {"name": self.name, "key": dict(self.keys), **self.options}

    def same(self, there: Mapping[str, Any]) -> bool:
        """Whether the server's is as this one, whatever its name. What the server adds of its own is passed over."""
        keys = tuple((name, _whole(way)) for name, way in dict(there["key"]).items())
        options = {name: _whole(there[name]) for name in _OPTIONS.values() if _is_set(there.get(name))}
        return keys == self.keys and options == dict(self.options)


@dataclass(frozen=True)
class Seed:
    """First documents of a collection, each with its ``_id``."""

    database: str
    collection: str
    documents: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Wanted:
    users: Sequence[User] = ()
    indexes: Sequence[Index] = ()
    seeds: Sequence[Seed] = ()


def wanted(
    users: Sequence[Mapping[str, Any]], indexes: Sequence[Mapping[str, Any]], seeds: Sequence[Mapping[str, Any]]
) -> Wanted:
    """What plain data of an inventory describes."""
    return Wanted([user(one) for one in users], [index(one) for one in indexes], [seed(one) for one in seeds])


def user(given: Mapping[str, Any]) -> User:
    roles = frozenset((one["role"], one["database"]) for one in given["roles"])
    return User(given["name"], given["password"], given["database"], roles)


def index(given: Mapping[str, Any]) -> Index:
    database, collection = _collection(given["collection"])
    keys = tuple(map(key, given["keys"]))
    name = given.get("name") or "_".join(f"{one}_{way}" for one, way in keys)
    options = {other: given[own] for own, other in _OPTIONS.items() if _is_set(given.get(own))}
    return Index(database, collection, keys, name, options)


def _is_set(value: Any) -> bool:
    """An ``expire_after`` of 0 is: documents go at the time that their field says."""
    return value is not None and value is not False and value != {}


def key(text: str) -> tuple[str, int | str]:
    """``created_at`` ascends, ``-created_at`` descends, ``place:2dsphere`` has a kind of its own."""
    name, colon, kind = text.partition(":")
    if name.startswith("-") and not colon:
        return name[1:], -1
    return name, kind if colon else 1


def seed(given: Mapping[str, Any]) -> Seed:
    for document in given["documents"]:
        if "_id" not in document:
            raise MongodbError(f"a document of {given['collection']} has no _id, so that each run would add it again")
    return Seed(*_collection(given["collection"]), given["documents"])


def apply(uri: str, asked: Wanted, check: bool = False) -> list[str]:
    """What was done, or would be, a sentence each."""
    with client_of(uri) as client:
        client["admin"].command("ping")  # who asks for nothing hears of a wrong address too
        return [
            *(step for one in asked.users for step in _user(client, uri, one, check)),
            *(step for one in asked.indexes for step in _index(client, one, check)),
            *(step for one in asked.seeds for step in _seed(client, one, check)),
        ]


def _user(client: Any, uri: str, one: User, check: bool) -> Iterator[str]:
    command = client[one.database].command
    found = command("usersInfo", {"user": one.name, "db": one.database})["users"]
    called = f"user {one.name} of {one.database}"
    if not found:
        if not check:
            command("createUser", one.name, pwd=one.password, roles=one.granted)
        yield f"made {called}: {_told(one.roles)}"
        return
    now = frozenset((role["role"], role["db"]) for role in found[0]["roles"])
    if now != one.roles:
        if not check:
            command("updateUser", one.name, roles=one.granted)
        yield f"changed {called}: {_told(one.roles)} instead of {_told(now)}"
    if not comes_in(uri, one):
        if not check:
            command("updateUser", one.name, pwd=one.password)
        yield f"changed {called}: another password"


def comes_in(uri: str, one: User) -> bool:
    """Whether a user's password is the one that is wanted: no server tells it, so it is tried."""
    try:
        with client_of(uri, username=one.name, password=one.password, authSource=one.database) as client:
            client[one.database].command("ping")
            client[one.database].command("connectionStatus")
    except MongodbError as error:
        if error.code == AUTHENTICATION_FAILED:
            return False
        raise
    return True


def _told(roles: frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{role} on {database}" for role, database in sorted(roles)) or "no role"


def _index(client: Any, one: Index, check: bool) -> Iterator[str]:
    there = _indexes(client, one)
    if any(one.same(other) for other in there):
        return
    if any(other["name"] == one.name for other in there):
        raise MongodbError(
            f"the index {one.called} is there with other fields or options: look at it, and drop it by hand; then run"
            " this again"
        )
    if not check:
        client[one.database].command("createIndexes", one.collection, indexes=[one.definition])
        if not any(one.same(other) for other in _indexes(client, one)):
            raise MongodbError(f"the server made the index {one.called} without its options: it does not know them")
    yield f"made index {one.called}"


def _indexes(client: Any, one: Index) -> list[Mapping[str, Any]]:
    return list(client[one.database][one.collection].list_indexes())


def _seed(client: Any, one: Seed, check: bool) -> Iterator[str]:
    collection = client[one.database][one.collection]
    wanted_ids = [document["_id"] for document in one.documents]
    there = [document["_id"] for document in collection.find({"_id": {"$in": wanted_ids}}, {"_id": 1})]
    missing = [document for document in one.documents if document["_id"] not in there]
    if not missing:
        return
    if not check:
        collection.insert_many([dict(document) for document in missing])
    yield f"put {len(missing)} documents into {one.database}.{one.collection}"


def _collection(text: str) -> tuple[str, str]:
    database, dot, collection = text.partition(".")
    if not (database and dot and collection):
        raise MongodbError(f"{text!r} is no collection such as app.users")
    return database, collection


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value == int(value) else value
