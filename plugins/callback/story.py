# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the story of a run while unchanged results stay silent: each numbered step as it starts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: story
type: notification
short_description: Numbered steps as they start, also when unchanged results are not shown
version_added: 0.1.0
description:
  - Prints each step with the seconds since the run began. A step is one or more tasks in a row whose names start with
    the same number and words before a colon, such as C(4/8 Health gate).
author:
  - The Slipway authors (@slipway)
"""

import re
import time

from ansible.plugins.callback import CallbackBase

_STEP = re.compile(r"(?:^|: )(\d+/\d+ [^:]*)")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "slipway.ops.story"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._told = ""

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        step = _STEP.search(task.get_name())
        if step and step.group(1) != self._told:
            self._told = step.group(1)
            self._display.display(f"{time.monotonic() - self._began:7.1f} s  {step.group(1)}")
