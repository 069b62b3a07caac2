# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools that wait while a server is exchanged: clients stay connected and notice a pause, no error."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.admin import (
    Admin,
    Row,
    databases,
    lookups,
    quoted,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.server_side import unwritable

Connection = tuple[str, int]


def pause(where: Connection, names: Sequence[str], timeout: float, check_mode: bool) -> list[str]:
    """Pauses databases, all without names, once their transactions have ended; returns those that were not paused.

    With them those are paused by which clients who come meanwhile are looked up: they wait too. What is not paused
    after so many seconds is not paused at all: those that were get on.
    """
    give_up = time.monotonic() + timeout
    done: list[str] = []
    admin = Admin(*where)
    try:
        rows = admin.show("DATABASES")
        selected = _selected(rows, names)
        wanted = _in_state(selected, paused=False)
        if check_mode:
            return wanted
        for name in [*wanted, *_in_state(lookups(rows, selected), paused=False)]:
            done.append(name)
            admin.command(f"PAUSE {quoted(name)}", max(give_up - time.monotonic(), 0.1))
    except (TimeoutError, PgbouncerError) as error:
        admin.close()
        _get_on(where, done)
        raise PgbouncerError(
            f"{done[-1] if done else 'the pools'} could not be paused within {timeout:g} s ({error}): a transaction,"
            " or a client of a session pool, holds its connection. Nothing is paused now; SHOW CLIENTS names them"
        ) from error
    finally:
        admin.close()
    return wanted


def resume(
    where: Connection, names: Sequence[str], check_mode: bool, writable: float = 0
) -> tuple[list[str], list[str]]:
    """Lets paused databases, all without names, get on; returns those that were paused, and what is wrong.

    Waits so many seconds beforehand for their servers to take writes; afterwards they get on all the same.
    """
    with Admin(*where) as admin:
        rows = admin.show("DATABASES")
        wanted = [row for row in _selected(rows, names) if _is_paused(row)]
        found = lookups(rows, wanted)
        problems = unwritable(admin, found, writable) if writable and found and not check_mode else []
        # Pools last: where this is ended in between, who calls again still finds them paused.
        for name in [*_in_state(found, paused=True), *(row["name"] for row in wanted)] if not check_mode else ():
            admin.command(f"RESUME {quoted(name)}")
    return [row["name"] for row in wanted], problems


def paused(where: Connection) -> list[str]:
    """The databases that wait, lookups included."""
    with Admin(*where) as admin:
        return _in_state(admin.show("DATABASES"), paused=True)


def _get_on(where: Connection, names: Sequence[str]) -> None:
    with Admin(*where) as admin:
        waiting = _in_state(admin.show("DATABASES"), paused=True) if names else []
        for name in reversed([name for name in names if name in waiting]):
            admin.command(f"RESUME {quoted(name)}")


def _selected(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    known = {row["name"]: row for row in databases(rows)}
    if unknown := sorted(set(names) - set(known)):
        raise PgbouncerError(f"pgBouncer has no database {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return [known[name] for name in names or sorted(known)]


def _in_state(rows: Iterable[Row], *, paused: bool) -> list[str]:
    return [row["name"] for row in rows if _is_paused(row) == paused]


def _is_paused(row: Row) -> bool:
    return bool(int(row["paused"]))
