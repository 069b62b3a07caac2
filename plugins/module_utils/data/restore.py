# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-restore``: brings back what an engine backed up; ``restore.yml`` and ``recover.yml`` run it.

It tells what it does on standard output and leaves its results in the spool.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import DataError, engine
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import ACTIONS, Refused, Restore
from ansible_collections.slipway.ops.plugins.module_utils.data.status import moment
from ansible_collections.slipway.ops.plugins.module_utils.data.survey import CONFIGURATION, configuration
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import DIRECTORY, Spool

SOURCE = "slipway-restore 0.1.0"
CLAIMS = {
    "restore": "{} was restored from its backup",
    "undo": "What {} had before its last restore is back",
    "recover": "{} was rebuilt from its backup on a host that had none of it",
}


def perform(given: Namespace) -> None:
    """One restore with its result; a look leaves none."""
    settings = configuration(given.engine, given.configuration)
    asked = Restore(given.action, given.set, pairs(given.into), given.confirm, given.look)
    began = given.began or time.time()
    restore = getattr(engine.load(given.engine), "restore", None)
    if restore is None:
        raise DataError(f"{given.engine} is restored by restore.yml alone")
    recorded = not asked.look and asked.action != "discard"
    try:
        restore(settings, asked, print)
    except Refused:
        raise
    except (DataError, OSError) as error:
        if recorded:
            leave(given, settings, began, str(error))
        raise
    if recorded:
        leave(given, settings, began)


def leave(given: Namespace, settings: Mapping[str, Any], began: float, error: str | None = None) -> None:
    """What the evidence store keeps of it."""
    name, took = str(settings["plan"]["name"]), round(time.time() - began, 3)
    verb = "recover" if given.action == "recover" else "restore"
    result = Result(
        id=f"data.{verb}.{given.engine}.result",
        area="data",
        subject=name,
        claim=CLAIMS[given.action].format(name),
        verdict="fail" if error else "pass",
        measured=None if error else took,
        unit="s",
        at=moment(began),
        took=took,
        source=SOURCE,
        reason=error[:3000] if error else None,
    )
    Spool(given.spool).leave([result.as_dict()], f"{verb}-{given.engine}")


def pairs(words: list[str]) -> dict[str, str]:
    """OLD=NEW, or a name that stays."""
    split = [word.partition("=") for word in words]
    return {old: new or old for old, _, new in split}


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="slipway-restore", description="Restore a backup and compare.")
    parser.add_argument("engine")
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="restore")
    parser.add_argument("--set", default="", help="label of the backup; default the newest")
    parser.add_argument("--into", action="append", default=[], metavar="OLD=NEW", help="only this one, so named")
    parser.add_argument("--confirm", default="", metavar="HOST/NAME", help="replace what is there")
    parser.add_argument("--look", action="store_true", help="only tell what would be done")
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--configuration", default=CONFIGURATION, help=argparse.SUPPRESS)
    parser.add_argument("--spool", default=DIRECTORY, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    try:
        if os.geteuid() != 0:
            raise DataError("it must run as root, who alone can read the backups")
        perform(given)
    except KeyError as error:
        return failed(f"its configuration lacks {error}; run the engine's role again")
    except (DataError, OSError, ValueError) as error:
        return failed(str(error))
    return 0


def failed(reason: str) -> int:
    print(f"slipway-restore: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
