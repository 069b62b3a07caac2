# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what a server has to what it should have: statements, each with the words that an operator sees instead."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import catalog as has
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect, psycopg2, rows
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.model import (
    ATTRIBUTES,
    SUPERUSER,
    Database,
    User,
    Wanted,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.scram import is_verifier, matches, verifier


@dataclass(frozen=True)
class Change:
    """``told`` is without secrets, ``sql`` may hold a verifier."""

    told: str
    sql: str = field(repr=False)


@dataclass
class Outcome:
    changes: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def apply(wanted: Wanted, port: int, wait: float, check_mode: bool) -> Outcome:
    """Makes the server have what is wanted. What is in it and not wanted stays, except users' privileges."""
    outcome = Outcome()
    with closing(connect(port=port, wait=wait)) as connection:
        if rows(connection, "SELECT pg_is_in_recovery()")[0][0]:
            raise PostgresqlError("the server on this host is a standby: users and databases are made on its primary")
        catalog = has.read_catalog(connection)
        outcome.notices += strangers(wanted, catalog)
        changes = [*role_changes(wanted, catalog), *database_changes(wanted, catalog), *slot_changes(wanted, catalog)]
        _execute(connection, changes, outcome, check_mode)
    for database in wanted.databases:
        if check_mode and database.name not in catalog.databases:
            outcome.changes += [change.told for change in inside_changes(wanted, database, has.Inside())]
            continue
        with closing(connect(database.name, port)) as connection:
            groups = [database.group("readonly"), database.group("readwrite")]
            inside = has.read_inside(connection, database.owner, groups)
            _execute(connection, inside_changes(wanted, database, inside), outcome, check_mode)
    return outcome


def plan_everything(wanted: Wanted) -> Outcome:
    """What would be made in a server that is not there yet."""
    empty = has.Catalog(databases={SUPERUSER: has.DatabaseState(SUPERUSER, "UTF8", "", True, frozenset(), frozenset())})
    changes = [*role_changes(wanted, empty), *database_changes(wanted, empty), *slot_changes(wanted, empty)]
    inside = [change for database in wanted.databases for change in inside_changes(wanted, database, has.Inside())]
    return Outcome([change.told for change in [*changes, *inside]])


def _execute(connection: Any, changes: Iterable[Change], outcome: Outcome, check_mode: bool) -> None:
    for change in changes:
        outcome.changes.append(change.told)
        if check_mode:
            continue
        try:
            with connection.cursor() as cursor:
                cursor.execute(change.sql)
        except psycopg2.Error as error:
            words = " ".join(str(error).split("\n")[0].split())
            raise PostgresqlError(f"the server refused to {change.told}: {words}") from None


def strangers(wanted: Wanted, catalog: has.Catalog) -> list[str]:
    """Superusers that nobody listed."""
    listed = {user.name for user in wanted.users} | {SUPERUSER}
    found = sorted(name for name, role in catalog.roles.items() if role.superuser and name not in listed)
    return [
        f"{name} is a superuser and not in postgresql_users; ALTER ROLE … NOSUPERUSER, or drop it" for name in found
    ]


def role_changes(wanted: Wanted, catalog: has.Catalog) -> Iterable[Change]:
    """Roles, passwords, memberships."""
    for group in wanted.groups:
        if group not in catalog.roles:
            yield Change(f"make the role {group}, which nobody logs in as", f"CREATE ROLE {_name(group)} NOLOGIN")
    for user in wanted.users:
        yield from _user_changes(user, catalog.roles.get(user.name))
    memberships = {**wanted.groups, **{user.name: wanted.memberships(user) for user in wanted.users}}
    for member, groups in memberships.items():
        role = catalog.roles.get(member)
        present = role.memberships if role else frozenset()
        for group in sorted(groups - present):
            yield Change(f"make {member} a member of {group}", f"GRANT {_name(group)} TO {_name(member)}")
        for group in sorted(present - groups):
            yield Change(f"end the membership of {member} in {group}", f"REVOKE {_name(group)} FROM {_name(member)}")


def _user_changes(user: User, role: has.Role | None) -> Iterable[Change]:
    present = role or has.Role(False, False, frozenset(), -1, None, frozenset())
    words, told = [], []
    if present.superuser:
        words, told = ["NOSUPERUSER"], ["no superuser"]
    if present.login != user.login:
        words.append("LOGIN" if user.login else "NOLOGIN")
        told.append("may log in" if user.login else "may not log in")
    for attribute in ATTRIBUTES:
        if (attribute in user.attributes) != (attribute in present.attributes):
            word = attribute if attribute in user.attributes else f"NO{attribute}"
            words.append(word)
            told.append(word)
    if present.connection_limit != user.connection_limit:
        words.append(f"CONNECTION LIMIT {user.connection_limit}")
        told.append(f"at most {user.connection_limit} connections")
    if user.password is None and present.verifier is not None:
        words.append("PASSWORD NULL")
        told.append("no password")
    if user.password is not None and not matches(user.password, present.verifier):
        given = user.password if is_verifier(user.password) else verifier(user.password)
        words.append(f"PASSWORD {_text(given)}")
        told.append("another password" if present.verifier else "a password")
    if role is None or words:
        verb = "CREATE" if role is None else "ALTER"
        yield Change(
            f"{'make' if role is None else 'change'} the user {user.name}: {', '.join(told)}",
            f"{verb} ROLE {_name(user.name)} {' '.join(words)}",
        )


def database_changes(wanted: Wanted, catalog: has.Catalog) -> Iterable[Change]:
    """Databases, and who may connect to them."""
    for database in wanted.databases:
        state = catalog.databases.get(database.name)
        if state is None:
            yield _create(database)
            state = has.DatabaseState(
                database.owner, database.encoding, database.locale, True, frozenset({database.owner}), frozenset()
            )
        yield from _altered(database, state)
        yield from _closed(database, state)
        yield from _connecting(wanted, database.name, replace(state, owner=database.owner))
    listed = {database.name for database in wanted.databases}
    for name in sorted(catalog.databases.keys() - listed):
        yield from _connecting(wanted, name, catalog.databases[name])


def _create(database: Database) -> Change:
    locale = f" LOCALE {_text(database.locale)}" if database.locale else ""
    return Change(
        f"make the database {database.name} of {database.owner}",
        f"CREATE DATABASE {_name(database.name)} OWNER {_name(database.owner)} TEMPLATE template0"
        f" ENCODING {_text(database.encoding)}{locale}",
    )


def _altered(database: Database, state: has.DatabaseState) -> Iterable[Change]:
    if state.owner != database.owner:
        yield Change(
            f"give the database {database.name} to {database.owner}",
            f"ALTER DATABASE {_name(database.name)} OWNER TO {_name(database.owner)}",
        )
    for what, present, given in (
        ("encoding", state.encoding, database.encoding),
        ("locale", state.locale, database.locale),
    ):
        if given and present and given.replace("-", "").lower() != present.replace("-", "").lower():
            raise PostgresqlError(
                f"the database {database.name} has the {what} {present}, the inventory says {given}: that is for its"
                " life; dump it and restore it into a new one"
            )


def _closed(database: Database, state: has.DatabaseState) -> Iterable[Change]:
    if state.public:
        yield Change(
            f"close the database {database.name} to everybody",
            f"REVOKE ALL ON DATABASE {_name(database.name)} FROM PUBLIC",
        )


def _connecting(wanted: Wanted, database: str, state: has.DatabaseState) -> Iterable[Change]:
    """What users may in a database. In one that is not listed no user has anything any more."""
    name = _name(database)
    access = {user.name: user.databases[database] for user in wanted.users if database in user.databases}
    writers = {user for user, level in access.items() if level in ("readwrite", "owner")}
    managed = {user.name for user in wanted.users} - {state.owner}
    for privilege, having, given in (
        ("CONNECT", state.connects, set(access)),
        ("TEMPORARY", state.creates_temporary, writers),
    ):
        for user in sorted((given - having) & managed):
            yield Change(
                f"let {user} {privilege.lower()} in {database}",
                f"GRANT {privilege} ON DATABASE {name} TO {_name(user)}",
            )
        for user in sorted((having - given) & managed):
            yield Change(
                f"let {user} no longer {privilege.lower()} in {database}",
                f"REVOKE {privilege} ON DATABASE {name} FROM {_name(user)}",
            )
    # What members of the owner make belongs to the owner, so that everybody's privileges hold for it.
    acting = {user for user, level in access.items() if level == "owner" and user != state.owner}
    for user in sorted(acting - {user for user, role in state.acts_as.items() if role == state.owner}):
        yield Change(
            f"let {user} act as {state.owner} in {database}",
            f"ALTER ROLE {_name(user)} IN DATABASE {name} SET role = {_text(state.owner)}",
        )
    for user in sorted((set(state.acts_as) - acting) & {user.name for user in wanted.users}):
        yield Change(
            f"let {user} act as itself in {database}", f"ALTER ROLE {_name(user)} IN DATABASE {name} RESET role"
        )


def slot_changes(wanted: Wanted, catalog: has.Catalog) -> Iterable[Change]:
    """A slot for each standby. It holds nothing back until the standby has connected once."""
    for slot in wanted.slots:
        if slot not in catalog.slots:
            yield Change(
                f"make the replication slot {slot}", f"SELECT pg_create_physical_replication_slot({_text(slot)})"
            )


def inside_changes(wanted: Wanted, database: Database, inside: has.Inside) -> Iterable[Change]:
    """Extensions, and what the groups may do with what is there and with what will be made."""
    where = f"in {database.name}"
    for extension in database.extensions:
        if extension not in inside.extensions:
            yield Change(f"make the extension {extension} {where}", f"CREATE EXTENSION {_name(extension)}")
    if inside.public_creates:
        yield Change(f"let not everybody make tables {where}", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if inside.public_owner not in ("", "pg_database_owner", database.owner) and database.owner != SUPERUSER:
        yield Change(f"let the owner make tables {where}", "ALTER SCHEMA public OWNER TO pg_database_owner")
    for group in (database.group("readonly"), database.group("readwrite")):
        if group in wanted.groups:
            yield from _group_changes(database, group, inside)
    if database.name == SUPERUSER:
        yield from _own_changes(wanted, inside)


def _group_changes(database: Database, group: str, inside: has.Inside) -> Iterable[Change]:
    writes = group == database.group("readwrite")
    tables = "SELECT, INSERT, UPDATE, DELETE" if writes else "SELECT"
    sequences = "SELECT, USAGE, UPDATE" if writes else "SELECT"
    kind = "readwrite" if writes else "readonly"
    for schema in sorted(inside.lacking.get(group, inside.schemas or ("public",))):
        name = _name(schema)
        yield Change(
            f"give {group} what is {kind} in {database.name}.{schema}",
            f"GRANT USAGE ON SCHEMA {name} TO {_name(group)};"
            f"GRANT {tables} ON ALL TABLES IN SCHEMA {name} TO {_name(group)};"
            f"GRANT {sequences} ON ALL SEQUENCES IN SCHEMA {name} TO {_name(group)}",
        )
    if group not in inside.defaults:
        of_owner = f"ALTER DEFAULT PRIVILEGES FOR ROLE {_name(database.owner)}"
        yield Change(
            f"give {group} what will be {kind} in {database.name}",
            f"{of_owner} GRANT USAGE ON SCHEMAS TO {_name(group)};"
            f"{of_owner} GRANT {tables} ON TABLES TO {_name(group)};"
            f"{of_owner} GRANT {sequences} ON SEQUENCES TO {_name(group)}",
        )


def _own_changes(wanted: Wanted, inside: has.Inside) -> Iterable[Change]:
    """What Slipway itself has in the maintenance database."""
    if wanted.heartbeat and not inside.heartbeat:
        yield Change(
            "make the heartbeat",
            "CREATE SCHEMA IF NOT EXISTS slipway; GRANT USAGE ON SCHEMA slipway TO pg_monitor;"
            "CREATE TABLE slipway.heartbeat (at timestamptz NOT NULL);"
            "GRANT SELECT ON slipway.heartbeat TO pg_monitor; INSERT INTO slipway.heartbeat VALUES (clock_timestamp())",
        )
    for user in wanted.users:
        if user.rewind and user.name not in inside.rewinders:
            functions = ", ".join(f"pg_catalog.{name}" for name in has.REWIND_FUNCTIONS)
            yield Change(f"let {user.name} rewind", f"GRANT EXECUTE ON FUNCTION {functions} TO {_name(user.name)}")


def _name(word: str) -> str:
    """A quoted identifier."""
    return '"' + word.replace('"', '""') + '"'


def _text(word: str) -> str:
    """A quoted text, with standard_conforming_strings as every supported version has it."""
    return (
        "'" + word.replace("'", "''") + "'"
        if "\\" not in word
        else " E'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
    )
