# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wanted: files, links and directories with owner, group and mode."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


class ConfigTreeError(Exception):
    """Something an operator can mend; the text says what was tried, what came back and what to do."""


@dataclass(frozen=True)
class Access:
    """Owner, group and permission bits; ``None`` stands for a user or group that the host does not have (yet)."""

    uid: int | None
    gid: int | None
    mode: int

    def __str__(self) -> str:
        return f"{_name(self.uid, _user)}:{_name(self.gid, _group)} {self.mode:04o}"


@dataclass(frozen=True)
class File:
    """A wanted regular file (``content``) or symbolic link (``link``, its target)."""

    path: str
    access: Access
    content: bytes = b""
    link: str | None = None
    secret: bool = False


@dataclass(frozen=True)
class Directory:
    """A wanted directory; ``owned`` ones hold no file that is not wanted."""

    path: str
    access: Access
    owned: bool = False


@dataclass(frozen=True)
class Wanted:
    """The whole set. Paths are absolute with their directories' links resolved; ``root`` may be absent."""

    root: str | None
    files: tuple[File, ...]
    directories: tuple[Directory, ...]
    unknown_names: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        return (*(item.path for item in self.files), *(item.path for item in self.directories))

    def inside_root(self, path: str) -> bool:
        return self.root is not None and (path == self.root or path.startswith(self.root + "/"))


PARENT = Access(uid=os.geteuid(), gid=os.getegid(), mode=0o755)  # of directories that nobody described


def pack_contents(contents: list[bytes]) -> str:
    """Contents in the order of the files, as one opaque text: cannot be mistaken for a part of any other output."""
    texts = [base64.b64encode(content).decode() for content in contents]
    return base64.b64encode(zlib.compress(json.dumps(texts).encode())).decode()


def unpack_contents(packed: str) -> list[bytes]:
    """The opposite of `pack_contents`."""
    return [base64.b64decode(text) for text in json.loads(zlib.decompress(base64.b64decode(packed)))]


@dataclass
class _Reader:
    root: str | None
    unknown: list[str] = field(default_factory=list)

    def path(self, given: str) -> str:
        if os.path.isabs(given):
            absolute = os.path.normpath(given)
        elif self.root is None:
            raise ConfigTreeError(f"{given}: without `root` every path is absolute")
        elif ".." in given.split("/"):
            raise ConfigTreeError(f"{given}: leaves the root; give files outside it by their absolute path")
        else:
            absolute = os.path.normpath(os.path.join(self.root, given))
        parent, name = os.path.split(absolute)
        if not name:
            raise ConfigTreeError(f"{given}: is no path of a file")
        return os.path.join(os.path.realpath(parent), name)

    def access(self, item: dict[str, Any]) -> Access:
        mode = str(item["mode"])
        if not re.fullmatch(r"0?[0-7]{3,4}", mode):
            raise ConfigTreeError(f"{item['path']}: mode {mode!r} is not octal digits in quotes, like '0644'")
        return Access(
            self._id(item["owner"], "user", _user_id), self._id(item["group"], "group", _group_id), int(mode, 8)
        )

    def _id(self, name: str, kind: str, find: Callable[[str], int]) -> int | None:
        if name.isdigit():
            return int(name)
        try:
            return find(name)
        except KeyError:
            self.unknown.append(f"{kind} {name}")
            return None


def read_wanted(root: str | None, files: Iterable[dict[str, Any]], directories: Iterable[dict[str, Any]]) -> Wanted:
    """Build the set from items with path, owner, group, mode, and content, link and secret, or owned."""
    if root is not None:
        if not os.path.isabs(root) or os.path.normpath(root) == "/":
            raise ConfigTreeError(f"root {root!r} is not an absolute path of a directory")
        root = os.path.realpath(root)
    reader = _Reader(root)
    wanted_files = tuple(
        File(
            path=reader.path(item["path"]),
            access=reader.access(item),
            content=item.get("content") or b"",
            link=item.get("link"),
            secret=bool(item.get("secret")),
        )
        for item in files
    )
    wanted_directories = tuple(
        Directory(reader.path(item["path"]), reader.access(item), bool(item.get("owned"))) for item in directories
    )
    _refuse_conflicts(wanted_files, wanted_directories)
    return Wanted(root, wanted_files, wanted_directories, tuple(dict.fromkeys(reader.unknown)))


def _refuse_conflicts(files: tuple[File, ...], directories: tuple[Directory, ...]) -> None:
    seen: set[str] = set()
    for path in (*(item.path for item in files), *(item.path for item in directories)):
        if path in seen:
            raise ConfigTreeError(f"{path}: is listed twice")
        seen.add(path)
    file_paths = {item.path for item in files}
    for path in seen:
        above = os.path.dirname(path)
        while above != "/":
            if above in file_paths:
                raise ConfigTreeError(f"{above}: cannot be a file and hold {path}")
            above = os.path.dirname(above)


def _user(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name


def _group(gid: int) -> str:
    return grp.getgrgid(gid).gr_name


def _user_id(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group_id(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _name(number: int | None, find: Callable[[int], str]) -> str:
    if number is None:
        return "(does not exist yet)"
    try:
        return find(number)
    except KeyError:
        return str(number)
