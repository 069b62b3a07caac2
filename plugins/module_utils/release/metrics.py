# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus sees of a host's releases, from the histories of all its services."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host import textfile
from ansible_collections.slipway.ops.plugins.module_utils.release import history

DIRECTORY = Path("/var/lib/prometheus/node-exporter")
FILE = "slipway_releases.prom"


def publish(root: Path, directory: Path = DIRECTORY) -> None:
    """``root`` has a directory per service. A release does not fail for what is only looked at."""
    events = {path.parent.name: history.read(path) for path in sorted(root.glob("*/history.jsonl"))}
    with contextlib.suppress(OSError):
        textfile.publish(directory, FILE, families(events))


def families(events: Mapping[str, Sequence[history.Event]]) -> list[str]:
    """The metrics of services by their events, oldest first."""
    live, ended, failed = [], [], []
    for service, theirs in events.items():
        over = [event for event in theirs if event["event"] != "begun"]
        if proven := [event for event in over if event["event"] in history.LIVE_EVENTS]:
            labels = {"service": service, "version": str(proven[-1]["version"])}
            live.append((labels, _seconds(proven[-1])))
        if over:
            ended.append(({"service": service}, _seconds(over[-1])))
            failed.append(({"service": service}, float(over[-1]["event"] == "failed")))
    return [
        textfile.family("slipway_release_live_timestamp_seconds", "gauge", "When the live version became it.", live),
        textfile.family("slipway_release_ended_timestamp_seconds", "gauge", "When the last release ended.", ended),
        textfile.family("slipway_release_failed", "gauge", "Whether the last release failed.", failed),
    ]


def _seconds(event: history.Event) -> float:
    return datetime.datetime.fromisoformat(str(event["at"]).replace("Z", "+00:00")).timestamp()
