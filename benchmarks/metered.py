"""Runs a command on a host, and tells as JSON its seconds and the peak memory of its processes, by program.

For benchmarks/dumps.py, which copies it there. Memory is each process' proportional share, looked at many times a
second; what is so short-lived that no look falls on it is not seen.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

PAUSE = 0.05  # seconds between looks


def family(root: int) -> list[Path]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(directory.name))
    found, todo = [], [root]
    while todo:
        number = todo.pop()
        found.append(Path(f"/proc/{number}"))
        todo += children.get(number, [])
    return found


def memory(processes: list[Path]) -> Counter[str]:
    """Bytes by program."""
    used: Counter[str] = Counter()
    for process in processes:
        try:
            share = re.search(r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
            used[(process / "comm").read_text().strip()] += int(share[1]) * 1024 if share else 0
        except OSError:
            continue
    return used


def main(argv: list[str]) -> int:
    peaks: Counter[str] = Counter()
    together = 0
    started = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        while running.poll() is None:
            used = memory(family(running.pid))
            peaks |= used
            together = max(together, used.total())
            time.sleep(PAUSE)
        seconds = time.monotonic() - started
        said = running.stdout.read() if running.stdout else ""
    print(
        json.dumps({"seconds": seconds, "peak": together, "programs": peaks, "code": running.returncode, "said": said})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
