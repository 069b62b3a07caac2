from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_eyes import APPS, container, on

VERSIONS = ("1.0.0", "2.0.0", "3.0.0", "3.1.0", "3.3.0")


@pytest.fixture(autouse=True)
def images() -> None:
    """The releases are on the app hosts, as if pulled: this scenario has no registry. Releases remove old images."""
    names = [f"slipway/sample-service:{version}" for version in VERSIONS]
    for app in APPS:
        if len(on(app, "docker", "images", "-q", "slipway/sample-service").splitlines()) >= len(names):
            continue
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "exec", "-i", container(app), "docker", "load", "--quiet"], stdin=save.stdout, check=True
            )
