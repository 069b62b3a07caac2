# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore would take at another size: a straight line through one drill, so coarse for what is much larger."""

from __future__ import annotations

from dataclasses import dataclass

# Of the size that was drilled, when nobody said how large it will be.
ASSUMED = 2.0


@dataclass(frozen=True)
class Growth:
    """A restore of ``size`` bytes took ``rto`` seconds, of which ``moving`` grow with the size: what is copied and
    what is replayed. What was the rest, such as starting the server, stays."""

    size: int
    rto: float
    moving: float

    def seconds(self, size: float) -> float:
        """What a restore of so many bytes would take."""
        return self.rto - self.moving + self.moving * size / self.size

    def within(self, limit: float) -> float | None:
        """Bytes that can be restored in ``limit`` seconds; None when nothing grew that could be measured."""
        if self.moving <= 0:
            return None
        return max(0.0, (limit - self.rto + self.moving) / self.moving * self.size)
