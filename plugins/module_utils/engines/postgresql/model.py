# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory wants in a server: users and databases, read and judged before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError

SUPERUSER = "postgres"
ACCESS = ("connect", "readonly", "readwrite", "owner")
# SUPERUSER is not among them: nobody but postgres is one.
ATTRIBUTES = ("CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
LONGEST = 63
# Of all roles, and of nobody: the server takes these for keywords even in quotes.
RESERVED = ("public", "none")
TEMPLATES = ("template0", "template1")
_SLOT = re.compile(r"[a-z0-9_]{1,63}")


@dataclass(frozen=True)
class User:
    """``password`` may be a SCRAM verifier; None is a user that logs in by peer or certificate only."""

    name: str
    password: str | None = field(default=None, repr=False)
    login: bool = True
    attributes: frozenset[str] = frozenset()
    connection_limit: int = -1
    databases: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    rewind: bool = False


@dataclass(frozen=True)
class Database:
    """``owner`` is a user, or a role nobody logs in as, which is made."""

    name: str
    owner: str
    extensions: tuple[str, ...] = ()
    encoding: str = "UTF8"
    locale: str = ""

    def group(self, access: str) -> str:
        """The role that holds what users with this access may do."""
        return self.owner if access == "owner" else f"{self.name}_{access}"


@dataclass(frozen=True)
class Wanted:
    users: tuple[User, ...]
    databases: tuple[Database, ...]
    slots: tuple[str, ...] = ()
    heartbeat: bool = True

    @property
    def groups(self) -> dict[str, frozenset[str]]:
        """Roles nobody logs in as, by name, with the roles that they are members of."""
        users = {user.name for user in self.users} | {SUPERUSER}
        found: dict[str, frozenset[str]] = {}
        for database in self.databases:
            if database.owner not in users:
                found[database.owner] = frozenset()
            levels = {user.databases.get(database.name) for user in self.users}
            if levels & {"readonly", "readwrite"}:
                found[database.group("readonly")] = frozenset()
            if "readwrite" in levels:
                found[database.group("readwrite")] = frozenset({database.group("readonly")})
        return found

    def memberships(self, user: User) -> frozenset[str]:
        """What a user is a member of: nothing else stays."""
        given = {
            database.group(access)
            for database in self.databases
            if (access := user.databases.get(database.name, "connect")) != "connect"
        }
        return user.roles | frozenset(given - {user.name})


def read(
    users: Iterable[Mapping[str, Any]],
    databases: Iterable[Mapping[str, Any]],
    slots: Iterable[str] = (),
    heartbeat: bool = True,
) -> Wanted:
    """What an inventory's lists mean; PostgresqlError names every mistake."""
    wanted = Wanted(tuple(map(_user, users)), _with_postgres(map(_database, databases)), tuple(slots), heartbeat)
    problems = [*_name_problems(wanted), *_user_problems(wanted)]
    problems += [
        f"{slot!r} is not a name for a slot: a-z, 0-9 and _" for slot in wanted.slots if not _SLOT.fullmatch(slot)
    ]
    if problems:
        raise PostgresqlError("\n".join(problems))
    return wanted


def _user(item: Mapping[str, Any]) -> User:
    return User(
        name=str(item["name"]),
        password=item.get("password"),
        login=bool(item.get("login", True)),
        attributes=frozenset(str(word).upper() for word in item.get("attributes") or ()),
        connection_limit=int(item.get("connection_limit", -1)),
        databases=dict(item.get("databases") or {}),
        roles=frozenset(item.get("roles") or ()),
        rewind=bool(item.get("rewind", False)),
    )


def _database(item: Mapping[str, Any]) -> Database:
    name = str(item["name"])
    return Database(
        name=name,
        owner=str(item.get("owner") or f"{name}_owner"),
        extensions=tuple(item.get("extensions") or ()),
        encoding=str(item.get("encoding") or "UTF8"),
        locale=str(item.get("locale") or ""),
    )


def _with_postgres(databases: Iterable[Database]) -> tuple[Database, ...]:
    """The maintenance database is closed to others too, and has the statistics of statements."""
    found = tuple(databases)
    if SUPERUSER in [database.name for database in found]:
        return found
    return (Database(SUPERUSER, SUPERUSER, ("pg_stat_statements",)), *found)


def _name_problems(wanted: Wanted) -> Iterable[str]:
    for what, names in (
        ("user", [user.name for user in wanted.users]),
        ("database", [database.name for database in wanted.databases]),
    ):
        yield from (f"{what} {name!r} is listed twice" for name in sorted({n for n in names if names.count(n) > 1}))
    for name in [*(user.name for user in wanted.users), *wanted.groups]:
        if not _fits(name) or name.startswith("pg_") or name in RESERVED:
            yield f"role {name!r}: a name has 1 to {LONGEST} bytes, does not begin with pg_ and is not public or none"
    for database in wanted.databases:
        if not _fits(database.name) or database.name in TEMPLATES:
            yield f"database {database.name!r}: a name has 1 to {LONGEST} bytes and is no template's"


def _fits(name: str) -> bool:
    return 1 <= len(name.encode()) <= LONGEST and "\0" not in name


def _user_problems(wanted: Wanted) -> Iterable[str]:
    databases = {database.name: database for database in wanted.databases}
    groups = wanted.groups
    for user in wanted.users:
        if user.name == SUPERUSER:
            yield f"{SUPERUSER} is the superuser, by peer on the host only; it is nobody's to configure"
        if user.name in groups:
            yield f"user {user.name!r} has the name of a role that holds a database's privileges"
        yield from _wrong(user, "attribute", user.attributes, ATTRIBUTES)
        yield from _wrong(user, "database", user.databases, databases)
        yield from _wrong(user, "access", map(str, user.databases.values()), ACCESS)
        if user.password is not None and not isinstance(user.password, str):
            yield f"user {user.name!r} has a password that is no text; write it in quotes"
        if user.password == "":
            yield f"user {user.name!r} has an empty password; leave it out for one that logs in by peer or certificate"
        for name, access in user.databases.items():
            if access == "owner" and name in databases and databases[name].owner == SUPERUSER:
                yield f"user {user.name!r} would own {name!r}, which is the superuser's"


def _wrong(user: User, what: str, given: Iterable[str], allowed: Iterable[str]) -> Iterable[str]:
    known: Sequence[str] = list(allowed)
    for word in given:
        if word not in known:
            yield f"user {user.name!r}: {what} {word!r} is none of {', '.join(known)}"
