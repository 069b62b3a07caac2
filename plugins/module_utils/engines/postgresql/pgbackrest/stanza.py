# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stanzas: made where they are missing, upgraded after a major version, and the whole way of a WAL segment checked."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import (
    PgbackrestError,
    arguments,
    succeed,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import OTHER, Stanza, find
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import read

_TIMEOUT = 300.0


@dataclass(frozen=True)
class Done:
    """What was, or would be, done to a stanza: ``created``, ``upgraded`` or nothing; whether it was checked."""

    action: str | None
    checked: bool


def ensure(stanza: str, user: str, check: bool, dry: bool) -> Done:
    """Makes the stanza on every repository that lacks it, and checks it after that, or when asked to.

    A repository that cannot be read is refused by every run. The check makes PostgreSQL finish a WAL segment and waits
    until it is in every repository.
    """
    found = find(read(user, stanza), stanza)
    if found is not None:
        _refuse_unreadable(found)
    action = None if found is not None and found.created else "created"
    if action and not dry:
        succeed(arguments("stanza-create", stanza, log_level_console="warn"), user, _TIMEOUT)
    wanted = bool(action) or check
    if wanted and not dry:
        succeed(arguments("check", stanza, log_level_console="warn"), user, _TIMEOUT)
    return Done(action, wanted)


def _refuse_unreadable(stanza: Stanza) -> None:
    for number in stanza.repositories:
        if stanza.trouble(number):
            raise PgbackrestError(f"Repository {number} cannot be read: {stanza.trouble(number)}", OTHER)


def upgrade(stanza: str, user: str) -> Done:
    """Tells the stanza that its cluster has another major version, and checks it; its old backups stay."""
    before = find(read(user, stanza), stanza)
    succeed(arguments("stanza-upgrade", stanza, log_level_console="warn"), user, _TIMEOUT)
    after = find(read(user, stanza), stanza)
    if before and after and before.databases == after.databases:
        return Done(None, False)
    succeed(arguments("check", stanza, log_level_console="warn"), user, _TIMEOUT)
    return Done("upgraded", True)
