from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from visitors import EDGE, SECRETS


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch(SECRETS, [EDGE]) as watch:
        yield watch
    assert watch.saw(EDGE, "oauth2-proxy")
    watch.verify()
