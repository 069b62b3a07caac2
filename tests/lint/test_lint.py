"""Each linter is a test, so that one that complains keeps no other part of the suite from running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTERS = {
    "ansible-lint": ["ansible-lint", "--offline", "--strict", "-q"],  # the slowest first
    "mypy": ["mypy"],
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "yamllint": ["yamllint", "--strict", "."],
    "role documentation": ["python", "docs/generate.py", "--check"],
    "changelog": ["antsibull-changelog", "lint"],
}


@pytest.mark.parametrize("linter", LINTERS)
def test_nothing_to_complain_of(linter: str) -> None:
    done = subprocess.run(LINTERS[linter], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(LINTERS[linter])}:\n{(done.stdout + done.stderr)[-8000:]}"
