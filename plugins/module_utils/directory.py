# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path


def remove_contents(directory: Path) -> None:
    """Removes everything in a directory, which may be a mount point, and not itself; nothing when it is not there."""
    for path in directory.iterdir() if directory.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
