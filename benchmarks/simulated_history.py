"""What node exporters of many hosts said for some days, as OpenMetrics on standard output, until now.

Runs in a container, with the standard library alone: `python3 simulated_history.py HOSTS DAYS STEP` (seconds).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

Value = Callable[[int, int], float]  # of seconds since the start, and the host's number
IDLE = [f',cpu="{cpu}",mode="idle"' for cpu in range(2)]
ROOT = [',mountpoint="/",fstype="ext4",device="/dev/sda1"']
METRICS: tuple[tuple[str, str, list[str], Value], ...] = (
    ("gauge", "up", [""], lambda at, host: 1),
    ("counter", "node_cpu_seconds_total", IDLE, lambda at, host: at * (0.5 + host / 400)),
    ("gauge", "node_memory_MemTotal_bytes", [""], lambda at, host: 8e9),
    ("gauge", "node_memory_MemAvailable_bytes", [""], lambda at, host: 4e9 + at % 3600 * 1e5),
    ("gauge", "node_filesystem_size_bytes", ROOT, lambda at, host: 1e11),
    ("gauge", "node_filesystem_avail_bytes", ROOT, lambda at, host: 6e10 - at * 1e4),
)


def lines(hosts: int, days: int, step: int) -> Iterator[str]:
    """One metric after the other, as the format wants it."""
    end = int(time.time()) // step * step
    start = end - days * 86400
    for kind, name, labels, value in METRICS:
        yield f"# TYPE {name.removesuffix('_total')} {kind}\n"
        for host in range(hosts):
            for more in labels:
                series = f'{name}{{host="h{host}",job="node",instance="h{host}:9100"{more}}}'
                yield from (f"{series} {value(at - start, host)} {at}\n" for at in range(start, end, step))
    yield "# EOF\n"


if __name__ == "__main__":
    sys.stdout.writelines(lines(*map(int, sys.argv[1:])))
