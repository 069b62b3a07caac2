# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of a host's files: made, read back, and held against those before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind, Tell, skipped
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status, moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import (
    ENGINE,
    PREFIX,
    Plan,
    Source,
    less,
    newest,
    of,
    rewritten,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import (
    INCOMPLETE,
    Repository,
    Snapshot,
    gist,
    summary,
)

SOURCE = "slipway-backup 0.1.0"
_CLAIM = "A backup of {} succeeds"


def back_up(wanted: Plan, kind: Kind, only: str | None, tell: Tell) -> list[Result]:
    """A snapshot of each source whose turn it is, and what is recorded of it."""
    chosen = [
        one for one in wanted.sources if only == one.name or (only is None and (kind == "full" or not one.weekly))
    ]
    if not chosen:  # a host that keeps others' repositories, or has none of this name
        return []
    at = timestamp()
    try:
        with wanted.alone(wanted.repository.patience if wanted.repository else 0.0):
            repository = wanted.opened(create=True)
            return [result for source in chosen for result in attempt(wanted, repository, source, tell)]
    except Busy as busy:
        tell(f"skip: {busy}")
        names = [_name(wanted, source) for source in chosen]
        return [skipped("full", name, _CLAIM.format(name), busy, SOURCE, at=at) for name in names]
    except (DataError, OSError, ValueError) as error:
        tell(f"fail: {error}")
        return [_made(wanted, source, "fail", at=at, reason=f"{_name(wanted, source)}: {error}") for source in chosen]


def attempt(wanted: Plan, repository: Repository, source: Source, tell: Tell) -> list[Result]:
    """One source; that it fails keeps no other from its backup."""
    at, began = timestamp(), time.monotonic()
    try:
        history = make(repository, wanted, source)
    except (DataError, OSError, ValueError) as error:
        tell(f"{source.name}: fail: {error}")
        took = round(time.monotonic() - began, 2)
        return [_made(wanted, source, "fail", at=at, took=took, reason=f"{_name(wanted, source)}: {error}")]
    took, last = round(time.monotonic() - began, 2), history[-1]
    tell(
        f"{source.name}: {last.label} has {last.files} files, {to_byte_size(last.bytes)}; {last.touched} new or changed"
    )
    shrunk, wholly = less(history), rewritten(history)
    for trouble in filter(None, [*shrunk, wholly]):
        tell(f"{source.name}: fail: {trouble}")
    name = _name(wanted, source)
    return [
        _made(wanted, source, "pass", at=at, took=took, measured=took, unit="s"),
        _result(
            name,
            "shrinkage",
            f"The backup of {name} is not much less than the five before",
            "fail" if shrunk else "pass",
            measured=len(shrunk),
            limit="= 0",
            reason=f"{last.label} of {name} shrank: {'; '.join(shrunk)}. Those before are kept for a restore"
            if shrunk
            else None,
        ),
        _result(
            name,
            "rewritten",
            f"Most files of {name} are those of the backup before",
            "fail" if wholly else "pass",
            measured=round(100 * last.touched / last.files, 1) if last.files else 0,
            unit="%",
            reason=f"{name} was rewritten: {wholly}. If nobody meant that, restore {history[-2].label}"
            if wholly
            else None,
        ),
    ]


def make(repository: Repository, wanted: Plan, source: Source) -> list[Snapshot]:
    """The source's snapshots, the new one last. restic's exit status is 0 for a source that is not there."""
    if gone := [path for path in source.paths if not os.path.lexists(path)]:
        raise FilesError(
            f"{', '.join(gone)} is not there, so nothing was backed up: bring it back, or mend restic_sources"
        )
    words = ["backup", "--json", "--quiet", "--host", wanted.name, "--tag", source.name, "--group-by", "host,tags"]
    words += [f"--exclude={pattern}" for pattern in (*source.exclude, f"{PREFIX}*")]
    ended = repository.run(f"backing up {source.name}", [*words, "--", *source.paths], (0, INCOMPLETE))
    if ended.code == INCOMPLETE:
        raise FilesError(f"not every file could be read, and the snapshot lacks them: {gist(ended.errors)}")
    label = str(summary(ended.output)["snapshot_id"])
    history = of(source.name, repository.snapshots())
    if label not in [one.id for one in history]:
        raise FilesError(f"restic says that it made {label[:8]}, and the repository does not list it")
    history = history[: [one.id for one in history].index(label) + 1]
    there = {node["path"] for node in repository.nodes(history[-1], *{str(Path(path)) for path in source.paths})}
    if gone := [path for path in source.paths if str(Path(path)) not in there]:
        raise FilesError(f"{', '.join(gone)} vanished while it was backed up: {history[-1].label} lacks it")
    return history


def verify(wanted: Plan, tell: Tell) -> list[Result]:
    """Checks the repository's structure, and reads the next of its parts."""
    at, began = timestamp(), time.monotonic()
    part, claim = next_part(wanted), f"The repository of {wanted.name} is whole"
    reason = None
    try:
        with wanted.alone():
            check(wanted.opened(), part, wanted.parts)
            (wanted.state / "part").write_text(f"{part}\n", encoding="utf-8")
    except Busy as busy:
        tell(f"{wanted.name}: skip: {busy}")
        return [skipped("verified", wanted.name, claim, busy, SOURCE, at=at)]
    except (DataError, OSError, ValueError) as error:
        reason = f"the verification of {wanted.name} found trouble: {error}"
    tell(f"{wanted.name}: {reason or f'whole; part {part} of {wanted.parts} was read'}")
    took = round(time.monotonic() - began, 2)
    verdict: Verdict = "fail" if reason else "pass"
    return [_result(wanted.name, "verified", claim, verdict, at=at, took=took, measured=took, unit="s", reason=reason)]


def next_part(wanted: Plan) -> int:
    """Each follows the last that was whole, so that all are read in turn; what fails is read again."""
    try:
        return int((wanted.state / "part").read_text(encoding="utf-8")) % wanted.parts + 1
    except (OSError, ValueError):
        return 1


def check(repository: Repository, part: int, parts: int) -> None:
    """FilesError unless structure and part are whole."""
    ended = repository.run("checking", ["check", "--json", f"--read-data-subset={part}/{parts}"], (0, 1))
    if ended.code:
        raise FilesError(
            f"the repository at {repository.where} is damaged: {gist(ended.errors)};"
            " make a backup elsewhere, then restic repair on the backup host"
        )


def statuses(wanted: Plan, now: float) -> list[Status]:
    """One of all sources: it is as old as the oldest of their newest. ``full`` is of weekly ones too."""
    if not wanted.sources:
        return []
    return [state(wanted.name, lambda: wanted.opened().snapshots(), wanted.sources, now)]


def state(name: str, listed: Callable[[], list[Snapshot]], sources: tuple[Source, ...], now: float) -> Status:
    """The state of one repository."""
    try:
        snapshots = listed()
    except (DataError, OSError, ValueError) as error:
        return Status(ENGINE, name, trouble=str(error))
    last = {source: newest(source.name, snapshots) for source in sources}
    if lacking := [source.name for source, one in last.items() if one is None]:
        return Status(ENGINE, name, trouble=f"there is no backup of {', '.join(lacking)} of {name} yet")
    all_of = [one for one in last.values() if one]
    often = [one for source, one in last.items() if one and not source.weekly] or all_of
    oldest, of_all = min(often, key=lambda one: one.began), min(all_of, key=lambda one: one.began)
    return Status(
        engine=ENGINE,
        name=name,
        last_success=moment(oldest.ended),
        kind="full",
        age=max(0.0, now - oldest.began),  # what was written after it began may not be in it
        full_success=moment(of_all.ended),
        full_age=max(0.0, now - of_all.began),
        backups=len(snapshots),
        size=sum(one.bytes for one in all_of),
        stored=sum(one.added for one in all_of),
        duration=round(sum(one.ended - one.began for one in all_of), 3),
    )


def _name(wanted: Plan, source: Source) -> str:
    return f"{wanted.name}/{source.name}"


def _made(wanted: Plan, source: Source, verdict: Verdict, **given: Any) -> Result:
    name = _name(wanted, source)
    return _result(name, "full", _CLAIM.format(name), verdict, **given)


def _result(subject: str, name: str, claim: str, verdict: Verdict, **given: Any) -> Result:
    return Result(f"data.backup.{name}", "data", subject, claim, verdict, source=SOURCE, **given)
