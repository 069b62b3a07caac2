# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The data directory of a member, which Patroni fills: by initdb, from a backup, or from the leader."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import replace
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, cluster
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import client
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

CONFIGURATION = Path(client.CONFIGURATION)


def hand_over(wanted: cluster.Wanted, upgrade: bool, check_mode: bool) -> bool:
    """Leaves the directory to Patroni; PostgresqlError where it holds what nobody here knows. Whether it was made.

    From then on it is known: a member whose volume was replaced by an empty one is copied anew. ``upgrade`` says that
    the member changes to it from another major version.
    """
    if upgrade:
        wanted = replace(wanted, adopt=True)
    else:
        _refuse_other_version(wanted)
    found = cluster.look(wanted)
    if found.entries or found.elsewhere:
        # Who leads is Patroni's to say: neither a standby's data nor a former leader's is out of place.
        cluster.decide(wanted, replace(found, standby=False, making=False))
    if check_mode:
        return False
    if found.entries and not found.known:
        cluster.adopt(wanted)
    return _make(Path(wanted.directory))


def _refuse_other_version(wanted: cluster.Wanted) -> None:
    told = (
        re.search(r"^ *data_dir: *(\S+)", CONFIGURATION.read_text(), re.MULTILINE) if CONFIGURATION.exists() else None
    )
    version = Path(told[1].strip("'\"")) / "PG_VERSION" if told else None
    if version and version.exists() and version.read_text().strip() != str(wanted.version):
        raise PostgresqlError(
            f"this member has data of PostgreSQL {version.read_text().strip()} in {version.parent}, and the inventory"
            f" says {wanted.version}. Major versions are changed by upgrade.yml. Nothing was changed"
        )


def _make(directory: Path) -> bool:
    """An empty directory, 0700 of the server's user; parents that are missing belong to it too."""
    if directory.exists():
        return False
    account = pwd.getpwnam(cluster.OWNER)
    for path in [path for path in (*reversed(directory.parents), directory) if not path.exists()]:
        make_directory(path, 0o700 if path == directory else 0o755)
        os.chown(path, account.pw_uid, account.pw_gid)
    return True
