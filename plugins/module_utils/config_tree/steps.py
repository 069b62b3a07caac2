# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Steps of a swap. Each can be repeated or taken back after a kill; what it needs for that lies beside its path."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.namespace import exchange


class Step(Protocol):
    """``happened`` says whether the host shows that the step was taken; directories alone never say so."""

    @property
    def path(self) -> str: ...

    def apply(self) -> None: ...

    def undo(self) -> None: ...

    def happened(self) -> bool: ...


@dataclass(frozen=True)
class Exchange:
    """The staged tree and the live one trade places. ``inode`` is the staged tree's."""

    path: str
    staged: str
    inode: int

    def apply(self) -> None:
        if not self.happened():
            exchange(self.staged, self.path)

    def undo(self) -> None:
        if self.happened():
            exchange(self.staged, self.path)

    def happened(self) -> bool:
        return os.path.isdir(self.path) and os.lstat(self.path).st_ino == self.inode


@dataclass(frozen=True)
class Put:
    """A staged file, link or directory takes its place by a rename; what it replaces is kept as ``backup``."""

    path: str
    staged: str
    backup: str
    replaces: bool

    def apply(self) -> None:
        if not self.happened():
            if self.replaces:
                _keep(self.path, self.backup)
            os.rename(self.staged, self.path)

    def undo(self) -> None:
        if self.replaces and os.path.lexists(self.backup):
            os.rename(self.backup, self.path)
        elif not self.replaces and self.happened():
            os.rename(self.path, self.staged)

    def happened(self) -> bool:
        return not os.path.lexists(self.staged)


@dataclass(frozen=True)
class Remove:
    """A stray goes to ``backup``."""

    path: str
    backup: str

    def apply(self) -> None:
        if not self.happened() and os.path.lexists(self.path):
            os.rename(self.path, self.backup)

    def undo(self) -> None:
        if self.happened():
            os.rename(self.backup, self.path)

    def happened(self) -> bool:
        return os.path.lexists(self.backup)


@dataclass(frozen=True)
class MakeDirectory:
    """A directory is made, or gets another owner, group or mode. ``before`` is what it had."""

    path: str
    uid: int
    gid: int
    mode: int
    before: tuple[int, int, int] | None

    def apply(self) -> None:
        if not os.path.isdir(self.path):
            os.mkdir(self.path, 0o700)
        self._set(self.uid, self.gid, self.mode)

    def undo(self) -> None:
        if self.before is not None:
            self._set(*self.before)
        elif os.path.isdir(self.path) and not os.listdir(self.path):
            os.rmdir(self.path)

    def happened(self) -> bool:
        return False

    def _set(self, uid: int, gid: int, mode: int) -> None:
        os.chown(self.path, uid, gid)
        os.chmod(self.path, mode)


_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Exchange, Put, Remove, MakeDirectory)}


def dump_steps(steps: list[Any]) -> list[dict[str, Any]]:
    """Steps as plain data for the journal."""
    return [{"step": type(step).__name__, **asdict(step)} for step in steps]


def load_steps(data: list[dict[str, Any]]) -> list[Step]:
    """The opposite of `dump_steps`."""
    return [_KINDS[item["step"]](**{key: value for key, value in item.items() if key != "step"}) for item in data]


def _keep(path: str, backup: str) -> None:
    if os.path.lexists(backup):
        return
    try:
        os.link(path, backup, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, backup, follow_symlinks=False)
        status = os.lstat(path)
        os.chown(backup, status.st_uid, status.st_gid, follow_symlinks=False)
