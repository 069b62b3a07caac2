# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools that wait while a server is exchanged: clients stay connected and notice a pause, no error."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ansible_collections.slipway.ops.plugins.module_utils.pgbouncer import PgbouncerError
from ansible_collections.slipway.ops.plugins.module_utils.pgbouncer.admin import Admin, databases, quoted

Connection = tuple[str, int]


def pause(where: Connection, names: Sequence[str], timeout: float, check_mode: bool) -> list[str]:
    """Pauses databases, all without names, once their transactions have ended; returns those that were not paused.

    What is not paused after so many seconds is not paused at all: those that were get on.
    """
    give_up = time.monotonic() + timeout
    done: list[str] = []
    admin = Admin(*where)
    try:
        wanted = _in_state(admin, names, paused=False)
        if check_mode:
            return wanted
        for name in wanted:
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


def resume(where: Connection, names: Sequence[str], check_mode: bool) -> list[str]:
    """Lets paused databases, all without names, get on; returns those that were paused."""
    with Admin(*where) as admin:
        wanted = _in_state(admin, names, paused=True)
        for name in wanted if not check_mode else ():
            admin.command(f"RESUME {quoted(name)}")
    return wanted


def _get_on(where: Connection, names: Sequence[str]) -> None:
    with Admin(*where) as admin:
        for name in _in_state(admin, names, paused=True) if names else ():
            admin.command(f"RESUME {quoted(name)}")


def _in_state(admin: Admin, names: Sequence[str], *, paused: bool) -> list[str]:
    known = {row["name"]: bool(int(row["paused"])) for row in databases(admin.show("DATABASES"))}
    if unknown := sorted(set(names) - set(known)):
        raise PgbouncerError(f"pgBouncer has no database {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return [name for name in names or sorted(known) if known[name] == paused]
