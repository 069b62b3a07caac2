from __future__ import annotations

import pytest
from secret_watch import SecretWatch

# What the inventory's passwords begin with: what follows may be quoted in many ways. A test rotates one to the last.
PASSWORDS = [f"{what}-in-this-scenario" for what in ("migrates", "writes", "reads", "copies", "rotates")]


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the passwords where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch(
        {password.split("-")[0]: password for password in PASSWORDS}, [f"slipway-postgresql-db{n}" for n in (1, 2)]
    ) as watch:
        yield watch
    watch.verify()
