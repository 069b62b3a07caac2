# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of all backups that this host makes, by the files that engines' roles leave."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, DataError, engine
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits, Status, judge, with_results
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import DIRECTORY, Spool

CONFIGURATION = "/etc/slipway/backup"  # <engine>.json, readable by all: nothing in it is secret


def configuration(name: str, directory: str = CONFIGURATION) -> dict[str, Any]:
    """What this engine's role left on this host. Another engine's file is nobody's business here."""
    path = Path(directory) / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackupError(f"this host makes no backups of {name}: there is no {path}") from error
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} cannot be read ({error}); run the engine's role again") from error


def here(directory: str = CONFIGURATION) -> list[str]:
    """The engines that this host makes backups of."""
    found = [name for name in engine.names() if (Path(directory) / f"{name}.json").exists()]
    if not found:
        raise BackupError(f"this host makes no backups of anything: no engine has its file in {directory}")
    return found


def limits_of(settings: Mapping[str, Any]) -> Limits:
    """The limits, in seconds, of an engine's configuration."""
    known = {item.name for item in fields(Limits)}
    return Limits(**{name: value for name, value in settings.get("limits", {}).items() if name in known})


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
    told: list[Status] = []
    for name in found:
        try:
            settings = configuration(name, directory)
            limits = limits_of(settings)
            told += [judge(with_results(one, known, now), limits) for one in engine.load(name).statuses(settings, now)]
        except (DataError, KeyError, OSError, ValueError) as error:
            if named or len(found) == 1:
                raise
            told.append(judge(Status(name, name, trouble=_reason(error)), Limits()))
    return told


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its configuration lacks {error}; run the engine's role again"
    return str(error)
