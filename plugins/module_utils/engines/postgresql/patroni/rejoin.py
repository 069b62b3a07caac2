# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A replica whose data is of another history than the leader's: it gives that up, and copies the leader anew."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import tablespaces
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import (
    PatroniError,
    ctl,
    member,
    switch,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Client
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import journal
from ansible_collections.slipway.ops.plugins.module_utils.host.systemd import Systemctl


def rejoin(timeout: float, check_mode: bool) -> bool:
    """Whether this member had to give up its data. It streams when this returns; ``timeout`` is seconds for that."""
    client = Client.of_this_host()
    leader = ctl.leader()
    if not leader:
        raise PatroniError("nobody leads, so there is nothing to copy; look at patronictl list. Nothing was changed")
    if leader == client.name:
        raise PatroniError(f"{leader} leads: its data is what the others copy. Nothing was changed")
    _refuse_unfinished_restore(client, leader)
    if _follows(client):
        return False
    if not check_mode:
        Systemctl(PatroniError)("stop", member.UNIT)
        _refuse_server(client.directory)
        tablespaces.remove_data(client.directory, client.version)
        member.settle(member.Wanted(None, timeout=timeout), check_mode=False)
    return True


def _follows(client: Client) -> bool:
    try:
        cluster = switch.look(client)
    except PatroniError:
        return False  # Patroni does not run here
    own, leader = cluster.member(client.name), cluster.leader
    return bool(own and leader and own.well and own.timeline == leader.timeline)


def _refuse_unfinished_restore(client: Client, leader: str) -> None:
    """What was restored here may be what everybody wants, and the leader one that came back with the former data."""
    for place in journal.STATE.glob(f"{client.version}-*.restore.json"):
        entry = journal.load(place)
        if entry and not entry.finished and entry.directory == str(client.directory):
            raise PatroniError(
                f"the restore {entry.run} of {entry.directory} is not finished, and {leader} leads, perhaps with the"
                f" former data. Stop patroni.service on {leader} and run the restore again; or remove {place} when"
                " what was restored is not wanted any more. Nothing was changed"
            )


def _refuse_server(directory: Path) -> None:
    if (directory / "postmaster.pid").exists():
        raise PatroniError(
            f"{directory}/postmaster.pid is still there after Patroni was stopped: a server of its own may have the"
            " data. Stop it, or remove that file when there is none. Nothing was changed"
        )
