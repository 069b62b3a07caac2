# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The control file of a data directory, by ``pg_controldata``; its server may be stopped."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended, run

IDENTIFIER = "Database system identifier"
TIMELINE = "Latest checkpoint's TimeLineID"
_SECONDS = 60.0


def read(version: int, directory: Path, user: str) -> Ended:
    """What the program of that major version says, as the data's owner."""
    return run([f"/usr/lib/postgresql/{version}/bin/pg_controldata", str(directory)], user, _SECONDS)


def field(told: Ended, name: str) -> str:
    """One of its lines; empty when there is none."""
    found = re.search(rf"^{name}:\s+(\S+)", told.output, re.MULTILINE)
    return found[1] if found else ""
