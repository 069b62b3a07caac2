# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-backup``: makes one backup, or verifies the repository; timers and ``backup.yml`` run it.

It tells where it is on standard output, leaves its results in the spool, and writes the node exporter's textfile. The
role installs it with its neighbours as the package ``slipway_backup``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.metrics import publish
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, results
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import (
    CONFIGURATION,
    BackupError,
    configuration,
    survey,
)
from ansible_collections.slipway.ops.plugins.module_utils.data.table import table
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.backup import (
    Kind,
    Target,
    exit_code,
    in_recovery,
    left_to_primary,
    perform,
    targets,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import PgbackrestError
from ansible_collections.slipway.ops.plugins.module_utils.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.spool import DIRECTORY, Spool

ENGINE = "postgresql"
RUNTIME = "/run/slipway-backup"


class Diary:
    """What a run says, on standard output and in a file that ``backup.yml`` follows; its last line has the results."""

    def __init__(self, kind: str, directory: str = RUNTIME) -> None:
        place = Path(directory)
        place.mkdir(mode=0o750, exist_ok=True)
        self._file = (place / f"{kind}.jsonl").open("w", encoding="utf-8", buffering=1)
        self._write(run=os.environ.get("INVOCATION_ID", str(os.getpid())))

    def tell(self, line: str) -> None:
        print(line, flush=True)
        self._write(line=line)

    def end(self, found: list[Result]) -> None:
        self._write(results=[result.as_dict() for result in found])
        self._file.close()

    def _write(self, **entry: Any) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def make(kind: Kind, settings: Mapping[str, Any], chosen: list[Target], diary: Diary) -> list[Result]:
    """Performs it for each target, one after the other; a failure of one does not keep the next from its backup."""
    patience = float(settings["patience"]) if kind == "full" else 0.0
    found: list[Result] = []
    for target in chosen:
        if settings.get("local_port") and in_recovery(target.user, settings["local_port"]):
            made = [left_to_primary(kind, target)]
        else:
            made = perform(kind, target, patience, diary.tell)
        for result in made:
            diary.tell(f"{result.verdict}: {result.claim}" + (f" - {result.reason}" if result.reason else ""))
        found += made
    return found


def record(found: list[Result], settings: Mapping[str, Any], directory: str, spool: str) -> list[Result]:
    """Leaves results, the state after them, and the metrics. A state that cannot be told fails the run."""
    Spool(spool).leave([result.as_dict() for result in found], "backup")
    statuses: list[Status] = survey([ENGINE], directory=directory, spool=spool)
    state = [result for status in statuses for result in results(status)]
    Spool(spool).leave([result.as_dict() for result in state], "backup-state")
    publish(statuses, settings.get("textfile_directory") or "")
    return state


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="slipway-backup", description="Make or verify PostgreSQL backups.")
    parser.add_argument("kind", choices=["full", "incr", "verify", "status"])
    parser.add_argument("--stanza", help="only this one")
    parser.add_argument("--configuration", default=CONFIGURATION, help=argparse.SUPPRESS)
    parser.add_argument("--spool", default=DIRECTORY, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.kind == "status":
            print("\n".join(table(survey([ENGINE], directory=given.configuration, spool=given.spool))))
            return 0
        settings = configuration(ENGINE, given.configuration)
        chosen = [target for target in targets(settings) if given.stanza in (None, target.stanza)]
        diary = Diary(given.kind)
        found = make(given.kind, settings, chosen, diary)
        try:
            found += record(found, settings, given.configuration, given.spool)
        finally:
            diary.end(found)
        return exit_code(found)
    except (BackupError, PgbackrestError, KeyError, OSError, ValueError) as error:
        print(f"slipway-backup: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
