# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A release's archive unpacked into a directory of its own: whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace, sync_directory
from ansible_collections.slipway.ops.plugins.module_utils.host.run import run

_NOTE = ".slipway-release"  # beside what was unpacked; written last
_BLOCK = 1 << 20


class ArchiveError(Exception):
    """One sentence for the operator."""


def copied(stream: BinaryIO, copy: BinaryIO, algorithm: str) -> str:
    """Copies what the stream has left, and returns its checksum: the algorithm, a colon and the digest."""
    found = hashlib.new(algorithm)
    while block := stream.read(_BLOCK):
        found.update(block)
        copy.write(block)
    return f"{algorithm}:{found.hexdigest()}"


def unpacked(path: Path) -> str | None:
    """The checksum of the archive that was unpacked here to its end."""
    try:
        return (path / _NOTE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def unpack(archive: Path, path: Path, checksum: str, strip: int = 0) -> None:
    """Has the archive's files in ``path`` instead of what is there, without the first ``strip`` parts of their names.

    A host that dies meanwhile has the old directory, none, or the whole new one: names change only when all is on disk.
    """
    make_directory(path.parent)
    for left in path.parent.glob(f".{path.name}.*"):  # by a run that was killed
        shutil.rmtree(left)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        argv = ["tar", "--extract", "--file", str(archive), "--directory", str(fresh), "--no-same-owner"]
        done = run([*argv, f"--strip-components={strip}"], user="root")
        if done.code:
            raise ArchiveError(f"The archive cannot be unpacked: {done.errors.strip()[-500:]}")
        if not any(fresh.iterdir()):
            raise ArchiveError(f"The archive holds nothing below the first {strip} parts of its files' names.")
        fresh.chmod(0o755)
        _sync(fresh)
        replace(fresh / _NOTE, f"{checksum}\n", mode=0o644)
        _exchange(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    if path.exists():
        old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")) / path.name
        path.rename(old)
        try:
            fresh.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old.parent)
    else:
        fresh.rename(path)
    sync_directory(path.parent)


def _sync(directory: Path) -> None:
    for above, _directories, names in os.walk(directory):
        for file in (Path(above) / name for name in names):
            if file.is_file() and not file.is_symlink():
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_directory(Path(above))
