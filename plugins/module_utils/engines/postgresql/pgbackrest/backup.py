# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One backup or verification: run, watched, and told as results."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_byte_size, to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Kind
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import (
    LOCKED,
    PgbackrestError,
    arguments,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import Stanza, find
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.job import Outcome, Tell, watch
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import label, read
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.verify import findings, judge
from ansible_collections.slipway.ops.plugins.module_utils.host.run import run

SOURCE = "slipway-backup 0.1.0"
WORDS = {"full": "A full backup", "incr": "An incremental backup", "verify": "A verification"}
RETRY = 10.0  # seconds between two attempts while another backup runs
LONGEST = 3500  # characters of a reason
NEARLY_FULL = 256 * 2**20  # bytes


@dataclass(frozen=True)
class Target:
    """One stanza in one of this host's repositories; ``paths`` are the directories of those on its own disks."""

    stanza: str
    repository: int
    user: str
    name: str
    paths: tuple[str, ...] = ()


def targets(configuration: Mapping[str, Any]) -> list[Target]:
    """Everything that is backed up from this host."""
    numbers = configuration["repositories"]
    return [
        Target(
            stanza, number, configuration["user"], label(stanza, number, numbers), tuple(configuration.get("paths", ()))
        )
        for stanza in configuration["stanzas"]
        for number in numbers
    ]


def perform(kind: Kind, target: Target, patience: float, tell: Tell) -> list[Result]:
    """Runs it and returns what is recorded of it.

    While another backup of the stanza runs it is tried again for ``patience`` seconds; then an incremental backup is
    skipped - what runs covers it - and a full one, which nothing replaces, has failed.
    """
    ends = time.monotonic() + patience
    tell(f"{WORDS[kind]} of {target.name} begins")
    outcome = watch(_argv(kind, target), target.user, tell)
    while outcome.code == LOCKED and time.monotonic() < ends:
        tell(f"waiting: {running(target)}; it is tried again for {to_duration(round(ends - time.monotonic()))}")
        time.sleep(min(RETRY, max(0.0, ends - time.monotonic())))
        outcome = watch(_argv(kind, target), target.user, tell)
    return _verified(target, outcome) if kind == "verify" else [_made(kind, target, outcome)]


def running(target: Target) -> str:
    """What has the lock, in one clause."""
    try:
        stanza = find(read(target.user, target.stanza), target.stanza)
    except (PgbackrestError, ValueError):
        stanza = None
    if stanza is None or not stanza.running:
        return f"another backup or expiry of {target.stanza} has the lock"
    return f"another backup of {target.stanza} is running" + _share(stanza)


def in_recovery(user: str, port: int) -> bool:
    """Whether the local cluster is a standby, which leaves backups to its primary."""
    asked = run(["psql", "-XAtq", "-p", str(port), "-c", "select pg_is_in_recovery()", "postgres"], user, 30)
    return asked.code == 0 and asked.output.strip() == "t"


def left_to_primary(kind: Kind, target: Target) -> Result:
    """A skip of a subject of its own, which does not stand in for the primary's backup in the evidence."""
    reason = f"{target.stanza} is a standby here; its primary makes the backups"
    here = replace(target, name=f"{target.name} on {socket.gethostname()}")
    return _result(kind, here, "skip", Outcome(0, 0.0), reason)


def _share(stanza: Stanza) -> str:
    return f" ({100 * stanza.done / stanza.total:.0f} % done)" if stanza.total else ""


def _argv(kind: Kind, target: Target) -> list[str]:
    common = {"repo": target.repository, "log_level_console": "detail", "log_level_stderr": "off"}
    if kind == "verify":
        return arguments("verify", target.stanza, output="text", verbose="y", **common)
    return arguments("backup", target.stanza, type=kind, **common)


def _made(kind: Kind, target: Target, outcome: Outcome) -> Result:
    verdict: Verdict = "pass"
    reason = None
    if outcome.code == LOCKED and kind == "incr":
        verdict, reason = "skip", f"{running(target)}, which makes this one unnecessary"
    elif outcome.code:
        verdict, reason = "fail", failure(kind, target, outcome)
    return _result(kind, target, verdict, outcome, reason)


def failure(kind: Kind, target: Target, outcome: Outcome) -> str:
    """What happened, in pgBackRest's own words, and what it does not say: that a disk is full."""
    said = outcome.reason or " ".join(outcome.lines[-3:]) or "it said nothing"
    words = (
        f"{WORDS[kind]} of {target.name} ended with status {outcome.code} after"
        f" {to_duration(round(outcome.seconds, 1))}; pgBackRest says: {said}"
    )
    return "; ".join([words[:LONGEST], *full_disks(target.paths)])


def full_disks(paths: Iterable[str]) -> list[str]:
    """A clause for each directory whose disk is nearly full."""
    found = []
    for path in paths:
        try:
            size = os.statvfs(path)
        except OSError as error:
            found.append(f"{path} cannot be reached: {error.strerror}")
            continue
        free = size.f_bavail * size.f_frsize
        if free < min(NEARLY_FULL, size.f_blocks * size.f_frsize // 10):
            found.append(f"the disk of {path} has {to_byte_size(free)} left: enlarge it")
    return found


def _result(kind: Kind, target: Target, verdict: Verdict, outcome: Outcome, reason: str | None = None) -> Result:
    return Result(
        id=f"data.backup.{'verified' if kind == 'verify' else kind}",
        area="data",
        subject=target.name,
        claim=f"{WORDS[kind]} of {target.name} succeeds",
        verdict=verdict,
        measured=round(outcome.seconds, 2) if verdict == "pass" else None,
        unit="s",
        at=outcome.at,
        took=round(outcome.seconds, 2),
        source=SOURCE,
        reason=reason,
    )


def _verified(target: Target, outcome: Outcome) -> list[Result]:
    if outcome.code:
        return [_result("verify", target, "fail", outcome, failure("verify", target, outcome))]
    stanza = find(read(target.user, target.stanza), target.stanza)
    backups = [backup for backup in stanza.of(target.repository) if backup.stopped < outcome.began] if stanza else []
    verdict, reason = judge(findings(outcome.lines), backups)
    if reason:
        reason = f"the verification of {target.name} found trouble: {reason}"[:LONGEST]
    return [_result("verify", target, verdict, outcome, reason)]
