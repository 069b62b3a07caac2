# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the evidence store and the operator hear of an upgrade."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.data.status import moment
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.journal import Upgrade
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.upgrade.postgresql import Wanted

SOURCE = "postgresql_upgrade 0.1.0"


def _result(wanted: Wanted, entry: Upgrade, name: str, now: float, **given: Any) -> Result:
    return Result(
        id=f"data.upgrade.postgresql.{name}",
        area="data",
        subject=wanted.stanza,
        at=moment(entry.began),
        took=round(now - entry.began, 3),
        source=SOURCE,
        **given,
    )


def upgraded(wanted: Wanted, entry: Upgrade, now: float) -> list[Result]:
    """The outcome, a warning when it was begun without a good drill, and the downtime."""
    what = f"{wanted.stanza} on {wanted.host} was upgraded from PostgreSQL {entry.old} to {entry.new} ({entry.mode})"
    return [
        _result(
            wanted,
            entry,
            "result",
            now,
            claim=what,
            verdict="warn" if entry.reason else "pass",
            measured=round(now - entry.began, 1),
            unit="s",
            reason=entry.reason or None,
        ),
        _result(
            wanted,
            entry,
            "downtime",
            now,
            claim=f"Time in which {wanted.stanza} did not answer while it was upgraded",
            verdict="pass",
            measured=entry.downtime,
            unit="s",
        ),
    ]


def failed(wanted: Wanted, entry: Upgrade, reason: str, now: float) -> list[Result]:
    """Why it came to nothing."""
    claim = f"{wanted.stanza} on {wanted.host} was upgraded from PostgreSQL {entry.old} to {entry.new}"
    return [_result(wanted, entry, "result", now, claim=claim, verdict="fail", unit="s", reason=reason[:3000])]


def reverted(wanted: Wanted, entry: Upgrade, gone: float, now: float) -> list[Result]:
    """The way back, with its downtime."""
    claim = f"{wanted.stanza} on {wanted.host} went back from PostgreSQL {entry.new} to {entry.old}"
    return [_result(wanted, entry, "rollback", now, claim=claim, verdict="pass", measured=gone, unit="s")]


def lines(wanted: Wanted, entry: Upgrade) -> list[str]:
    """The end of an upgrade, for a terminal."""
    found = [f"PostgreSQL {entry.new} serves; nothing answered for {to_duration(round(entry.downtime, 1))}"]
    if entry.mode == "link":
        return [*found, f"what is left of the old cluster is in {entry.source}: -e upgrade_discard=true removes it"]
    return [
        *found,
        f"the old cluster is in {entry.source}: -e upgrade_discard=true removes it, and -e rollback=true goes back to"
        f" it with postgresql_version {entry.old}, without what was written since",
    ]
