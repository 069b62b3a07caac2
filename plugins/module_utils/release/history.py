# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The history of a service on a host: ``history.jsonl``, appended and fsynced, one event a line.

Events: ``begun`` before anything changes, then ``done``, ``failed`` or, when a later run finds a version live whose own
run was killed, ``found``. Each says who, when, what, from where.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

LIVE_EVENTS = ("done", "found")
BAKE = "bake on "
"""How the one begins whose event is a bake's."""

from ansible_collections.slipway.ops.plugins.module_utils.host.files import create

Event = Mapping[str, Any]


def append(path: Path, event: Event) -> None:
    """Adds one event durably. A torn last line (power cut) is closed first, so that it costs only itself."""
    line = json.dumps(event, ensure_ascii=False, sort_keys=True) + "\n"
    descriptor = create(path, os.O_RDWR | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + line).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, last: int | None = None) -> list[dict[str, Any]]:
    """The events, oldest first; a torn line is skipped."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    events = [event for line in lines if (event := _parse(line))]
    return events[-last:] if last else events


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and {"at", "run", "event", "version"} <= event.keys() else None


def merge(histories: Iterable[Sequence[Event]]) -> list[Event]:
    """One history of all hosts: a host that was away or is new lacks events that others have."""
    events = {(event["run"], event["event"]): event for history in histories for event in history}
    return sorted(events.values(), key=lambda event: str(event["at"]))


def live_versions(events: Iterable[Event]) -> list[str]:
    """The versions that were live and proven, as a stack: the last is the newest.

    A deploy puts its version on top. A rollback takes off what it left, so that rolling back again goes further back
    and never to the version that was bad.
    """
    stack: list[str] = []
    for event in events:
        if event["event"] not in LIVE_EVENTS:
            continue
        version = str(event["version"])
        if event.get("action") == "rollback" and version in stack:
            stack = [*before(stack, version), version]
        elif not stack or stack[-1] != version:
            stack.append(version)
    return stack


def before(stack: Sequence[str], version: str) -> list[str]:
    """What lies below the topmost ``version`` of a stack; the whole stack when it is not in it.

    A version may be in it more than once: 1, 2, and 1 deployed again.
    """
    depth = list(reversed(stack)).index(version) if version in stack else -1
    return list(stack[: len(stack) - 1 - depth])


def by_a_bake(event: Event) -> bool:
    """Whether a bake went back by itself, and nobody who would know of it."""
    return str(event.get("by", "")).startswith(BAKE)


def taken_back(events: Sequence[Event]) -> str:
    """In a sentence that what is live is what a bake went back to; empty when somebody made it so."""
    last = next((event for event in reversed(events) if event["event"] in LIVE_EVENTS), None)
    if last is None or not by_a_bake(last):
        return ""
    return f"{last['previous']['version']} was rolled back by its bake at {last['at']}: {last['reason']}"


def unfinished(events: Sequence[Event]) -> Event | None:
    """The last run's ``begun`` event when nothing ended that run: it was killed, or it runs now."""
    if events and events[-1]["event"] == "begun":
        return events[-1]
    return None


def versions_to_keep(events: Sequence[Event], running: Iterable[str], keep: int) -> set[str]:
    """The ``keep`` versions that were live last, and whatever runs now, live or warm."""
    newest_first = list(dict.fromkeys(reversed([str(e["version"]) for e in events if e["event"] in LIVE_EVENTS])))
    return set(newest_first[:keep]) | set(running)
