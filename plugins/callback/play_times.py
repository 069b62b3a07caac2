# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends a run with one line per play: its seconds and its share of the whole."""

from __future__ import annotations

DOCUMENTATION = r"""
name: play_times
type: aggregate
short_description: Seconds per play at the end of a run
version_added: 0.1.0
description:
  - After the recap, prints each play with the seconds it took, and the total.
  - The clock is monotonic; a play lasts from its start to the start of the next or the end of the run.
author:
  - The Slipway authors (@slipway)
"""

import time

from ansible.plugins.callback import CallbackBase


def format_table(plays: list[tuple[str, float]]) -> list[str]:
    """Lines of the closing table for (name, seconds) pairs, the total last."""
    rows = [*plays, ("total", sum(seconds for _, seconds in plays))]
    return [f"{seconds:8.1f} s  {name}" for name, seconds in rows]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "slipway.ops.play_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started: list[tuple[str, float]] = []

    def v2_playbook_on_play_start(self, play) -> None:
        self._started.append((play.get_name().strip(), time.monotonic()))

    def v2_playbook_on_stats(self, stats) -> None:
        ends = [start for _, start in self._started[1:]] + [time.monotonic()]
        plays = [(name, end - start) for (name, start), end in zip(self._started, ends, strict=True)]
        self._display.banner("PLAY TIMES")
        for line in format_table(plays):
            self._display.display(line)
