# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drill: the newest dump restored under scratch names, compared with what it was made with, and dropped."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Course, Phase, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits, Report, difference
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import (
    SCRATCH,
    Server,
    connected,
    scratch_names,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.restore import compare, databases, of, put
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.store import ENGINE, Dump, Plan, Store
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.tools import tool_config, uri_of

PARTS = ("fetch", "restore", "indexes")


def drill(wanted: Plan, limits: Limits, run: str, tell: Tell) -> Report:
    """Makes the drill. Whatever happens, nothing of it is left; why it failed is in the report."""
    report = Report(ENGINE, wanted.name, run, timestamp(), limits=limits, parts=PARTS)
    course = Course(tell, report.phases)
    try:
        store = Store(wanted)
        with store.alone():
            _perform(store, report, course)
    except Busy as busy:
        report.skip(str(busy))
    except (DataError, OSError) as error:
        report.reason = str(error)
    report.took = round(time.monotonic() - course.began, 3)
    return report


def sweep(wanted: Plan) -> None:
    """Drops what a drill that was killed left here; Busy while one is under way. A bucket that is away is none of
    it."""
    store = Store(replace(wanted, bucket={}))
    with store.alone():
        store.tidy()
        with connected(uri_of(wanted.secrets)) as server:
            _drop(server)


def _perform(store: Store, report: Report, course: Course) -> None:
    with course.phase("look", "Look") as phase:
        dump = _look(store, report, phase)
    with ExitStack() as held:
        if store.bucket:
            with course.phase("fetch", "Fetch it from the bucket"):
                held.enter_context(store.at_hand(dump))
        _restore(store, dump, report, course)


def _restore(store: Store, dump: Dump, report: Report, course: Course) -> None:
    wanted = store.plan
    with course.phase("read", "Read the archive to its end") as phase:
        store.check(dump)
        phase.note = f"{dump.documents} documents of {len(dump.data())} collections"
    names = scratch_names(databases(dump))
    uri = uri_of(wanted.secrets)
    with connected(uri) as server, tool_config(uri) as config:
        _clean(course, server)
        try:
            with course.phase("restore", "Restore documents") as phase:
                put(store, dump, config, names, drop=True)
                phase.note = "without the oplog" if dump.consistency == "oplog" else ""
            with course.phase("indexes", "Make the indexes"):
                server.make_indexes(of(dump, names))
            report.rto, report.moving = course.seconds(*PARTS), course.seconds(*PARTS)
            report.rpo = round(time.time() - dump.began - (time.monotonic() - course.began), 1)
            with course.phase("compare", "Compare every collection") as phase:
                report.tables, unlike = compare(dump, config, names, server)
                phase.note = f"{len(report.tables) - len(report.different)} of {len(report.tables)} are the same"
                if report.different:
                    raise DrillError(difference(report.different))
                if unlike:
                    raise DrillError(f"the indexes of {', '.join(unlike[:3])} are not the same after the restore")
        finally:
            _clean(course, server)


def _look(store: Store, report: Report, phase: Phase) -> Dump:
    dump, limit = store.newest(), report.limits.age
    age = time.time() - dump.began
    report.size = dump.size
    report.backup = {"label": dump.label, "kind": "full", "age": round(age, 1), "size": dump.size}
    if limit is not None and age > limit:
        raise DrillError(
            f"the newest dump of {store.plan.name}, {dump.label}, is {to_duration(round(age))} old, more than"
            f" {to_duration(limit)}: find out why none was made since"
        )
    phase.note = f"{dump.label}, {to_duration(round(age))} old, {to_byte_size(dump.size)}"
    return dump


def _clean(course: Course, server: Server) -> None:
    with course.phase("clean", "Drop scratch databases"):
        _drop(server)


def _drop(server: Server) -> None:
    for name in server.databases():
        if name.startswith(SCRATCH):
            server.drop(name)
