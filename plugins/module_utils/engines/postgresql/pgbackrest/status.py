# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of this host's PostgreSQL backups in the shape of all engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import (
    arguments,
    succeed,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import Stanza, find, parse

INFO_TIMEOUT = 480.0  # seconds; of an object store that does not answer it knows after nine times io-timeout


def read(
    user: str, stanza: str | None = None, repository: int | None = None, timeout: float = INFO_TIMEOUT
) -> list[Stanza]:
    """What pgBackRest tells of its stanzas; PgbackrestError with its reason when it cannot.

    A host that reaches both repositories through another names the one that it asks about: pgBackRest gets no key of a
    second one there, and finds it unreadable, when it asks for both.
    """
    argv = arguments("info", stanza, repo=repository, output="json", log_level_console="off", log_level_stderr="error")
    return parse(succeed(argv, user, timeout))


def statuses(configuration: Mapping[str, Any], now: float) -> list[Status]:
    """One state for each stanza and repository of the role's configuration."""
    stanzas = read(configuration["user"])
    numbers = configuration["repositories"]
    return [
        describe(find(stanzas, name), label(name, number, numbers), number, now)
        for name in configuration["stanzas"]
        for number in numbers
    ]


def label(stanza: str, number: int, numbers: list[int]) -> str:
    """What a backup is called: by its stanza, and by the repository too where there are two."""
    return stanza if len(numbers) == 1 else f"{stanza}/repo{number}"


def describe(stanza: Stanza | None, name: str, number: int, now: float) -> Status:
    """The state of one stanza in one repository. A backup with damaged pages is none to restore from."""
    good = [backup for backup in stanza.of(number) if not backup.error] if stanza else []
    running = None
    if stanza and stanza.running:
        share = f", {100 * stanza.done / stanza.total:.0f} %" if stanza.total else ""
        running = f"a backup is running{share}"
    if not good:
        trouble = stanza.trouble(number) if stanza else ""
        told = f"the repository of {name} cannot be read: {trouble}" if trouble else None
        return Status("postgresql", name, running=running, trouble=told)
    last = good[-1]
    full = max((backup.stopped for backup in good if backup.kind == "full"), default=None)
    return Status(
        engine="postgresql",
        name=name,
        last_success=moment(last.stopped),
        kind=last.kind,
        age=max(0.0, now - last.stopped),
        full_success=None if full is None else moment(full),
        full_age=None if full is None else max(0.0, now - full),
        backups=len(good),
        size=last.size,
        stored=last.stored,
        duration=last.duration,
        running=running,
    )
