from __future__ import annotations

import sys
from pathlib import Path

import pytest
from secret_watch import SecretWatch

sys.path.insert(0, str(Path(__file__).parent))

from three_hosts import CONTAINER, MEASURED, MEMBERS

# Of the inventory. The writer's own password is on the writer's command line.
SECRETS = {"replication": "copies-in-this-scenario", "cipher_pass": "only-for-this-scenario-not-a-secret-8kQd"}
PLACES = ("/var/log", "/tmp", "/var/lib/slipway/results", "/var/lib/slipway/evidence")


@pytest.fixture(scope="session", autouse=True)
def watch():
    """Looks for the secrets where they must not be, as long as there are tests, and fails after the last."""
    with SecretWatch(SECRETS, [CONTAINER + host for host in (*MEMBERS, "proxy1")], PLACES) as watch:
        yield watch
    assert all(watch.saw(CONTAINER + member, "patroni") for member in MEMBERS)
    watch.verify()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, whether or not it passed."""
    terminalreporter.section("measured")
    for line in MEASURED:
        terminalreporter.write_line(line)
