# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-backup``: makes or verifies the backups of this host's engines; timers and ``backup.yml`` run it.

It tells where it is on standard output, leaves its results in the spool, and writes the node exporter's textfile.
"""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import DataError, engine
from ansible_collections.slipway.ops.plugins.module_utils.data.diary import Diary
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind
from ansible_collections.slipway.ops.plugins.module_utils.data.metrics import publish
from ansible_collections.slipway.ops.plugins.module_utils.data.service import RECORDED, runtime_of
from ansible_collections.slipway.ops.plugins.module_utils.data.status import results
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import CONFIGURATION, configuration, here, survey
from ansible_collections.slipway.ops.plugins.module_utils.data.table import table
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import DIRECTORY, Spool

KINDS = ("full", "incr", "verify")


def back_up(name: str, kind: Kind, given: Namespace) -> int:
    """One engine's backups, with everything that is left of them; its exit status."""
    settings = configuration(name, given.configuration)
    diary = Diary(kind, given.runtime or runtime_of(settings))
    found = engine.load(name).back_up(kind, settings, given.only, diary.tell)
    try:
        found += record(name, found, settings, given)
    finally:
        diary.end(found)
    return RECORDED if any(result.verdict == "fail" for result in found) else 0


def record(name: str, found: list[Result], settings: Mapping[str, Any], given: Namespace) -> list[Result]:
    """Leaves results, the state after them, and the metrics. A state that cannot be told fails the run."""
    Spool(given.spool).leave([result.as_dict() for result in found], "backup")
    statuses = survey([name], directory=given.configuration, spool=given.spool)
    state = [result for status in statuses for result in results(status)]
    Spool(given.spool).leave([result.as_dict() for result in state], "backup-state")
    publish(statuses, settings.get("textfile_directory") or "")
    return state


def tell(given: Namespace) -> int:
    """The state of the backups, as a table or for other programs, which may know what was measured elsewhere."""
    records = json.load(sys.stdin) if given.records else []
    statuses = survey(given.engine, records, directory=given.configuration, spool=given.spool)
    print(json.dumps([status.as_dict() for status in statuses]) if given.json else "\n".join(table(statuses)))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="slipway-backup", description="Make or verify backups, or tell how they are.")
    parser.add_argument("kind", choices=[*KINDS, "status"])
    parser.add_argument("--engine", action="append", default=[], help="only this one, of all that are set up here")
    parser.add_argument("--only", metavar="NAME", help="only the backup of this name")
    parser.add_argument("--json", action="store_true", help="the status for other programs")
    parser.add_argument("--records", action="store_true", help="read results that were measured elsewhere from stdin")
    parser.add_argument("--configuration", default=CONFIGURATION, help=argparse.SUPPRESS)
    parser.add_argument("--spool", default=DIRECTORY, help=argparse.SUPPRESS)
    parser.add_argument("--runtime", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    try:
        if given.kind == "status":
            return tell(given)
        codes = [attempted(name, given) for name in given.engine or here(given.configuration)]
        return 1 if 1 in codes else max(codes)  # what nobody recorded is worse than what is recorded
    except (DataError, KeyError, OSError, ValueError) as error:
        return failed(error)


def attempted(name: str, given: Namespace) -> int:
    """One engine that fails keeps no other from its backups."""
    try:
        return back_up(name, given.kind, given)
    except (DataError, KeyError, OSError, ValueError) as error:
        return failed(error)


def failed(error: Exception) -> int:
    print(f"slipway-backup: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
