"""Checks of the roles can fail, and remember."""

from __future__ import annotations

from pathlib import Path

import pytest
from playbook import ROOT

CHECKS = sorted(ROOT.glob("roles/*/meta/checks.yml.j2"))


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.parts[-3])
def test_no_check_takes_a_unit_that_does_not_run_for_one_that_ended_well(path: Path) -> None:
    """A unit that failed is inactive after a reboot, and so is one that never ran: who ran it keeps the result."""
    assert "inactive" not in path.read_text()
