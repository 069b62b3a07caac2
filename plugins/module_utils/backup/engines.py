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

from ..pgbackrest.status import statuses as postgresql
from ..spool import DIRECTORY, Spool
from .status import Limits, Status, judge, with_results

CONFIGURATION = "/etc/slipway/backup"  # <engine>.json, readable by all: nothing in it is secret

Reader = Callable[[Mapping[str, Any], float], "list[Status]"]

# A new engine is a reader here: its configuration and the present moment to the state of each of its backups.
READERS: dict[str, Reader] = {"postgresql": postgresql}


class BackupError(Exception):
    """The state of backups cannot be told; the message says why and what to do."""


def configurations(directory: str = CONFIGURATION) -> dict[str, dict[str, Any]]:
    """What this host's roles left, by engine."""
    found = {}
    for path in sorted(Path(directory).glob("*.json")):
        if path.stem not in READERS:
            raise BackupError(f"{path} is of no known engine; known are {', '.join(READERS)}")
        try:
            found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackupError(f"{path} cannot be read ({error}); run the engine's role again") from error
    return found


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
    """
    now = time.time() if now is None else now
    found = configurations(directory)
    missing = [name for name in engines if name not in found]
    if missing or not found:
        what = ", ".join(missing) or "anything"
        raise BackupError(f"this host makes no backups of {what}: there is no such file in {directory}")
    known = [*records, *Spool(spool).latest()]
    told = []
    for name in engines or found:
        limits = limits_of(found[name])
        told += [judge(with_results(status, known, now), limits) for status in READERS[name](found[name], now)]
    return told
