# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server has: its roles and databases in two queries, and what is inside a database in one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import rows

REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)


@dataclass(frozen=True)
class Role:
    login: bool
    superuser: bool
    attributes: frozenset[str]
    connection_limit: int
    verifier: str | None = field(repr=False)
    memberships: frozenset[str]


@dataclass(frozen=True)
class DatabaseState:
    """``connects`` and ``creates_temporary`` are who was given it by name; ``public`` what everybody may."""

    owner: str
    encoding: str
    locale: str
    public: bool
    connects: frozenset[str]
    creates_temporary: frozenset[str]
    acts_as: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inside:
    """One database from within. ``lacking`` is by group: schemas in which it lacks something it should have."""

    extensions: frozenset[str] = frozenset()
    schemas: tuple[str, ...] = ()
    public_creates: bool = False
    public_owner: str = ""
    lacking: dict[str, frozenset[str]] = field(default_factory=dict)
    defaults: frozenset[str] = frozenset()
    heartbeat: bool = False
    rewinders: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Catalog:
    roles: dict[str, Role] = field(default_factory=dict)
    databases: dict[str, DatabaseState] = field(default_factory=dict)
    slots: frozenset[str] = frozenset()


def read_catalog(connection: Any) -> Catalog:
    """Roles, databases and slots of the server."""
    return Catalog(_roles(connection), _databases(connection), frozenset(_column(connection, _SLOTS)))


def read_inside(connection: Any, owner: str, groups: Collection[str]) -> Inside:
    """What is in the connection's database, as far as the groups and the owner of new objects are concerned."""
    existing = _column(connection, "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(groups)])
    schemas = rows(connection, _SCHEMAS)
    public = [(creates, schema_owner) for name, schema_owner, creates in schemas if name == "public"]
    lacking: dict[str, set[str]] = {group: set() for group in existing}
    for group, schema in rows(connection, _LACKING, [existing]):
        lacking[group].add(schema)
    return Inside(
        extensions=frozenset(_column(connection, "SELECT extname FROM pg_extension")),
        schemas=tuple(name for name, _, _ in schemas),
        public_creates=any(creates for creates, _ in public),
        public_owner=public[0][1] if public else "",
        lacking={group: frozenset(found) for group, found in lacking.items()},
        defaults=frozenset(_column(connection, _DEFAULTS, [owner, existing])),
        heartbeat=rows(connection, "SELECT to_regclass('slipway.heartbeat') IS NOT NULL")[0][0],
        rewinders=frozenset(_column(connection, _REWINDERS, [list(REWIND_FUNCTIONS)])),
    )


def _column(connection: Any, query: str, values: list[Any] | None = None) -> list[Any]:
    return [row[0] for row in rows(connection, query, values or ())]


def _roles(connection: Any) -> dict[str, Role]:
    found = {}
    for name, login, superuser, createdb, createrole, replication, bypassrls, limit, verifier, groups in rows(
        connection, _ROLES
    ):
        flags = {"CREATEDB": createdb, "CREATEROLE": createrole, "REPLICATION": replication, "BYPASSRLS": bypassrls}
        attributes = frozenset(word for word, has in flags.items() if has)
        found[name] = Role(login, superuser, attributes, limit, verifier, frozenset(groups))
    return found


def _databases(connection: Any) -> dict[str, DatabaseState]:
    acting: dict[str, dict[str, str]] = {}
    for database, role, settings in rows(connection, _ACTS_AS):
        for setting in settings:
            name, _, value = setting.partition("=")
            if name == "role":
                acting.setdefault(database, {})[role] = value
    return {
        name: DatabaseState(
            owner, encoding, locale, public, frozenset(connects), frozenset(temporary), acting.get(name, {})
        )
        for name, owner, encoding, locale, public, connects, temporary in rows(connection, _DATABASES)
    }


_SLOTS = "SELECT slot_name FROM pg_replication_slots"

_ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,
       rolpassword,
       ARRAY(SELECT granted.rolname::text FROM pg_auth_members JOIN pg_roles granted ON granted.oid = roleid
             WHERE member = pg_authid.oid)
FROM pg_authid WHERE rolname !~ '^pg_'
"""

_DATABASES = """
SELECT datname, rolname, pg_encoding_to_char(encoding), datcollate,
       EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = 0),
       ARRAY(SELECT pg_get_userbyid(grantee)::text FROM aclexplode(acl)
             WHERE grantee <> 0 AND privilege_type = 'CONNECT'),
       ARRAY(SELECT pg_get_userbyid(grantee)::text FROM aclexplode(acl)
             WHERE grantee <> 0 AND privilege_type = 'TEMPORARY')
FROM (SELECT *, coalesce(datacl, acldefault('d', datdba)) AS acl FROM pg_database) databases
JOIN pg_roles ON pg_roles.oid = datdba
"""

_ACTS_AS = """
SELECT datname, rolname, setconfig FROM pg_db_role_setting
JOIN pg_database ON pg_database.oid = setdatabase JOIN pg_roles ON pg_roles.oid = setrole
"""

_USERS_SCHEMAS = "nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'slipway')"

_SCHEMAS = f"""
SELECT nspname, pg_get_userbyid(nspowner)::text,
       EXISTS (SELECT FROM aclexplode(nspacl) WHERE grantee = 0 AND privilege_type = 'CREATE')
FROM pg_namespace WHERE {_USERS_SCHEMAS} ORDER BY nspname
"""  # noqa: S608 - constants only

# A group's name says what it may: it ends in _readonly or _readwrite.
_LACKING = f"""
SELECT DISTINCT grp, nspname FROM unnest(%s::text[]) AS grp CROSS JOIN pg_namespace
LEFT JOIN pg_class ON relnamespace = pg_namespace.oid AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
WHERE {_USERS_SCHEMAS} AND (
  NOT has_schema_privilege(grp, pg_namespace.oid, 'USAGE')
  OR (relkind <> 'S' AND NOT has_table_privilege(grp, pg_class.oid, 'SELECT'))
  OR (relkind = 'S' AND NOT has_sequence_privilege(grp, pg_class.oid, 'SELECT'))
  OR (grp ~ '_readwrite$' AND relkind IN ('r', 'p', 'v', 'f') AND NOT (
        has_table_privilege(grp, pg_class.oid, 'INSERT') AND has_table_privilege(grp, pg_class.oid, 'UPDATE')
        AND has_table_privilege(grp, pg_class.oid, 'DELETE')))
  OR (grp ~ '_readwrite$' AND relkind = 'S' AND NOT has_sequence_privilege(grp, pg_class.oid, 'USAGE')))
"""  # noqa: S608 - constants only

# Groups that get what the owner makes in future: a group is here when its tables, sequences and schemas are all there.
_DEFAULTS = """
SELECT pg_get_userbyid(grantee)::text FROM pg_default_acl, aclexplode(defaclacl)
WHERE defaclrole = (SELECT oid FROM pg_roles WHERE rolname = %s) AND defaclnamespace = 0
  AND grantee IN (SELECT oid FROM pg_roles WHERE rolname = ANY(%s))
GROUP BY grantee HAVING count(DISTINCT defaclobjtype) = 3
"""

_REWINDERS = """
SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_'
  AND (SELECT bool_and(has_function_privilege(pg_roles.oid, name, 'EXECUTE')) FROM unnest(%s::text[]) AS name)
"""
