# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a snapshot says against what a restore of it left, without a list of either: sums that have no order."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Compared
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import digest
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import nanoseconds

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}


@dataclass
class Tally:
    """How many there were, and the sum of their hashes."""

    count: int = 0
    total: int = 0

    def add(self, *words: object) -> None:
        line = "\0".join(map(str, words)).encode(errors="surrogateescape")
        self.count += 1
        self.total = (self.total + int.from_bytes(hashlib.sha256(line).digest(), "big")) % 2**256

    @property
    def hash(self) -> str:
        return f"{self.total:064x}"


@dataclass
class Comparison:
    """Both sides of one source; ``contents`` counts the files whose content was held against the live ones'."""

    said: Tally
    found: Tally
    contents: int = 0

    def compared(self, name: str) -> Compared:
        return Compared(name, self.said.count, self.said.hash, self.found.count, self.found.hash)


def compare(nodes: Iterable[Mapping[str, Any]], paths: Iterable[str], place: Path, live: bool) -> Comparison:
    """Each file's kind, size, time, owner and mode; with ``live`` its content too, where the live file has not changed
    since. restic has held every other content against its hash when it restored it."""
    result = Comparison(Tally(), Tally())
    roots = [str(Path(path)) for path in paths]
    for node in nodes:
        path = str(node["path"])
        if not any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots):
            continue
        said, found = said_of(node), found_of(place / path.lstrip("/"))
        original = place / path.lstrip("/")
        contents = ("", "")
        if live and node["type"] == "file" and found and found_of(Path(path))[:3] == said[:3]:
            contents = (_content(Path(path)), _content(original))
            result.contents += 1
        result.said.add(path, *said, contents[0])
        if found:
            result.found.add(path, *found, contents[1])
    return result


def said_of(node: Mapping[str, Any]) -> tuple[object, ...]:
    kind = str(node["type"])
    if kind == "symlink":
        return (kind, node["uid"], node["gid"])
    size = node.get("size", 0) if kind == "file" else 0
    return (kind, size, nanoseconds(node["mtime"]), node["uid"], node["gid"], node["mode"] & 0o777)


def found_of(path: Path) -> tuple[object, ...]:
    """The same of what is there; nothing when it is not."""
    try:
        seen = path.lstat()
    except OSError:
        return ()
    kind = _KINDS.get(stat.S_IFMT(seen.st_mode), "other")
    if kind == "symlink":
        return (kind, seen.st_uid, seen.st_gid)
    size = seen.st_size if kind == "file" else 0
    return (kind, size, seen.st_mtime_ns, seen.st_uid, seen.st_gid, seen.st_mode & 0o777)


def _content(path: Path) -> str:
    try:
        return digest(path)
    except OSError as error:
        return f"cannot be read: {os.strerror(error.errno or 0)}"
