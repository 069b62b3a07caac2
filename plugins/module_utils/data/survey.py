# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engines that this host makes backups of, by the files that their roles leave, and the state of each backup."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits, Status, judge, with_results
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import (
    statuses as postgresql,
)
from ansible_collections.slipway.ops.plugins.module_utils.spool import DIRECTORY, Spool

CONFIGURATION = "/etc/slipway/backup"  # <engine>.json, readable by all: nothing in it is secret

Reader = Callable[[Mapping[str, Any], float], "list[Status]"]

# A new engine is a reader here: its configuration and the present moment to the state of each of its backups.
READERS: dict[str, Reader] = {"postgresql": postgresql}


class BackupError(Exception):
    """The state of backups cannot be told; the message says why and what to do."""


def configuration(engine: str, directory: str = CONFIGURATION) -> dict[str, Any]:
    """What this engine's role left on this host. Another engine's file is nobody's business here."""
    path = Path(directory) / f"{engine}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackupError(f"this host makes no backups of {engine}: there is no {path}") from error
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} cannot be read ({error}); run the engine's role again") from error


def here(directory: str = CONFIGURATION) -> list[str]:
    """The engines that this host makes backups of."""
    return [engine for engine in READERS if (Path(directory) / f"{engine}.json").exists()]


def limits_of(configuration: Mapping[str, Any]) -> Limits:
    """The limits, in seconds, of an engine's configuration."""
    known = {item.name for item in fields(Limits)}
    return Limits(**{name: value for name, value in configuration.get("limits", {}).items() if name in known})


def survey(
    engines: Iterable[str] = (),
    records: Iterable[Mapping[str, Any]] = (),
    directory: str = CONFIGURATION,
    spool: str = DIRECTORY,
    now: float | None = None,
) -> list[Status]:
    """The judged state of every backup of this host's engines (of those named, when some are).

    ``records`` are results measured elsewhere, such as drills; the host's own last results are known from its spool.
    One engine of many whose state cannot be told is told with its reason; one that was named is an error.
    """
    now = time.time() if now is None else now
    named, known = list(engines), [*records, *Spool(spool).latest()]
    found = named or here(directory)
    if not found:
        raise BackupError(f"this host makes no backups of anything: no engine has its file in {directory}")
    told: list[Status] = []
    for engine in found:
        try:
            settings = configuration(engine, directory)
            limits = limits_of(settings)
            told += [judge(with_results(one, known, now), limits) for one in READERS[engine](settings, now)]
        except (BackupError, PgbackrestError, KeyError, OSError, ValueError) as error:
            if named or len(found) == 1:
                raise
            told.append(judge(Status(engine, engine, trouble=str(error)), Limits()))
    return told
