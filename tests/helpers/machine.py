"""What the machine that runs the tests can do right now."""

from __future__ import annotations

import subprocess
import sys


def crowding() -> float:
    """How many times longer work takes now than it would on an idle machine: wall time by processor time."""
    work = "while t.process_time() < 0.5: pass"
    burn = f"import time as t\nbegan = t.monotonic()\n{work}\nprint((t.monotonic() - began) / 0.5)"
    burners = [subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(burner.communicate()[0]) for burner in burners) / len(burners)
