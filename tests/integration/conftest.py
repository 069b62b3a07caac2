"""What integration tests of health checks share."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health import engine
from health_servers import Servers


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def not_excused_by_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about what servers answer; `tests/unit/test_health_lateness.py` is about this machine."""
    monkeypatch.setattr(engine, "_SHARE", math.inf)
