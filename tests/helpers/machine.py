"""What the machine that runs the tests can do right now, and waiting for what takes its time there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def crowding() -> float:
    """How many times longer work takes now than it would on an idle machine: wall time by processor time."""
    work = "while t.process_time() < 0.5: pass"
    burn = f"import time as t\nbegan = t.monotonic()\n{work}\nprint((t.monotonic() - began) / 0.5)"
    burners = [subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(burner.communicate()[0]) for burner in burners) / len(burners)


def journal(host: Any, options: str) -> str:
    """What a host's journal has, also of what was said just now."""
    return str(host.check_output(f"journalctl --sync && journalctl --no-pager --output=cat {options}"))


def journal_has(host: Any, options: str, text: str) -> bool:
    """Whether the journal has a text in time: what a unit says last comes in after the unit's end."""
    return until(lambda: text in journal(host, options), 30 * crowding())


def until(true: Callable[[], Any], seconds: float = 60, pause: float = 0.1) -> bool:
    """Whether it became true in time; asked every ``pause`` seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(pause)
    return bool(true())
