from __future__ import annotations

import os
from pathlib import Path

import pytest
from playbook import ROOT, play

INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"


@pytest.fixture(scope="session")
def released() -> None:
    """Two releases, so that both colours run and one of them is live."""
    published = play("publish", INVENTORY, "--extra-vars", f"@{ROOT}/inventories/demo/images.yml")
    assert published.code == 0, published.output
    for version in ("1.0.0", "2.0.0"):
        run = play("deploy", INVENTORY, service="sample", version=version)
        assert run.code == 0, run.output
