# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tablespaces: directories elsewhere that a data directory links to, each with a directory for every major version."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.files import remove_contents


def places(data: Path) -> list[Path]:
    """Where the tablespaces of a data directory are."""
    links = data / "pg_tblspc"
    return sorted(link.readlink() for link in links.iterdir() if link.is_symlink()) if links.is_dir() else []


def remove_data(data: Path, version: int) -> None:
    """Empties a data directory, and its tablespaces of that major version before: without the links nobody finds them,
    and neither pg_basebackup nor pgBackRest fills one that is not empty."""
    for place in places(data):
        for files in place.glob(f"PG_{version}_*"):
            shutil.rmtree(files)
    remove_contents(data)
