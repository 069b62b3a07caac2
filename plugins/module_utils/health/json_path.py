# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Paths into JSON documents: ``status``, ``checks.database.ok``, ``nodes[0].name``, ``["a.b"].c``."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+)\]|\["([^"]*)"\]""")


class JsonPathError(ValueError):
    """A text that is no path; the message shows one."""


def parse_path(path: str) -> tuple[str | int, ...]:
    """The keys and indexes of a path."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            break
        steps.append(int(step[2]) if step[2] is not None else step[1] if step[1] is not None else step[3])
        position = step.end()
    if not steps or position < len(path):
        raise JsonPathError(f"{path!r} is not a path; write such as status, checks.database.ok or nodes[0].name")
    return tuple(steps)


def look_up(document: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at the path. KeyError when nothing does."""
    for step in path:
        if isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        elif isinstance(document, dict) and str(step) in document:
            document = document[str(step)]
        else:
            raise KeyError(step)
    return document
