# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What pgBouncer may ask a server: the verifier of one user that can log in, by a function and nothing else.

The user ``pgbouncer`` comes by its certificate, so it has no password that a file could give away. The function is not
a superuser's: it belongs to a role nobody logs in as, which reads the few columns that it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.connection import connect, psycopg2, rows

# Nobody with power over the whole server comes through a pool.
BODY = (
    "SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid WHERE rolname = who AND rolcanlogin AND NOT rolsuper"
    " AND NOT rolreplication AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())"
)

_ROLE = "SELECT count(*) = 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin = %s AND NOT rolsuper"
_MAKE_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}') THEN CREATE ROLE {0}; END IF;
  ALTER ROLE {0} {1} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
END $$
"""
_FUNCTION = """
SELECT count(*) = 1 FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
WHERE nspname = 'pgbouncer' AND proname = 'lookup' AND prosrc = %s AND prosecdef
  AND proowner = 'pgbouncer_lookup'::regrole AND proconfig = '{search_path=pg_catalog}'
  AND NOT EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)
  AND has_function_privilege('pgbouncer', pg_proc.oid, 'EXECUTE')
  AND has_schema_privilege('pgbouncer', pg_namespace.oid, 'USAGE')
  AND has_database_privilege('pgbouncer', 'postgres', 'CONNECT')
  AND (SELECT bool_and(has_column_privilege('pgbouncer_lookup', 'pg_authid', name, 'SELECT')) FROM unnest(
       '{rolname, rolpassword, rolcanlogin, rolsuper, rolreplication, rolvaliduntil}'::text[]) AS name)
"""
_MAKE_FUNCTION = (
    """
BEGIN;
CREATE SCHEMA IF NOT EXISTS pgbouncer;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
DROP FUNCTION IF EXISTS pgbouncer.lookup(text);
CREATE FUNCTION pgbouncer.lookup(who text, OUT name text, OUT verifier text) RETURNS SETOF record
  LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog AS $body$"""
    + BODY
    + """$body$;
REVOKE ALL ON FUNCTION pgbouncer.lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.lookup(text) TO pgbouncer;
ALTER FUNCTION pgbouncer.lookup(text) OWNER TO pgbouncer_lookup;
GRANT SELECT (rolname, rolpassword, rolcanlogin, rolsuper, rolreplication, rolvaliduntil) ON pg_catalog.pg_authid
  TO pgbouncer_lookup;
GRANT CONNECT ON DATABASE postgres TO pgbouncer;
COMMIT
"""
)
_ADMITTED = """
SELECT count(*) > 0 FROM pg_hba_file_rules
WHERE type = 'hostssl' AND auth_method = 'cert' AND user_name && '{pgbouncer, all}'
"""


@dataclass(frozen=True)
class Part:
    """What it is called, a query that tells whether it is there and as it should be, and what makes it so."""

    told: str
    query: str
    values: tuple[Any, ...]
    statement: str


PARTS = (
    Part(
        "make the role pgbouncer_lookup, which nobody logs in as",
        _ROLE,
        ("pgbouncer_lookup", False),
        _MAKE_ROLE.format("pgbouncer_lookup", "NOLOGIN"),
    ),
    Part(
        "make the user pgbouncer, who has no password",
        _ROLE,
        ("pgbouncer", True),
        _MAKE_ROLE.format("pgbouncer", "LOGIN"),
    ),
    Part("make the function pgbouncer.lookup", _FUNCTION, (BODY,), _MAKE_FUNCTION),
)


def have(port: int, check_mode: bool, wait: float = 30.0) -> list[str]:
    """Makes what is missing on this host's server; returns what that was. A standby gets it from its primary."""
    connection = connect(port=port, wait=0 if check_mode else wait)
    try:
        if rows(connection, "SELECT pg_is_in_recovery()")[0][0]:
            return []
        changes: list[str] = []
        for part in PARTS:
            # What is made of a missing part is missing as well, and cannot be asked for.
            if (check_mode and changes) or not rows(connection, part.query, part.values)[0][0]:
                changes.append(part.told)
                if not check_mode:
                    _make(connection, part)
        if not check_mode and not rows(connection, _ADMITTED)[0][0]:
            raise PostgresqlError(
                "no access rule lets pgbouncer in by its certificate: add {database: postgres, user: pgbouncer,"
                " address: …, method: cert} to postgresql_access, above what rejects it, and run the role postgresql"
            )
    finally:
        connection.close()
    return changes


def planned() -> list[str]:
    """What would be made in a server that is not there yet."""
    return [part.told for part in PARTS]


def _make(connection: Any, part: Part) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(part.statement)
    except psycopg2.Error as error:
        raise PostgresqlError(f"the server refused to {part.told}: {str(error).splitlines()[0]}") from error
