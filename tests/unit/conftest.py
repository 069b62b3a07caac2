"""What holds for every unit test: none leaves anything of the process to the next."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

OURS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Programs that a test calls in its own process set handlers for their whole life, which ends with the test."""
    former = {number: signal.getsignal(number) for number in OURS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)
