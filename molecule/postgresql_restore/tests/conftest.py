from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from four_hosts import CONTAINER, KEY, REPLICATION

PLACES = ("/var/log", "/tmp", "/var/lib/slipway/results", "/var/lib/slipway/evidence")


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    secrets = {"cipher_pass": KEY, "replication_password": REPLICATION}
    with SecretWatch(secrets, [CONTAINER + host for host in ("db1", "db2", "copy1", "backup1")], PLACES) as watch:
        yield watch
    assert watch.saw(f"{CONTAINER}db1", "pgbackrest") and watch.saw(f"{CONTAINER}db2", "pg_basebackup")
    watch.verify()
