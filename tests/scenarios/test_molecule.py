"""Every directory under molecule/ is one test: the whole sequence of its scenario, its log under .cache/molecule/."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache" / "molecule"
TIMEOUT = 45 * 60
FIRST_FAILURE = re.compile(r"^=+ FAILURES =+$\n(_{3,} .*?)(?=^_{3,} |^={3,} |\Z)", re.MULTILINE | re.DOTALL)  # pytest's


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def story(log: Path, lines: int = 80) -> str:
    """What the first test says that failed, for later ones may follow from it, and the end of the log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    first = FIRST_FAILURE.search(text)
    parts = [*(first[1].splitlines()[-lines:] if first else []), "...", *text.splitlines()[-lines:]]
    return "\n".join(parts)


@pytest.mark.parametrize("scenario", scenarios())
def test_scenario(scenario: str) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{scenario}.log"
    plain = {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "MOLECULE_COMMAND_BORDERS": "0"}
    with log.open("w", encoding="utf-8") as output:
        try:
            run = subprocess.run(
                ["molecule", "test", "--scenario-name", scenario],
                cwd=ROOT,
                env={**os.environ, **plain},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"scenario {scenario} took over {TIMEOUT} s ({log}):\n{story(log)}")
    assert run.returncode == 0, f"scenario {scenario} failed ({log}):\n{story(log)}"
