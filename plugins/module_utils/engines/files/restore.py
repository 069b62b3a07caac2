# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots back to where they came from, or beside. What was there is set aside, so that an undo is a rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size
from ansible_collections.slipway.ops.plugins.module_utils.data import DataError
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Refused, Restore, Tell
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import FilesError
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.compare import compare
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import PREFIX, Plan, newest
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.rehearsal import bring_back
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import Repository, Snapshot
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

UNCHANGED = "Nothing was changed"
_SHOWN = 10  # labels in a refusal
T = TypeVar("T")


def restore(wanted: Plan, host: str, asked: Restore, tell: Tell) -> None:
    """Nothing is replaced that is not confirmed, and what is replaced is kept beside."""
    confirmation = f"{host}/{wanted.name}"
    with wanted.alone():
        if asked.action in ("undo", "discard"):
            settle(wanted, asked, confirmation, tell)
            return
        repository = _refusing(wanted.opened)
        chosen = choose(wanted, asked, _refusing(repository.snapshots))
        beside = {
            one: Path(asked.into[one.source]) for one in chosen if asked.into.get(one.source, one.source) != one.source
        }
        over = [path for one in chosen if one not in beside for path in map(Path, one.paths)]
        refuse_beside(beside.values())
        refuse_over(over, asked, confirmation)
        _refuse_little_room(chosen, over, beside)
        for one in chosen:
            target = beside.get(one) or ", ".join(one.paths)
            tell(f"{one.source} {one.label} with {one.files} files is restored to {target}")
        if asked.look:
            return
        for one in chosen:
            if one in beside:
                bring_back(repository, one, beside[one])
                refuse_difference(repository, one, beside[one])
            else:
                replace(repository, one)
        if any(map(os.path.lexists, map(former, over))):
            tell("what was there is kept beside it: restore_undo=true puts it back, restore_discard=true removes it")
        tell("every file is as its snapshot says")


def choose(wanted: Plan, asked: Restore, snapshots: list[Snapshot]) -> list[Snapshot]:
    """What is restored: the snapshot that was named, or the newest of each source."""
    names = [source.name for source in wanted.sources]
    if strange := sorted(set(asked.into) - set(names)):
        raise Refused(f"{', '.join(strange)} is no source of {wanted.name}; there are {', '.join(names)}. {UNCHANGED}")
    known = [one for one in snapshots if one.source in names and (not asked.into or one.source in asked.into)]
    if asked.set:
        found = [one for one in known if one.id.startswith(asked.set)]
        if len(found) != 1:
            listed = ", ".join(f"{one.source} {one.label}" for one in known[-_SHOWN:]) or "none"
            raise Refused(f"there is no backup {asked.set}; the newest are {listed}. {UNCHANGED}")
        return found
    last = {name: newest(name, known) for name in names if not asked.into or name in asked.into}
    if lacking := [name for name, one in last.items() if one is None]:
        raise Refused(f"there is no backup of {', '.join(lacking)} in the repository. {UNCHANGED}")
    return [one for one in last.values() if one]


def refuse_beside(places: Iterable[Path]) -> None:
    for place in places:
        if not place.is_absolute():
            raise Refused(f"{place} is no path from the root: restore_into names a directory. {UNCHANGED}")
        if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
            raise Refused(f"{place} is there and not an empty directory: name another. {UNCHANGED}")


