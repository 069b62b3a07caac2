# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the central journal tells of each host, as a node-exporter textfile: how old its newest entry is, and how many
5xx, failed authentications, ends by lack of memory and dropped messages there were. A timer of the log host runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import read_state, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish
from ansible_collections.slipway.ops.plugins.module_utils.logs.journal import Entry, JournalError, entries, files

FILE = "slipway_logs_events.prom"
KINDS = ("http_5xx", "authentication_failure", "out_of_memory", "suppressed")
LATE = 300
_SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
_FIELDS = "MESSAGE,MESSAGE_ID,N_DROPPED,SYSLOG_IDENTIFIER,_COMM,_TRANSPORT,_SYSTEMD_UNIT,LOG_FILE"
_KILLED = re.compile(r"[Oo]ut of memory: Killed process")
# Said once per failed attempt by who looked at the password: not also by PAM beneath it.
_REFUSED = {
    "sshd": re.compile(
        r"^(Failed \S+ for |Connection closed by authenticating user |Disconnected from authenticating )"
    ),
    "sudo": re.compile(r"incorrect password attempt|user NOT in sudoers|a password is required"),
    "su": re.compile(r"^FAILED SU "),
    "login": re.compile(r"^FAILED LOGIN "),
    "postgresql": re.compile(r"FATAL: +(password|SCRAM|certificate|peer|Ident) ?authentication failed", re.IGNORECASE),
}
_OF = {"sshd-session": "sshd", "patroni": "postgresql", "postgres": "postgresql"}


def kinds_of(entry: Mapping[str, str]) -> dict[str, int]:
    """What an entry counts as; most are nothing."""
    if entry.get("MESSAGE_ID") == _SUPPRESSED:
        return {"suppressed": int(entry.get("N_DROPPED") or 1)}
    message = entry.get("MESSAGE", "")
    if entry.get("_TRANSPORT") == "kernel":
        return {"out_of_memory": 1} if _KILLED.search(message) else {}
    name = entry.get("SYSLOG_IDENTIFIER", "")
    if name == "nginx" and entry.get("LOG_FILE", "").endswith("access.log"):
        return {"http_5xx": 1} if _status(message) >= 500 else {}
    refused = _REFUSED.get(_OF.get(name, name))
    return {"authentication_failure": 1} if refused and refused.search(message) else {}


def _status(message: str) -> int:
    try:
        return int(json.loads(message)["status"])
    except (ValueError, KeyError, TypeError):
        return 0


@dataclass
class Sender:
    """What is known of a host between runs."""

    name: str
    cursor: str = ""
    newest: float = 0
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, state: Mapping[str, Any]) -> Sender:
        return cls(name, state.get("cursor", ""), state.get("newest", 0), dict(state.get("counts", {})))

    def as_dict(self) -> dict[str, Any]:
        return {"cursor": self.cursor, "newest": self.newest, "counts": self.counts}

    def take(self, found: Iterable[Entry]) -> None:
        for entry in found:
            self.cursor = entry["__CURSOR"]
            self.newest = max(self.newest, int(entry["__REALTIME_TIMESTAMP"]) / 1e6)
            for kind, number in kinds_of(entry).items():
                self.counts[kind] = self.counts.get(kind, 0) + number


def look(directory: Path, sender: Sender) -> None:
    """Takes a host's new entries. Only its own cursor tells which those are: after an outage old ones come late."""
    selected = files(directory, sender.name)
    if selected:
        after = [f"--after-cursor={sender.cursor}"] if sender.cursor else []
        sender.take(entries([*selected, *after, f"--output-fields={_FIELDS}"], timeout=600))


def exposition(senders: Iterable[Sender], directory: Path) -> list[str]:
    known = list(senders)
    room = os.statvfs(directory)
    used = sum(path.stat().st_blocks * 512 for path in directory.glob("*.journal"))
    return [
        family(
            "slipway_logs_events_total",
            "counter",
            "Entries that tell of trouble, by kind.",
            (({"sender": one.name, "kind": kind}, one.counts.get(kind, 0)) for one in known for kind in KINDS),
        ),
        family(
            "slipway_logs_newest_timestamp_seconds",
            "gauge",
            "Time of a sender's newest entry; 0 for none.",
            (({"sender": one.name}, one.newest) for one in known),
        ),
        family("slipway_logs_stored_bytes", "gauge", "Room that the central journal takes.", [({}, used)]),
        family(
            "slipway_logs_free_bytes", "gauge", "Room that is left on its disk.", [({}, room.f_bavail * room.f_frsize)]
        ),
        family(
            "slipway_logs_events_checked_timestamp_seconds", "gauge", "When this was looked at.", [({}, time.time())]
        ),
    ]


def stale(senders: Iterable[Sender], now: float) -> list[str]:
    """Whose newest entry is too old, with its age. Every host writes an entry a minute."""
    return [
        f"{one.name} ({now - one.newest:.0f} s)" if one.newest else f"{one.name} (nothing ever)"
        for one in senders
        if now - one.newest > LATE
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="slipway-logs-events", description="Count what the central journal tells.")
    parser.add_argument("settings", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--check", action="store_true", help=f"fail when a host sent nothing for {LATE} s")
    given = parser.parse_args()
    settings = json.loads(given.settings.read_text(encoding="utf-8"))
    before, directory = read_state(given.state), Path(settings["directory"])
    senders, failed = [Sender.read(name, before.get(name, {})) for name in settings["senders"]], []
    for sender in senders:
        try:
            look(directory, sender)
        except JournalError as error:
            failed.append(f"{sender.name}: {error}")
    if given.check:
        failed += (
            [f"no entries of the last {LATE} s from {', '.join(late)}"] if (late := stale(senders, time.time())) else []
        )
    else:
        replace(given.state, json.dumps({one.name: one.as_dict() for one in senders}), 0o600)
        publish(Path(settings["textfile_directory"]), FILE, exposition(senders, directory))
    for one in failed:
        print(f"slipway-logs-events: {one}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
