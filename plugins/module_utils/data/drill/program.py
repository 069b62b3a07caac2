# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-drill``: makes one drill; timers and ``drill.yml`` run it.

It tells where it is on standard output and in a diary, leaves its results in the spool, its report beside its
configuration's state, and writes the node exporter's textfile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError, engine
from ansible_collections.slipway.ops.plugins.module_utils.data.diary import Diary
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import CONFIGURATION, REPORTS, DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Report, lines, metrics, results
from ansible_collections.slipway.ops.plugins.module_utils.data.service import DRILL, RECORDED, RUNTIME
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import DIRECTORY, Spool
from ansible_collections.slipway.ops.plugins.module_utils.host import textfile
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace


def load(name: str, directory: str = CONFIGURATION) -> dict[str, Any]:
    """The configuration that the role left."""
    path = Path(directory) / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DrillError(f"{path} cannot be read ({error}); run the role that sets drills up here") from error


def publish(report: Report, configuration: Mapping[str, Any]) -> None:
    """The report for whoever asks, and the metrics where the node exporter reads them."""
    make_directory(Path(REPORTS), 0o750)
    told = json.dumps(report.as_dict(), ensure_ascii=False, indent=1)
    replace(Path(REPORTS) / f"{report.engine}.json", told, 0o640)
    if not report.skipped:
        textfiles = Path(configuration.get("textfile_directory") or "/nowhere")
        textfile.publish(textfiles, f"slipway_drill_{report.engine}.prom", metrics(report, time.time()))


def _stopped(*_: object) -> None:
    raise DrillError("the drill was stopped before its end")


def perform(name: str, configuration: Mapping[str, Any], diary: Diary) -> list[Result]:
    """One drill from start to end, with everything that is left of it."""
    run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    report = engine.load(name).drill(configuration, run, diary.tell)
    for line in lines(report):
        diary.tell(line)
    found = results(report)
    publish(report, configuration)
    Spool(configuration.get("spool", DIRECTORY)).leave([result.as_dict() for result in found], f"drill-{name}")
    return found


def clean(name: str, configuration: Mapping[str, Any]) -> None:
    """Removes what a drill that was killed left; one that is under way cleans up after itself."""
    try:
        engine.load(name).sweep(configuration)
    except Busy as busy:
        print(f"nothing is removed: {busy}")


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="slipway-drill", description="Restore the newest backup, compare and measure."
    )
    parser.add_argument("engine", choices=engine.names())
    parser.add_argument("--clean", action="store_true", help="only remove what a drill that was killed left")
    parser.add_argument("--configuration", default=CONFIGURATION, help=argparse.SUPPRESS)
    parser.add_argument("--runtime", default=f"{RUNTIME}/{DRILL}", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    try:
        if os.geteuid() != 0:
            raise DrillError("it must run as root, to become the server's user within its own scope")
        configuration = load(given.engine, given.configuration)
        if given.clean:
            clean(given.engine, configuration)
            return 0
        signal.signal(signal.SIGTERM, _stopped)
        diary = Diary(given.engine, given.runtime)
        found: list[Result] = []
        try:
            found = perform(given.engine, configuration, diary)
        finally:
            diary.end(found)
        return RECORDED if any(result.verdict == "fail" for result in found) else 0
    except (DataError, KeyError, OSError, TypeError, ValueError) as error:
        print(f"slipway-drill: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
