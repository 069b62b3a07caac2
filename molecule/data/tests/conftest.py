from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from data_hosts import CONTAINER, SECRETS


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch(SECRETS, [f"{CONTAINER}db1", f"{CONTAINER}backup1"]) as watch:
        yield watch
    watch.verify()
