# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Back to the old cluster that an upgrade kept, or its removal once the new one has proved itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import tablespaces
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade import (
    Untouched,
    UpgradeError,
    journal,
    programs,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.journal import Upgrade
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.postgresql import (
    Wanted,
    boot,
    show,
    sides,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.programs import CONFIGURATION


def check_revert(wanted: Wanted, now: float) -> Upgrade:
    """The upgrade that is taken back; UpgradeError where that cannot be or was not confirmed."""
    entry = journal.load(wanted.name)
    if entry is None or entry.phase == "reverted" or not entry.reached("upgraded"):
        raise Untouched(f"{wanted.host} has no upgrade of {wanted.name} that could be taken back. Nothing was changed")
    if wanted.version != entry.old:
        raise Untouched(
            f"set postgresql_version back to {entry.old} in the inventory first, which says {wanted.version}."
            " Nothing was changed"
        )
    if entry.mode == "link" and entry.served:
        raise Untouched(
            f"the new server has written into the files of {entry.source}, which were linked and not copied. Restore"
            " the backup from before the upgrade with restore.yml and restore_set. Nothing was changed"
        )
    if not (Path(entry.source) / "PG_VERSION").exists():
        raise Untouched(f"the old data in {entry.source} is gone: it was removed. Nothing was changed")
    if wanted.confirm != wanted.word:
        ago = f", for {to_duration(max(0, round(now - entry.served)))}" if entry.served else ""
        raise Untouched(
            f"everything written since the upgrade {entry.run}{ago}, would be lost from the server; its files would"
            f" stay beside. To do that type -e upgrade_confirm={wanted.word}. Nothing was changed"
        )
    return entry


def revert(wanted: Wanted) -> Upgrade:
    """Stops the new server and moves its data aside; ``serve_former`` goes on with the old."""
    entry = check_revert(wanted, time.time())
    old, new = sides(wanted, entry)
    if entry.phase != "reverting":
        entry = journal.keep(wanted.name, entry, "reverting", stopped=time.time())
    keeper = wanted.keeper(new)
    keeper.stop()
    show(old)
    if not entry.rolled_back.exists():
        keeper.hold(programs.identifier(old))
        new.directory.rename(entry.rolled_back)
    boot(wanted, old, new)
    return entry


def serve_former(wanted: Wanted, entry: Upgrade) -> Upgrade:
    """Starts the old server as it was when it was stopped."""
    old, _ = sides(wanted, entry)
    wanted.keeper(old).serve()
    return journal.keep(wanted.name, entry, "reverted", served=time.time())


def kept(name: str, entry: Upgrade) -> list[Path]:
    """What an upgrade that is over left beside: the old cluster and its configuration, or what was given up."""
    if entry.phase != "done":
        return [entry.rolled_back]
    return [Path(entry.source), CONFIGURATION / str(entry.old) / name]


def discard(wanted: Wanted) -> str:
    """Removes what an upgrade that is over kept; a sentence on it, empty for nothing to do."""
    entry = journal.load(wanted.name)
    if entry is None:
        return ""
    if entry.open:
        raise UpgradeError(f"the upgrade {entry.run} is not finished; everything stays")
    gone = kept(wanted.name, entry)
    tablespaces.remove_data(gone[0], entry.old if entry.phase == "done" else entry.new)
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    journal.path(wanted.name).unlink()
    return f"{gone[0]} was removed"
