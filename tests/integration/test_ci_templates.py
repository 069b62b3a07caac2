"""The pipelines' templates through their systems' own linters and schemas. actionlint is built with Go, once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playbook import ROOT

VERSION = "v1.7.12"
TOOLS = ROOT / ".cache/tools"
SCHEMAS = {
    "github": ["--builtin-schema", "vendor.github-workflows"],
    "gitlab": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


@pytest.fixture(scope="session")
def actionlint() -> Path:
    if not shutil.which("go"):
        pytest.skip("actionlint is built with Go, which is not here")
    place = TOOLS / f"actionlint-{VERSION}"
    if not (place / "actionlint").exists():
        argv = ["go", "install", f"github.com/rhysd/actionlint/cmd/actionlint@{VERSION}"]
        done = subprocess.run(argv, env=os.environ | {"GOBIN": str(place)}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return place / "actionlint"


def complaints(actionlint: Path, repository: Path, **changes: str) -> str:
    """What actionlint says of the workflows in a repository that has them, with texts in place of others."""
    place = repository / ".github/workflows"
    place.mkdir(parents=True)
    (repository / ".git").mkdir()
    for path in (ROOT / "ci/github").glob("*.yml"):
        text = path.read_text()
        for former, new in changes.items():
            text = text.replace(former, new)
        (place / path.name).write_text(text)
    done = subprocess.run([actionlint], cwd=repository, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stdout), done.stderr
    return done.stdout + done.stderr


def test_actionlint_has_nothing_to_complain_of(actionlint: Path, tmp_path: Path) -> None:
    assert complaints(actionlint, tmp_path) == ""


@pytest.mark.parametrize(
    ("former", "new", "said"),
    [
        ("inputs.high", "inputs.hihg", "hihg"),
        ("secrets.vault_password", "secrets.vault_pasword", "vault_pasword"),
        ("needs: smoke", "needs: smokee", "smokee"),
        ("service: shop", "servce: shop", "servce"),
    ],
)
def test_actionlint_sees_what_is_wrong(actionlint: Path, tmp_path: Path, former: str, new: str, said: str) -> None:
    assert said in complaints(actionlint, tmp_path, **{former: new})


def conforms(system: str, *paths: Path) -> str:
    argv = ["check-jsonschema", *SCHEMAS[system], *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("system", SCHEMAS)
def test_templates_keep_their_systems_schema(system: str, tmp_path: Path) -> None:
    paths = sorted((ROOT / "ci" / system).glob("*.yml"))
    assert paths and conforms(system, *paths) == ""
    broken = tmp_path / "broken.yml"
    text = (ROOT / "ci" / system / "slipway.yml").read_text()
    broken.write_text(
        text.replace("timeout-minutes: 60", "timeout-minutes: long").replace("when: manual", "when: sometime")
    )
    assert conforms(system, broken) != ""
