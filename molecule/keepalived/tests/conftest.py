from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from playbook import play
from two_edges import APPS, CONTAINER, INVENTORY, MEASURED

VERSIONS = ("1.0.0", "2.0.0", "3.1.0")


@pytest.fixture(scope="session", autouse=True)
def released() -> None:
    """The images are on the app hosts, as if pulled, and the first version is live."""
    names = [f"slipway/sample-service:{version}" for version in VERSIONS]
    for app in APPS:
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as save:
            load = ["docker", "exec", "-i", f"{CONTAINER}{app}", "docker", "load", "--quiet"]
            subprocess.run(load, stdin=save.stdout, check=True)
    run = play("deploy", INVENTORY, service="sample", version="1.0.0", deploy_watch_seconds=4)
    assert run.code == 0, run.output


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, whether or not it passed."""
    terminalreporter.section("measured")
    for line in MEASURED:
        terminalreporter.write_line(line)
