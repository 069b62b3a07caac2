# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a host's journal has come to the log host, as a node-exporter textfile. A timer runs it.

systemd-journal-upload keeps the cursor of the last entry that the log host has confirmed. Cursors number entries, so
what waits and what the journal dropped before it was sent can be counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.files import read_state, replace
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import family, publish
from ansible_collections.slipway.ops.plugins.module_utils.logs.journal import JournalError, fields_of, newest, oldest

SENT = Path("/var/lib/systemd/journal-upload/state")
FILE = "slipway_logs_upload.prom"
LATE = 300


@dataclass(frozen=True)
class Standing:
    """``waiting`` and ``lost`` are entries; ``behind`` is seconds from the last confirmed entry to the newest one."""

    waiting: int
    lost: int
    behind: float


def standing(sent: str, oldest: str, newest: str) -> Standing:
    """Of three cursors. Of a host that has sent nothing everything waits."""
    last, first, new = fields_of(sent), fields_of(oldest), fields_of(newest)
    until = _number(new, "t")
    if not sent or last.get("s") != new.get("s"):
        return Standing(_number(new, "i") - _number(first, "i") + 1, 0, (until - _number(first, "t")) / 1e6)
    gone = max(0, _number(first, "i") - _number(last, "i") - 1) if first.get("s") == new.get("s") else 0
    since = _number(last, "t")
    return Standing(max(0, _number(new, "i") - _number(last, "i") - gone), gone, max(0.0, (until - since) / 1e6))


def total(state: dict[str, int], now: Standing) -> dict[str, int]:
    """What was lost ever: an outage's loss grows while it lasts, and is over when nothing is missing any more."""
    if now.lost < state.get("now", 0):
        return {"before": state.get("before", 0) + state["now"], "now": now.lost}
    return {"before": state.get("before", 0), "now": now.lost}


def confirmed(path: Path = SENT) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith("LAST_CURSOR=")), "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="slipway-logs-upload", description="Tell how far the journal was sent.")
    parser.add_argument("state", type=Path)
    parser.add_argument("textfiles", type=Path)
    parser.add_argument("--check", action="store_true", help=f"fail when it is more than {LATE} s behind")
    given = parser.parse_args()
    try:
        now = standing(confirmed(), oldest(), newest())
    except JournalError as error:
        print(f"slipway-logs-upload: {error}", file=sys.stderr)
        return 1
    if given.check:
        print(f"{now.waiting} entries wait to be sent, the last one sent is {now.behind:.0f} s older than the newest")
        return int(now.behind > LATE)
    kept = total(read_state(given.state), now)
    replace(given.state, json.dumps(kept), 0o600)
    publish(given.textfiles, FILE, exposition(now, sum(kept.values())))
    return 0


def exposition(now: Standing, lost: int) -> list[str]:
    told = {
        "waiting_entries": ("gauge", "Entries that the log host has not confirmed.", now.waiting),
        "lost_entries_total": ("counter", "Entries dropped before they were sent.", lost),
        "behind_seconds": ("gauge", "From the last confirmed entry to the newest.", now.behind),
        "upload_checked_timestamp_seconds": ("gauge", "When this was looked at.", time.time()),
    }
    return [family(f"slipway_logs_{name}", kind, text, [({}, value)]) for name, (kind, text, value) in told.items()]


def _number(fields: dict[str, str], name: str) -> int:
    return int(fields.get(name) or "0", 16)


if __name__ == "__main__":
    sys.exit(main())
