# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Percentiles of samples."""

from __future__ import annotations

import math
from collections.abc import Iterable


def percentile(samples: Iterable[float], percent: float) -> float:
    """The value that ``percent`` % of the samples do not exceed, between two samples in proportion (as numpy does)."""
    ordered = sorted(float(sample) for sample in samples)
    if not ordered:
        raise ValueError("no samples: there is no percentile of nothing")
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent!r} is not a percentage from 0 to 100")
    position = (len(ordered) - 1) * percent / 100
    below, above = ordered[math.floor(position)], ordered[math.ceil(position)]
    return below + (above - below) * (position - math.floor(position))
