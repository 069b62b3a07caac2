# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drill: the newest snapshot of each source restored beside it, and compared with it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Course, Tell
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits, Report, difference
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.compare import compare
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import ENGINE, Plan, Source, newest
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import Repository, Snapshot

PARTS = ("restore",)
_DRILL = "drill-"
_ROOM = 1.05


def drill(wanted: Plan, limits: Limits, run: str, tell: Tell) -> Report:
    """Makes the drill. Whatever happens, nothing of it is left; why it failed is in the report."""
    report = Report(ENGINE, wanted.name, run, timestamp(), limits=limits, parts=PARTS)
    course = Course(tell, report.phases)
    try:
        with wanted.alone(), _place(wanted.scratch) as place:
            _perform(wanted, report, course, place)
    except Busy as busy:
        report.skip(str(busy))
    except (DataError, OSError, ValueError) as error:
        report.reason = str(error)
    report.took = round(time.monotonic() - course.began, 3)
    return report


def sweep(wanted: Plan) -> None:
    """Removes what a drill that was killed left; Busy while one is under way."""
    with wanted.alone():
        for place in wanted.scratch.glob(f"{_DRILL}*"):
            shutil.rmtree(place, ignore_errors=True)


def _perform(wanted: Plan, report: Report, course: Course, place: Path) -> None:
    with course.phase("look", "Look") as phase:
        repository = wanted.opened()
        chosen = choose(wanted, repository.snapshots())
        age = time.time() - min(one.began for source, one in chosen.items() if not source.weekly or all_weekly(wanted))
        report.size = sum(one.bytes for one in chosen.values())
        labels = ", ".join(f"{source.name} {one.label}" for source, one in chosen.items())
        report.backup = {"label": labels, "kind": "full", "age": round(age, 1), "size": report.size}
        if report.limits.age is not None and age > report.limits.age:
            raise DrillError(
                f"the newest backup of {wanted.name} ({labels}) is {to_duration(round(age))} old, more than"
                f" {to_duration(report.limits.age)}: find out why none was made since"
            )
        refuse_little_room(wanted.scratch, report.size)
        phase.note = f"{labels}, {to_duration(round(age))} old, {to_byte_size(report.size)}"
    with course.phase("restore", "Restore the newest of each source"):
        for source, one in chosen.items():
            bring_back(repository, one, place / source.name)
    report.rto = report.moving = course.seconds(*PARTS)
    report.rpo = round(age, 1)
    with course.phase("compare", "Compare every file") as phase:
        report.tables, contents = [], 0
        for source, one in chosen.items():
            found = compare(repository.nodes(one), one.paths, place / source.name, live=True)
            report.tables.append(found.compared(source.name))
            contents += found.contents
        phase.note = f"{contents} files by content with those that are there and have not changed since"
        if report.different:
            raise DrillError(difference(report.different))


def choose(wanted: Plan, snapshots: list[Snapshot]) -> dict[Source, Snapshot]:
    """The newest of each source that can be restored."""
    found = {source: newest(source.name, snapshots) for source in wanted.sources}
    if lacking := [source.name for source, one in found.items() if one is None]:
        raise DrillError(f"there is no backup of {', '.join(lacking)} to restore: make one with backup.yml")
    return {source: one for source, one in found.items() if one}


def all_weekly(wanted: Plan) -> bool:
    return all(source.weekly for source in wanted.sources)


def bring_back(repository: Repository, one: Snapshot, target: Path, only: str = "") -> None:
    """Restores a snapshot, or one of its paths, beneath a directory; what was written is read again."""
    chosen = ["--include", escaped(only)] if only else []
    words = ["restore", "--json", "--quiet", "--verify", "--no-lock", "--target", str(target), *chosen, one.id]
    repository.run(f"restoring {one.source} {one.label}", words)


def escaped(path: str) -> str:
    """A path as a pattern that matches it alone."""
    return "".join(f"\\{letter}" if letter in "\\*?[]" else letter for letter in path)


def refuse_little_room(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed * _ROOM > free:
        raise FilesError(
            f"the backups restore to {to_byte_size(needed)}, and {directory} has {to_byte_size(free)}: give it room"
        )


@contextmanager
def _place(directory: Path) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix=_DRILL, dir=directory))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
