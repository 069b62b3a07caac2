# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines of log files into the journal, for what cannot write there itself. A unit runs it.

Where it was is kept by inode, so that lines written while it did not run, or before a file was rotated, are not lost;
after a crash some may come twice. A file that there was before it was asked to follow it is followed from its end.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Protocol

from ansible_collections.slipway.ops.plugins.module_utils.host.files import read_state, replace

JOURNAL = "/run/systemd/journal/socket"
# Of a line; a longer one comes in pieces. A datagram has room for four.
LONGEST = 48 * 1024
_AT_ONCE = 1024 * 1024
_PAUSE = 1.0


class Sink(Protocol):
    def __call__(self, name: str, path: Path, line: bytes) -> None: ...


class Journal:
    """The journal's own protocol, which takes fields; a send waits while the journal is busy."""

    def __init__(self, place: str = JOURNAL) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(place)

    def __call__(self, name: str, path: Path, line: bytes) -> None:
        fields = {b"SYSLOG_IDENTIFIER": name.encode(), b"PRIORITY": b"6", b"LOG_FILE": bytes(path), b"MESSAGE": line}
        self._socket.send(b"".join(key + b"=" + value + b"\n" for key, value in fields.items()))


@dataclass
class File:
    """One that is open, and how far its whole lines have been taken."""

    inode: int
    offset: int
    stream: BinaryIO

    def lines(self) -> Iterator[bytes]:
        """Whole lines that have not been taken; the piece of a line that is too long counts as one."""
        if self.stream.seek(0, 2) < self.offset:
            self.offset = 0  # it was emptied
        self.stream.seek(self.offset)
        block = self.stream.read(_AT_ONCE)
        while block:
            end = block.find(b"\n", 0, LONGEST)
            if end < 0 and len(block) < LONGEST:
                return
            line, taken = (block[:LONGEST], LONGEST) if end < 0 else (block[:end], end + 1)
            block = block[taken:]
            self.offset += taken
            if line.strip():
                yield line


@dataclass
class Follower:
    """Follows each path, which may be a directory of ``*.log``, under the name of what writes it."""

    names: Mapping[Path, str]
    state: Path
    sink: Sink
    files: dict[Path, File] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known: dict[str, Any] = read_state(self.state)
        every = {str(path) for path in self.names}
        self.new = every - set(self.known.get("paths", every if self.state.exists() else ()))

    def turn(self) -> int:
        """Takes what is new, remembers how far it came, and says how many lines that were."""
        taken = sum(self._take(name, path) for name, path in list(self._paths()))
        if taken or self.new:
            self.new = set()
            self.known |= {"paths": sorted(str(path) for path in self.names)}
            self.known |= {str(path): {"inode": file.inode, "offset": file.offset} for path, file in self.files.items()}
            replace(self.state, json.dumps(self.known), 0o600)
        return taken

    def _paths(self) -> Iterator[tuple[str, Path]]:
        for path, name in self.names.items():
            for one in sorted(path.glob("*.log")) if path.is_dir() else [path]:
                yield name, one

    def _take(self, name: str, path: Path) -> int:
        taken = self._drain(name, path)
        try:
            found = path.stat()
        except OSError:
            return taken  # it is not there yet, or moved away a moment ago
        file = self.files.get(path)
        if file and file.inode == found.st_ino:
            return taken
        if file:
            # Between the last look and the move more may have been written.
            taken += self._drain(name, path)
            file.stream.close()
        else:
            taken += self._rest_of_former(name, path, found.st_ino)
        self.files[path] = File(found.st_ino, self._begin(path, found.st_ino, found.st_size), path.open("rb"))
        return taken + self._drain(name, path)

    def _begin(self, path: Path, inode: int, size: int) -> int:
        known = self.known.get(str(path), {})
        if known.get("inode") == inode:
            return int(known["offset"])
        return size if str(path if path in self.names else path.parent) in self.new else 0

    def _rest_of_former(self, name: str, path: Path, inode: int) -> int:
        """What a file got between the last run of this program and its rotation."""
        known = self.known.get(str(path), {})
        if not known or known["inode"] == inode:
            return 0
        for other in path.parent.glob(f"{path.name}.*"):
            if other.stat().st_ino == known["inode"]:
                with other.open("rb") as stream:
                    self.files[path] = File(known["inode"], int(known["offset"]), stream)
                    return self._drain(name, path)
        return 0

    def _drain(self, name: str, path: Path) -> int:
        file, taken = self.files.get(path), 0
        while file:
            before = taken
            for line in file.lines():
                self.sink(name, path, line)
                taken += 1
            if taken == before:
                break
        return taken


def main() -> int:
    settings, state = Path(sys.argv[1]), Path(sys.argv[2])
    followed = json.loads(settings.read_text(encoding="utf-8"))
    names = {Path(one["path"]): str(one.get("name") or one["role"]) for one in followed}
    follower, going = Follower(names, state, Journal()), True

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    while going:
        try:
            taken = follower.turn()
        except OSError as error:
            print(f"Cannot follow {error.filename or 'the files'}: {error.strerror or error}", file=sys.stderr)
            return 1
        if not taken:
            time.sleep(_PAUSE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
