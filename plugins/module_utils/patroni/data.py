# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The data directory of a member, which Patroni fills: by initdb, from a backup, or from the leader."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.postgresql import cluster


def hand_over(wanted: cluster.Wanted, check_mode: bool) -> bool:
    """Leaves the directory to Patroni; PostgresqlError where it holds what nobody here knows. Whether it was made.

    From then on it is known: a member whose volume was replaced by an empty one is copied anew.
    """
    found = cluster.look(wanted)
    if found.entries or found.elsewhere:
        # Who leads is Patroni's to say: neither a standby's data nor a former leader's is out of place.
        cluster.decide(wanted, replace(found, standby=False, making=False))
    if check_mode:
        return False
    if found.entries and not found.known:
        cluster.adopt(wanted)
    return _make(Path(wanted.directory))


def _make(directory: Path) -> bool:
    """An empty directory, 0700 of the server's user; parents that are missing belong to it too."""
    if directory.exists():
        return False
    account = pwd.getpwnam(cluster.OWNER)
    for path in [path for path in (*reversed(directory.parents), directory) if not path.exists()]:
        path.mkdir(mode=0o700 if path == directory else 0o755)
        os.chown(path, account.pw_uid, account.pw_gid)
    return True
