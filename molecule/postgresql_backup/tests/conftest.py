from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from two_hosts import CONTAINER, KEY

PLACES = ("/var/log", "/var/lib/slipway/results", "/var/lib/slipway/evidence")


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the key where it must not be, as long as there are tests, and fails after the last."""
    with SecretWatch({"cipher_pass": KEY}, [CONTAINER + host for host in ("db1", "backup1")], PLACES) as watch:
        yield watch
    assert watch.saw(f"{CONTAINER}db1", "pgbackrest") and watch.saw(f"{CONTAINER}backup1", "pgbackrest")
    watch.verify()
