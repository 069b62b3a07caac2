# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What differs between the wanted set and what stands on the host."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Literal

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import (
    PARENT,
    Access,
    ConfigTreeError,
    Directory,
    File,
    Wanted,
)

WORKSPACE = ".slipway-staged"

Kind = Literal["absent", "file", "link", "directory", "other"]


@dataclass(frozen=True)
class Live:
    """What stands at a path now. ``content`` is read for regular files only."""

    kind: Kind
    access: Access | None = None
    content: bytes = b""
    link: str | None = None


@dataclass(frozen=True)
class Change:
    """One path that has to change; ``wanted`` is None for a stray that goes."""

    path: str
    live: Live
    wanted: File | Directory | None

    @property
    def is_directory(self) -> bool:
        return isinstance(self.wanted, Directory)

    @property
    def secret(self) -> bool:
        return isinstance(self.wanted, File) and self.wanted.secret


def make_plan(wanted: Wanted) -> list[Change]:
    """All changes in the order in which they are safe one by one: directories from the top, new files (nothing reads
    them before something names them), changed files, strays (nothing names them any more)."""
    directories = [change for item in _all_directories(wanted) if (change := _directory_change(item))]
    files = [change for item in wanted.files if (change := _file_change(item))]
    created = [change for change in files if change.live.kind == "absent"]
    updated = [change for change in files if change.live.kind != "absent"]
    return directories + created + updated + _strays(wanted)


def look(path: str, read: bool = True) -> Live:
    """What stands at the path, links not followed."""
    try:
        status = os.lstat(path)
        access = Access(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        if stat.S_ISLNK(status.st_mode):
            return Live("link", access, link=os.readlink(path))
        if stat.S_ISDIR(status.st_mode):
            return Live("directory", access)
        if not stat.S_ISREG(status.st_mode):
            return Live("other", access)
        return Live("file", access, _read(path) if read else b"")
    except (FileNotFoundError, NotADirectoryError):
        return Live("absent")


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _all_directories(wanted: Wanted) -> list[Directory]:
    """The listed directories and the parents that are missing, from the top."""
    listed = {item.path: item for item in wanted.directories}
    needed = list(wanted.paths)
    if wanted.root:
        needed.append(os.path.join(wanted.root, "."))
    for path in needed:
        above = os.path.dirname(path)
        while not os.path.lexists(above):
            listed.setdefault(above, Directory(above, PARENT))
            above = os.path.dirname(above)
    return [listed[path] for path in sorted(listed)]


def _directory_change(item: Directory) -> Change | None:
    live = look(item.path, read=False)
    if live.kind not in ("absent", "directory"):
        raise ConfigTreeError(f"{item.path}: a directory is wanted, but a {live.kind} is there; move it away")
    return None if live.access == item.access else Change(item.path, live, item)


def _file_change(item: File) -> Change | None:
    live = look(item.path)
    if live.kind == "directory":
        raise ConfigTreeError(f"{item.path}: a file is wanted, but a directory is there; move it away")
    if item.link is not None:
        return None if live.link == item.link else Change(item.path, live, item)
    same = live.kind == "file" and live.access == item.access and live.content == item.content
    return None if same else Change(item.path, live, item)


def _strays(wanted: Wanted) -> list[Change]:
    known = set(wanted.paths)
    found = []
    for directory in wanted.directories:
        if directory.owned and os.path.isdir(directory.path):
            for name in sorted(os.listdir(directory.path)):
                path = os.path.join(directory.path, name)
                live = look(path)
                if path not in known and name != WORKSPACE and live.kind != "directory":
                    found.append(Change(path, live, None))
    return found
