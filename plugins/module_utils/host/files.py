# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories and files with the modes that are wanted, whatever the umask of whoever runs this."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

OURS = tuple(Path(above) / "slipway" for above in ("/etc", "/run", "/srv", "/usr/local/lib", "/var/lib"))
"""These are this collection's, with everything below them."""
_PASS = 0o755


def make_directory(path: Path, mode: int = _PASS) -> None:
    """Has a directory. Missing ones above it let everybody pass.

    A directory of the collection's own that is there gets its mode again; anybody else's is left as it is.
    """
    for above in reversed(path.parents):
        if not above.exists():
            _make(above, _PASS)
        elif above in OURS:
            _set(above, stat.S_IMODE(above.stat().st_mode) | 0o111)
    if not path.is_dir():
        _make(path, mode)
    elif any(path.is_relative_to(ours) for ours in OURS):
        _set(path, mode)


def replace(path: Path, content: str | bytes, mode: int = 0o600, ids: tuple[int, int] | None = None) -> None:
    """Writes a file so that a reader, or a crash, finds the old content or the new, never a mix, and never more widely
    open than ``mode``; on disk when this returns. ``ids`` are those of its user and group.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if ids:
                os.fchown(handle, *ids)
            os.fchmod(handle, mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Has a new name in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_state(path: Path) -> dict[str, Any]:
    """What was remembered as JSON; nothing, when there is nothing or it was damaged."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def remove_contents(directory: Path) -> None:
    """Removes everything in a directory, which may be a mount point, and not itself; nothing when it is not there."""
    for path in directory.iterdir() if directory.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def create(path: Path, flags: int, mode: int) -> int:
    """Opens a file; one that this makes gets its mode."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, mode)
        return descriptor
    return os.open(path, flags | os.O_CLOEXEC)


def _make(path: Path, mode: int) -> None:
    with contextlib.suppress(FileExistsError):  # somebody else was faster
        path.mkdir(mode=0o700)
        path.chmod(mode)


def _set(path: Path, mode: int) -> None:
    found = stat.S_IMODE(path.stat().st_mode)
    if found & 0o777 != mode & 0o777:
        with contextlib.suppress(PermissionError):  # it belongs to somebody else, who has to know
            path.chmod(found & ~0o777 | mode)
