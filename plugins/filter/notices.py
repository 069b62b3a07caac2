# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over what users are told of planned work."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ansible_collections.slipway.ops.plugins.module_utils.release import notices


def notice_times(at: str, minutes: int, timezone: str) -> dict[str, Any]:
    """See notice_times.yml."""
    try:
        begins, ends = notices.times(str(at), int(minutes), str(timezone), time.time())
    except notices.NoticeError as error:
        return {"problem": str(error)}
    return {"at": begins, "until": ends, "problem": ""}


def local_time(moment: float, timezone: str) -> str:
    """See local_time.yml."""
    return datetime.datetime.fromtimestamp(float(moment), ZoneInfo(str(timezone))).strftime("%Y-%m-%d %H:%M")


def notice_line(notice: Mapping[str, Any], timezone: str) -> str:
    """See notice_line.yml."""
    begins, ends = (local_time(notice[name], timezone) for name in ("at", "until"))
    told = f"told {local_time(notice['told'], timezone)}" if notice["told"] else "nobody was told"
    text = f": {notice['text']}" if notice["text"] else ""
    return f"  {begins} to {ends} {timezone}, {notice['state']}, {told}{text}"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"local_time": local_time, "notice_line": notice_line, "notice_times": notice_times}
