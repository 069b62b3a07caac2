from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from objects import OWNER, SECRETS, STORE, boto3


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch({"owner": OWNER, **SECRETS}, [STORE]) as watch:
        yield watch
        boto3().kill()
    assert watch.saw(STORE, "versitygw")
    watch.verify()
