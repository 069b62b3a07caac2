# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What etcd knows of the cluster, by ``patronictl``, which answers while no Patroni runs."""

from __future__ import annotations

import json
import subprocess

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import CONFIGURATION

PROGRAM = "/usr/local/sbin/patronictl"
_LEADERS = ("Leader", "Standby Leader")
_ANSWER = 60.0
"""Seconds; by itself it asks an etcd that does not answer for ever."""
_CLAIM = """
import sys
from patroni.config import Config
from patroni.dcs import get_dcs
configuration = Config(sys.argv[1]).copy() | {"patronictl": True}
sys.exit(not get_dcs(configuration).initialize(True, sys.argv[2]))
"""
# A lease that outlives this program, until the member's Patroni takes it up, which a restart of its own is as well.
_LEAD = """
import sys
from patroni.config import Config
from patroni.dcs import get_dcs
configuration = Config(sys.argv[1]).copy() | {"patronictl": True}
store = get_dcs(configuration)
store.set_ttl(60)
sys.exit(not (store.attempt_to_acquire_leader() and store.initialize(False, sys.argv[2])))
"""


def leader() -> str:
    """Who leads; empty when nobody does."""
    return leader_of(_told("list", "--format", "json"))


def leader_of(listing: str) -> str:
    """The leader in what ``patronictl list --format json`` says."""
    return next((entry["Member"] for entry in json.loads(listing) if entry["Role"] in _LEADERS), "")


def forget(scope: str) -> None:
    """Removes the cluster from etcd: its leaders, synchronous replicas and positions. Its data stays where it is."""
    _told("remove", scope, answers=f"{scope}\nYes I am aware\n")


def claim(identifier: str) -> None:
    """Has a forgotten cluster be of a system identifier: members with data of another one stay out."""
    _store(_CLAIM, identifier, f"that the cluster is {identifier}")


def lead(identifier: str) -> None:
    """Has this host's member be the leader of a cluster of this system identifier, for the minute in which its Patroni
    has to start. Others with data of it follow."""
    _store(_LEAD, identifier, "that this member leads")


def _store(program: str, identifier: str, what: str) -> None:
    argv = ["python3", "-c", program, CONFIGURATION, identifier]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["another member was first"]
        raise PatroniError(f"etcd did not take {what}: {said[0]}. See that it has its majority")


def _told(*words: str, answers: str = "") -> str:
    try:
        ended = subprocess.run(
            [PROGRAM, *words], input=answers, capture_output=True, text=True, timeout=_ANSWER, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PatroniError(
            f"patronictl {words[0]} has no answer from etcd after {_ANSWER:g} s: see that etcd has its majority, and"
            " that patroni.service was started since the host was, which copies the certificate for it"
        ) from error
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip())[-500:]
        raise PatroniError(f"patronictl {words[0]} failed: {said}. See that etcd has its majority, and run again")
    return ended.stdout
