"""The archive that `ansible-galaxy collection build` makes installs elsewhere, and its playbooks run there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, text=True, capture_output=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory outside the checkout with the collection installed from its archive under ``collections/``."""
    place = tmp_path_factory.mktemp("elsewhere")
    built = run("ansible-galaxy", "collection", "build", "--output-path", str(place), cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (archive,) = place.glob("slipway-ops-*.tar.gz")
    arguments = ["--no-deps", "--offline", "-p", str(place / "collections"), str(archive)]
    installed = run("ansible-galaxy", "collection", "install", *arguments, cwd=place)
    assert installed.returncode == 0, installed.stderr
    return place


def test_every_playbook_resolves_by_its_full_name(elsewhere: Path) -> None:
    names = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
    assert "site" in names
    checked = run(
        *["ansible-playbook", "--syntax-check", "-i", "localhost,", *(f"slipway.ops.{name}" for name in names)],
        cwd=elsewhere,
        ANSIBLE_COLLECTIONS_PATH=str(elsewhere / "collections"),
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("playbook: ") == len(names)


def test_a_playbook_runs_there(elsewhere: Path) -> None:
    """`site` on a host that is in no group but `all` gets as far as naming the misspelt variable."""
    ran = run(
        *["ansible-playbook", "slipway.ops.site", "-i", "localhost,", "-c", "local", "-e", "nginx_porst=80"],
        *["-e", f"ansible_python_interpreter={sys.executable}"],  # the first play gathers facts
        cwd=elsewhere,
        ANSIBLE_COLLECTIONS_PATH=str(elsewhere / "collections"),
    )
    assert ran.returncode != 0
    assert "nginx_porst" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_the_archive_holds_no_leftovers(elsewhere: Path) -> None:
    (archive,) = elsewhere.glob("slipway-ops-*.tar.gz")
    with tarfile.open(archive) as packed:
        paths = [Path(name) for name in packed.getnames()]
    assert Path("roles/nginx/tasks/main.yml") in paths
    unwanted = {".git", ".venv", ".cache", "collections", "reports"}
    assert [path for path in paths if path.parts[0] in unwanted or "__pycache__" in path.parts] == []
