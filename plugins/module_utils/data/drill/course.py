# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The phases of a drill, each with its seconds, told as they begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Tell = Callable[[str], None]

LONGEST = 3000  # characters of a reason


@dataclass
class Phase:
    """One step. ``note`` says what came out of it, ``verdict`` is ``pass`` or ``fail``."""

    name: str
    title: str
    seconds: float = 0.0
    verdict: str = "pass"
    note: str = ""


@dataclass
class Course:
    """The phases so far."""

    tell: Tell
    phases: list[Phase] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[Phase]:
        """A phase that lasts as long as the block. An error within makes it the one that failed."""
        phase = Phase(name, title)
        self.phases.append(phase)
        self.tell(f"{time.monotonic() - self.began:7.1f} s  {title}")
        began = time.monotonic()
        try:
            yield phase
        except Exception as error:
            phase.verdict, phase.note = "fail", str(error)[:LONGEST]
            raise
        finally:
            phase.seconds = round(time.monotonic() - began, 3)

    def seconds(self, *names: str) -> float:
        """What the named phases took together."""
        return round(sum(phase.seconds for phase in self.phases if phase.name in names), 3)