def refuse_over(paths: list[Path], asked: Restore, confirmation: str) -> None:
    """What is there is replaced when that was typed, and never by a recovery."""
    if mounted := [str(path) for path in paths if path.is_mount()]:
        raise Refused(
            f"{mounted[0]} is a mount, which cannot be set aside: restore_into it beside, and move. {UNCHANGED}"
        )
    there = [str(path) for path in paths if os.path.lexists(path) and not _empty(path)]
    if there and asked.action == "recover":
        raise Refused(
            f"{', '.join(there)} is there: recover.yml fills a host that has none of it. If it is to go: restore.yml"
            f" with restore_confirm={confirmation}. {UNCHANGED}"
        )
    if there and asked.confirm != confirmation:
        raise Refused(
            f"{', '.join(there)} would be replaced: restore_confirm={confirmation} (--confirm on the host) does that."
            f" {UNCHANGED}"
        )
    if kept := [str(former(path)) for path in paths if os.path.lexists(former(path))]:
        raise Refused(
            f"{', '.join(kept)} is what the last restore replaced: restore_discard=true removes it, restore_undo=true"
            f" puts it back. {UNCHANGED}"
        )


def replace(repository: Repository, one: Snapshot) -> None:
    """All of its paths are restored and compared beside their places before the first is put there."""
    for path in map(Path, one.paths):
        shutil.rmtree(fresh(path), ignore_errors=True)
        make_directory(path.parent, 0o755)
        make_directory(fresh(path), 0o700)
        bring_back(repository, one, fresh(path), str(path))
        refuse_difference(repository, one, fresh(path), str(path))
    for path in map(Path, one.paths):
        if os.path.lexists(path):
            path.rename(former(path))
        (fresh(path) / str(path).lstrip("/")).rename(path)
        shutil.rmtree(fresh(path))


def refuse_difference(repository: Repository, one: Snapshot, place: Path, only: str = "") -> None:
    found = compare(repository.nodes(one), [only] if only else one.paths, place, live=False).compared(one.source)
    if not found.rows or not found.same:
        raise FilesError(f"what was restored to {place} is not what {one.label} holds: {found.difference}")


def settle(wanted: Plan, asked: Restore, confirmation: str, tell: Tell) -> None:
    """Puts back, or removes, what the last restore set aside."""
    kept = [path for source in wanted.sources for path in map(Path, source.paths) if os.path.lexists(former(path))]
    if asked.action == "discard":
        if lost := [str(path) for path in kept if not os.path.lexists(path)]:
            raise Refused(
                f"{', '.join(lost)} is not there, as a restore or an undo was killed: restore_undo=true puts back"
                f" what was there before. {UNCHANGED}"
            )
        tell(f"{', '.join(map(str, map(former, kept)))} is removed" if kept else "nothing is kept")
        for path in [] if asked.look else kept:
            _remove(former(path))
        return
    if not kept:
        raise Refused(f"no restore of {wanted.name} keeps what it replaced. {UNCHANGED}")
    if asked.confirm != confirmation:
        raise Refused(
            f"{', '.join(map(str, kept))} would be replaced by what was there before the last restore:"
            f" restore_confirm={confirmation} (--confirm on the host) does that. {UNCHANGED}"
        )
    tell(f"{', '.join(map(str, kept))} gets back what the last restore replaced")
    for path in [] if asked.look else kept:
        # What a restore that was killed left there; the former one is kept meanwhile.
        _remove(fresh(path))
        if os.path.lexists(path):
            path.rename(fresh(path))
        former(path).rename(path)
        _remove(fresh(path))


def former(path: Path) -> Path:
    return path.with_name(f"{PREFIX}former-{path.name}")


def fresh(path: Path) -> Path:
    return path.with_name(f"{PREFIX}restore-{path.name}")


def _refuse_little_room(chosen: list[Snapshot], over: list[Path], beside: dict[Snapshot, Path]) -> None:
    """Roughly: sources that share a disk are counted together on each of their disks."""
    needed = sum(one.bytes for one in chosen)
    for place in [*over, *beside.values()]:
        there = next(parent for parent in place.parents if parent.exists())
        if shutil.disk_usage(there).free < needed:
            raise Refused(f"{there} has no room for {to_byte_size(needed)} beside what is there. {UNCHANGED}")


def _refusing(action: Callable[[], T]) -> T:
    try:
        return action()
    except (DataError, OSError, ValueError) as error:
        raise Refused(f"{error}. {UNCHANGED}") from error


def _empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
