# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The new set beside the old one, on the same file system, before anything live is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.journal import sync_directory
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import (
    Access,
    ConfigTreeError,
    Directory,
    File,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.namespace import mount_points
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.plan import WORKSPACE, Change
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.steps import (
    Exchange,
    MakeDirectory,
    Put,
    Remove,
    Step,
)

LARGEST_TREE = 5000  # entries; a larger root is a shared one, whose files are replaced one by one


@dataclass(frozen=True)
class Staged:
    """The steps that would install the set, and what every touched path would then show.

    ``seen`` is the fingerprint of a root that is to be exchanged, from before it was staged.
    """

    steps: list[Step]
    view: dict[str, str | None]
    seen: set[tuple[str, int]] | None = None

    @property
    def exchanges(self) -> bool:
        return self.seen is not None


class Stage:
    """Places for staged files: in a hidden directory beside each target, or all in `only_in` for a set that is only
    looked at."""

    def __init__(self, only_in: str | None = None) -> None:
        self._only_in = only_in
        self._count = 0

    def workspace(self, path: str) -> str:
        """The hidden directory for a target: in the nearest directory above it that exists."""
        if self._only_in:
            return self._only_in
        above = os.path.dirname(path)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        return os.path.join(above, WORKSPACE)

    def as_tree(self, root: str, changes: list[Change]) -> Staged:
        """The root as one directory; files outside it one by one, after it."""
        inside = [change for change in changes if change.path == root or change.path.startswith(root + "/")]
        above = [change for change in changes if change.is_directory and root.startswith(change.path + "/")]
        first, last = (
            self.one_by_one(above),
            self.one_by_one([c for c in changes if c not in inside and c not in above]),
        )
        tree = self._place(root)
        exists = os.path.isdir(root)
        seen = fingerprint(root) if exists else None
        if exists:
            _link_tree(root, tree)
        for change in inside:
            _change_tree(tree + change.path[len(root) :], change)
        _sync_tree(tree)
        inode = os.lstat(tree).st_ino
        swap: Step = Exchange(root, tree, inode) if exists else Put(root, tree, tree + ".old", replaces=False)
        return Staged([*first.steps, swap, *last.steps], {**first.view, root: tree, **last.view}, seen)

    def one_by_one(self, changes: list[Change]) -> Staged:
        """Every file for itself."""
        steps: list[Step] = []
        view: dict[str, str | None] = {}
        for change in changes:
            if isinstance(change.wanted, Directory):
                before = _numbers(change.live.access) if change.live.access else None
                steps.append(MakeDirectory(change.path, *_numbers(change.wanted.access), before))
                if before is None:
                    view[change.path] = place = self._place(change.path)
                    _make_directory(place, change.wanted)
                continue
            place = self._place(change.path)
            if change.wanted is None:
                steps.append(Remove(change.path, place + ".old"))
                view[change.path] = None
            else:
                write_file(place, change.wanted, like=change.path)
                steps.append(Put(change.path, place, place + ".old", replaces=change.live.kind != "absent"))
                view[change.path] = place
        return Staged(steps, view)

    def _place(self, path: str) -> str:
        workspace = self.workspace(path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(workspace, 0o700)
        while os.path.lexists(place := os.path.join(workspace, str(self._count))):
            self._count += 1
        return place


def can_be_exchanged(root: str) -> bool:
    """Whether the root is a directory of its own: neither a mount nor around one, neither top-level nor huge."""
    if os.path.dirname(root) == "/":
        return False
    if any(point == root or point.startswith(root + "/") for point in mount_points()):
        return False
    entries = 0
    for _, directories, files in os.walk(root):
        entries += len(directories) + len(files)
        if entries > LARGEST_TREE:
            return False
    return True


def fingerprint(root: str) -> set[tuple[str, int]]:
    """Path and inode of every entry: changes when somebody else adds, removes or replaces one."""
    return {
        (os.path.join(above, name), os.lstat(os.path.join(above, name)).st_ino)
        for above, directories, files in os.walk(root)
        for name in (*directories, *files)
    }


def write_file(path: str, wanted: File, like: str) -> None:
    """Write a wanted file or link at the path, on disk when this returns, with the extended attributes of `like`."""
    try:
        if wanted.link is not None:
            os.symlink(wanted.link, path)
        else:
            _write_regular(path, wanted, like)
    except OSError as error:
        reason = f"cannot be staged in {os.path.dirname(path)}: {error.strerror}"
        raise ConfigTreeError(f"{wanted.path}: {reason}. Nothing was changed") from error


def _write_regular(path: str, wanted: File, like: str) -> None:
    uid, gid, mode = _numbers(wanted.access)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(wanted.content)
        stream.flush()
        os.fchown(descriptor, uid, gid)
        if os.path.isfile(like) and not os.path.islink(like):
            _copy_attributes(like, path)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _numbers(access: Access) -> tuple[int, int, int]:
    if access.uid is None or access.gid is None:
        raise ConfigTreeError(f"{access}: cannot be staged")
    return access.uid, access.gid, access.mode


def _link_tree(source: str, copy: str) -> None:
    """Directories are made alike, everything else is linked: owners, modes and attributes stay because it is the same
    file, and somebody who writes into one meanwhile writes into both."""
    os.mkdir(copy, 0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            place = os.path.join(copy, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name != WORKSPACE:
                    _link_tree(entry.path, place)
            else:
                _link_or_copy(entry.path, place)
    status = os.stat(source)
    os.chown(copy, status.st_uid, status.st_gid)
    _copy_attributes(source, copy)
    os.chmod(copy, stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def _link_or_copy(source: str, copy: str) -> None:
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, copy, follow_symlinks=False)
        status = os.lstat(source)
        os.chown(copy, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(copy, stat.S_IMODE(status.st_mode))


def _change_tree(place: str, change: Change) -> None:
    if isinstance(change.wanted, Directory):
        _make_directory(place, change.wanted)
        return
    if os.path.lexists(place):
        os.unlink(place)
    if change.wanted is not None:
        write_file(place, change.wanted, like=change.path)


def _make_directory(place: str, wanted: Directory) -> None:
    uid, gid, mode = _numbers(wanted.access)
    os.makedirs(place, exist_ok=True)
    os.chown(place, uid, gid)
    os.chmod(place, mode)


def _copy_attributes(source: str, copy: str) -> None:
    with contextlib.suppress(OSError):  # a file system without them, or one attribute that only the kernel may set
        for name in os.listxattr(source):
            os.setxattr(copy, name, os.getxattr(source, name))


def _sync_tree(tree: str) -> None:
    for above, _, _ in os.walk(tree):
        sync_directory(above)
    sync_directory(os.path.dirname(tree))
