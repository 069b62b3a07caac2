# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the web application firewall saw, without what people sent. A unit runs it.

ModSecurity writes a file for each request that a rule matched, with everything that was sent. What is left of it here
goes to the journal as one line of JSON: which rules, where in the request, and what was done. The query, the values and
the end of the client's address are left out. The request's id leads to nginx' own log, which has the method, too:
ModSecurity sees a request that got an error page as a GET. A file is removed after its line was written and counted;
a crash in between writes it twice rather than never.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from ansible_collections.slipway.ops.plugins.module_utils.host.files import read_state, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish

PATIENCE = 10.0
"""Seconds after which a file that cannot be read is no longer one that is being written."""
AT_ONCE = 2000
"""Files between two writes of the counters."""
LONGEST_PATH = 200
_PAUSE = 1.0
_HEARTBEAT = 15.0
_EMPTY_FOR = 300.0
_NETWORK = {4: 24, 6: 48}
_WHERE = {
    re.compile(r"against variable `([^']{1,200})' "): "match",
    re.compile(r"found within ([^ ]{1,200}?): "): "data",
}
_SCORE = re.compile(r"Total Score: (\d+)")
_EVALUATION = ("949", "959", "980")
"""Rules of CRS that sum up what others found."""


def masked(told: Mapping[str, Any], masks_client: bool = True) -> dict[str, Any] | None:
    """What is kept of one transaction of ModSecurity's; nothing of one that no rule matched."""
    transaction = told["transaction"]
    request, messages = transaction["request"], transaction.get("messages") or []
    path, status = request["uri"].partition("?")[0], int(transaction["response"]["http_code"])
    if not messages:
        return None
    found = [_rule(message) for message in messages]
    enforcing = transaction.get("producer", {}).get("secrules_engine") == "Enabled"
    return {
        "event": "waf",
        "action": "blocked" if enforcing and status in (400, 403) else "detected",
        "request_id": transaction.get("unique_id", ""),
        "client": _network(transaction["client_ip"]) if masks_client else transaction["client_ip"],
        "host": _header(request.get("headers") or {}, "host"),
        "path": path[:LONGEST_PATH],
        "status": status,
        "score": max(
            (int(score[1]) for message in messages if (score := _SCORE.search(message["message"]))), default=0
        ),
        "rules": [rule for rule in found if not rule["id"].startswith(_EVALUATION)],
    }


def _rule(message: Mapping[str, Any]) -> dict[str, str]:
    details = message["details"]
    attacks = [tag.removeprefix("attack-") for tag in details.get("tags") or [] if tag.startswith("attack-")]
    places = (pattern.search(details.get(name, "")) for pattern, name in _WHERE.items())
    return {
        "id": str(details["ruleId"]),
        "attack": attacks[0] if attacks else "protocol",
        "what": message["message"],
        "where": next((_name(place[1]) for place in places if place), ""),
    }


def _name(place: str) -> str:
    """`ARGS:q`; a name that is long is more likely what somebody typed."""
    collection, colon, name = place.partition(":")
    return collection + colon + (name if len(name) <= 40 else "…")


def _header(headers: Mapping[str, Any], name: str) -> str:
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")[:253]


def _network(address: str) -> str:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{address}/{_NETWORK[version]}", strict=False))


def attack(event: Mapping[str, Any]) -> str:
    """The family that most of the rules which matched belong to."""
    return Counter(rule["attack"] for rule in event["rules"]).most_common(1)[0][0] if event["rules"] else "protocol"


def metrics(counts: Mapping[str, Mapping[str, int]], unread: int, now: float) -> Iterator[str]:
    """The textfile for the node exporter."""
    events = [
        ({"action": action, "attack": attacks}, number)
        for action, found in sorted(counts.items())
        for attacks, number in sorted(found.items())
    ]
    yield family(
        "slipway_waf_events_total",
        "counter",
        "Requests in which the web application firewall found something.",
        events,
    )
    yield family(
        "slipway_waf_unread_total",
        "counter",
        "Files of the web application firewall that could not be read.",
        [({}, unread)],
    )
    yield family(
        "slipway_waf_checked_timestamp_seconds",
        "gauge",
        "When its files were last looked for.",
        [({}, round(now))],
    )


@dataclass
class Reader:
    """Takes ModSecurity's files out of `directory`."""

    directory: Path
    state: Path
    textfile: Path
    out: TextIO
    masks_client: bool = True
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    unread: int = 0
    told_at: float = 0.0

    def __post_init__(self) -> None:
        known = read_state(self.state)
        self.unread = int(known.get("unread", 0))
        given = known.get("counts", {})
        self.counts = {
            action: {family: int(given.get(action, {}).get(family, 0)) for family in given.get(action, {})}
            for action in ("blocked", "detected")
        }

    def turn(self, now: float) -> int:
        """Tells and counts what is there, then removes it; says how many files that were."""
        done: list[tuple[int, str]] = []
        handles: list[int] = []
        try:
            for handle, name, written in self._files(handles):
                if self._take(handle, name, now - written):
                    done.append((handle, name))
                if len(done) == AT_ONCE:
                    break
            self._remember(now, bool(done))
            for handle, name in done:
                os.unlink(name, dir_fd=handle)
        finally:
            for handle in handles:
                os.close(handle)
        self._sweep(now)
        return len(done)

    def _files(self, handles: list[int]) -> Iterator[tuple[int, str, float]]:
        """Plain files, each by its directory's handle: no link that who wrote them left there is followed."""
        for _, _, names, handle in os.fwalk(self.directory, follow_symlinks=False):
            mine = os.dup(handle)
            handles.append(mine)
            for name in sorted(names):
                yield mine, name, os.stat(name, dir_fd=mine, follow_symlinks=False).st_mtime

    def _take(self, handle: int, name: str, age: float) -> bool:
        try:
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
            with os.fdopen(opened, encoding="utf-8", errors="replace") as file:
                event = masked(json.load(file), self.masks_client)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            if age < PATIENCE:
                return False
            self.unread += 1
            return True
        if event:
            self.out.write(json.dumps(event, ensure_ascii=False) + "\n")
            families = self.counts[event["action"]]
            families[attack(event)] = families.get(attack(event), 0) + 1
        return True

    def _remember(self, now: float, changed: bool) -> None:
        self.out.flush()
        if changed:
            replace(self.state, json.dumps({"counts": self.counts, "unread": self.unread}), 0o600)
        if changed or now - self.told_at >= _HEARTBEAT:
            publish(self.textfile.parent, self.textfile.name, metrics(self.counts, self.unread, now))
            self.told_at = now

    def _sweep(self, now: float) -> None:
        """Directories of minutes that are over."""
        for found, _, _ in os.walk(self.directory, topdown=False):
            path = Path(found)
            if path == self.directory or now - path.lstat().st_mtime < _EMPTY_FOR:
                continue
            with contextlib.suppress(OSError):  # something is in it
                path.rmdir()


def main() -> int:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    reader = Reader(
        Path(settings["directory"]),
        Path(settings["state"]),
        Path(settings["textfile"]),
        sys.stdout,
        settings["mask_clients"],
    )
    going = True

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    while going:
        if not reader.turn(time.time()):
            time.sleep(_PAUSE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
