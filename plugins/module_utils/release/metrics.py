# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus sees of a host's releases, from the histories of all its services and from how their bakes ended."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host import textfile
from ansible_collections.slipway.ops.plugins.module_utils.release import bake, history

DIRECTORY = Path("/var/lib/prometheus/node-exporter")
FILE = "slipway_releases.prom"


def publish(root: Path, directory: Path = DIRECTORY, bakes: Path = bake.DIRECTORY) -> None:
    """``root`` has a directory per service. A release does not fail for what is only looked at."""
    events = {path.parent.name: history.read(path) for path in sorted(root.glob("*/history.jsonl"))}
    with contextlib.suppress(OSError):
        textfile.publish(directory, FILE, families(events, bake.standings(bakes)))


def families(
    events: Mapping[str, Sequence[history.Event]], standings: Mapping[str, bake.Standing] | None = None
) -> list[str]:
    """The metrics of services by their events, oldest first, and by how their last bakes stand."""
    live, ended, failed = [], [], []
    for service, theirs in events.items():
        over = [event for event in theirs if event["event"] in (*history.LIVE_EVENTS, "failed")]
        if proven := [event for event in over if event["event"] in history.LIVE_EVENTS]:
            labels = {"service": service, "version": str(proven[-1]["version"])}
            live.append((labels, _seconds(proven[-1]["at"])))
        if over:
            ended.append(({"service": service}, _seconds(over[-1]["at"])))
            # A rollback by a person ends the failure; a bake's tells of one.
            was_bad = over[-1]["event"] == "failed" or history.by_a_bake(over[-1])
            failed.append(({"service": service}, float(was_bad)))
    stuck = [
        ({"service": service}, _seconds(one.at)) for service, one in (standings or {}).items() if one.state == "stuck"
    ]
    return [
        textfile.family("slipway_release_live_timestamp_seconds", "gauge", "When the live version became it.", live),
        textfile.family("slipway_release_ended_timestamp_seconds", "gauge", "When the last release ended.", ended),
        textfile.family("slipway_release_failed", "gauge", "Whether the last release failed.", failed),
        textfile.family(
            "slipway_bake_stuck_timestamp_seconds", "gauge", "When a bake ended that could not go back.", stuck
        ),
    ]


def _seconds(at: object) -> float:
    return datetime.datetime.fromisoformat(str(at).replace("Z", "+00:00")).timestamp()
