# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drill: the newest snapshot loaded by a scratch server and compared with what it was made with."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Course, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import (
    Compared,
    Limits,
    Report,
    difference,
)
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import Kept
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.backup import (
    ENGINE,
    Plan,
    Snapshots,
    keys,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.scratch import (
    RDB,
    contents,
    refuse_little_memory,
)

PARTS = ("fetch", "restore", "start")


def drill(wanted: Plan, limits: Limits, run: str, tell: Tell) -> Report:
    """Makes the drill. Whatever happens, nothing of it is left; why it failed is in the report."""
    report = Report(ENGINE, wanted.name, run, timestamp(), limits=limits, parts=PARTS)
    course = Course(tell, report.phases)
    try:
        with wanted.shelf.alone():
            _perform(wanted, report, course)
    except Busy as busy:
        report.skip(str(busy))
    except (DataError, OSError) as error:
        report.reason = str(error)
    report.took = round(time.monotonic() - course.began, 3)
    return report


def sweep(wanted: Plan) -> None:
    """Removes what a drill that was killed left here; Busy while one is under way. A bucket that is away is none of
    it."""
    shelf = replace(wanted, bucket={}).shelf
    with shelf.alone():
        shelf.tidy()
        wanted.server.sweep()


def _perform(wanted: Plan, report: Report, course: Course) -> None:
    shelf = wanted.shelf
    with course.phase("look", "Look") as phase:
        kept = shelf.newest()
        age = time.time() - kept.began
        report.size = kept.size
        report.backup = {"label": kept.label, "kind": "full", "age": round(age, 1), "size": kept.size}
        refuse_stale(wanted.name, kept, age, report.limits.age)
        refuse_little_memory(kept.holds["memory"])
        phase.note = f"{kept.label}, {to_duration(round(age))} old, {to_byte_size(kept.size)}, {keys(kept)} keys"
    with ExitStack() as held:
        if shelf.bucket:
            with course.phase("fetch", "Fetch it from the bucket"):
                held.enter_context(shelf.at_hand(kept))
        _restore(wanted, shelf, kept, report, course)


def _restore(wanted: Plan, shelf: Snapshots, kept: Kept, report: Report, course: Course) -> None:
    with course.phase("read", "Read the file to its end"):
        shelf.refuse_damage(kept)
    with wanted.server.place() as place, ExitStack() as stack:
        with course.phase("restore", "Restore the snapshot"):
            shelf.unseal(shelf.sealed(kept.label), place / RDB)
        with course.phase("start", "Start a server on it"):
            client = stack.enter_context(wanted.server.loaded(place))
        report.rto = report.moving = course.seconds(*PARTS)
        report.rpo = report.backup["age"]
        with course.phase("compare", "Compare every key") as phase:
            found = contents(client)
            report.tables = compared(kept, found["databases"], found["hash"])
            phase.note = f"{len(report.tables) - len(report.different)} of {len(report.tables)} databases are the same"
            if report.different:
                raise DrillError(difference(report.different))


def refuse_stale(name: str, kept: Kept, age: float, limit: float | None) -> None:
    if limit is not None and age > limit:
        raise DrillError(
            f"the newest backup of {name}, {kept.label}, is {to_duration(round(age))} old, more than"
            f" {to_duration(limit)}: find out why none was made since"
        )


def compared(kept: Kept, databases: dict[str, dict[str, int]], hashed: str) -> list[Compared]:
    """Each database on both sides; the hash is of all of them together."""
    wanted: dict[str, dict[str, int]] = kept.holds["databases"]
    found = []
    for name in sorted({*wanted, *databases}):
        restored = databases.get(name)
        rows, of = (restored["keys"], hashed) if restored else (None, None)
        found.append(Compared(name, wanted.get(name, {}).get("keys", 0), kept.holds["hash"], rows, of))
    return found
