# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of backups as the host's own program tells it: who asks needs none of the engines' code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits, Status

PROGRAM = "/usr/local/sbin/slipway-backup"
_LONGEST = 600.0  # seconds; a repository that does not answer is known by then


def ask(engines: Iterable[str] = (), records: Iterable[Mapping[str, Any]] = ()) -> list[Status]:
    """The judged state of every backup of this host's engines (of those named, when some are).

    ``records`` are results measured elsewhere, such as drills.
    """
    argv = [PROGRAM, "status", "--json", "--records", *(f"--engine={name}" for name in engines)]
    try:
        ended = subprocess.run(
            argv, input=json.dumps(list(records)), capture_output=True, text=True, check=False, timeout=_LONGEST
        )
    except FileNotFoundError as error:
        raise BackupError(f"this host makes no backups: there is no {PROGRAM}") from error
    except subprocess.TimeoutExpired as error:
        raise BackupError(f"{' '.join(argv)} did not end within {_LONGEST:g} s") from error
    if ended.returncode == 2:
        raise BackupError(f"{PROGRAM} is of another version than what asks it: run the engine's role again")
    if ended.returncode:
        raise BackupError(ended.stderr.strip().removeprefix("slipway-backup: ") or f"{PROGRAM} failed without a word")
    return [
        Status(**{**one, "limits": Limits(**one["limits"]), "problems": tuple(one["problems"])})
        for one in json.loads(ended.stdout)
    ]
