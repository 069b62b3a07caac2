from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from store_hosts import CONTAINER, KEY, SECRET

PLACES = ("/var/log", "/tmp", "/run/slipway-backup", "/var/lib/slipway/results")


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    secrets = {"cipher_pass": KEY, "s3_key_secret": SECRET}
    with SecretWatch(secrets, [CONTAINER + host for host in ("db1", "objects1")], PLACES) as watch:
        yield watch
    assert watch.saw(f"{CONTAINER}db1", "pgbackrest") and watch.saw(f"{CONTAINER}objects1", "versitygw")
    watch.verify()
