from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from caches import CONTAINER, HOSTS, SECRETS

PLACES = ("/var/log", "/tmp", "/var/lib/slipway", "/run/redis", "/var/lib/prometheus")


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch(SECRETS, [CONTAINER + host for host in HOSTS], PLACES) as watch:
        yield watch
    assert all(watch.saw(CONTAINER + host, "redis-server") for host in HOSTS)
    watch.verify()
