"""Runs a command on a host, and tells as JSON its seconds, those of the processor, and its processes' peak memory.

For benchmarks/dumps.py, which copies it there. Memory is each process' proportional share, looked at many times a
second; what is so short-lived that no look falls on it is not seen.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PAUSE = 0.05  # seconds between looks


def family(root: int) -> list[Path]:
    """A process and its descendants."""
    found, todo = [], [root]
    while todo:
        process = Path(f"/proc/{todo.pop()}")
        found.append(process)
        for children in process.glob("task/*/children"):
            with contextlib.suppress(OSError):  # it has ended
                todo += map(int, children.read_text().split())
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
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        with subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as running:
            while running.poll() is None:
                used = memory(family(running.pid))
                peaks |= used
                together = max(together, used.total())
                time.sleep(PAUSE)
            seconds = time.monotonic() - started
        output.seek(0)
        said = output.read()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"seconds": seconds, "cpu": spent.ru_utime + spent.ru_stime, "peak": together, "programs": peaks}
    print(json.dumps({**told, "code": running.returncode, "said": said}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
