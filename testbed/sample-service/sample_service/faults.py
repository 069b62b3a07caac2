"""What makes a release bad."""

from __future__ import annotations


class ErrorRate:
    """Says which requests fail so that the share is exact: with 0.2 every fifth does."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = 0.0

    def strikes(self) -> bool:
        """Whether the next request fails."""
        self._due += self._rate
        if self._due < 1 - 1e-9:
            return False
        self._due -= 1
        return True
