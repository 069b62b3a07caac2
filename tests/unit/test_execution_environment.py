"""The execution environment has what the lock file says, no more and no less."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import ROOT

SPEC = importlib.util.spec_from_file_location("generate_environment", ROOT / "awx/generate.py")
assert SPEC and SPEC.loader
generate: Any = importlib.util.module_from_spec(SPEC)
sys.modules["generate_environment"] = generate
SPEC.loader.exec_module(generate)

ENVIRONMENT = yaml.safe_load((ROOT / "awx/execution-environment.yml").read_text())
LOCKED = generate.read((ROOT / "requirements.lock").read_text())
LOCK = """\
# by hand
alpha==1.0 \\
    --hash=sha256:aa
    # via
    #   beta
    #   slipway (pyproject.toml:dev)
beta==2.0 ; python_version < '3.12' \\
    --hash=sha256:bb
    # via slipway (pyproject.toml)
gamma==3.0 \\
    --hash=sha256:cc
    # via delta
delta==4.0 \\
    --hash=sha256:dd
    # via slipway (pyproject.toml:dev)
"""


def test_what_the_controller_needs_is_followed_and_the_rest_left_out() -> None:
    assert [one.name for one in generate.needed(generate.read(LOCK))] == ["alpha", "beta"]
    text = generate.render(LOCK)
    assert "alpha==1.0 \\\n    --hash=sha256:aa\n" in text and "gamma" not in text and "via" not in text


def test_the_file_is_what_the_lock_says() -> None:
    program = [sys.executable, str(ROOT / "awx/generate.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    names = {one.name for one in generate.needed(LOCKED)}
    assert {"ansible", "ansible-core", "jinja2", "docker", "cryptography", "cffi"} <= names
    assert not {"pytest", "molecule", "ruff", "ansible-lint"} & names


def test_a_file_that_is_older_than_the_lock_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "requirements.txt").write_text("old")
    monkeypatch.setattr(generate, "TARGET", tmp_path / "requirements.txt")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1 and "run python awx/generate.py" in capsys.readouterr().out
    assert (tmp_path / "requirements.txt").read_text() == "old"


def test_what_is_installed_by_name_has_the_locks_version() -> None:
    newest = {one.name: one.version for one in LOCKED}  # of two, that for newer Pythons is the later
    for name in ("ansible_core", "ansible_runner"):
        package, version = ENVIRONMENT["dependencies"][name]["package_pip"].split("==")
        assert newest.get(package, version) == version, package


def test_the_collections_of_requirements_yml_are_those_that_the_package_brings() -> None:
    wanted = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    import ansible_collections  # noqa: PLC0415

    roots = [Path(path) for path in ansible_collections.__path__]
    for one in wanted:
        manifests = [root / one["name"].replace(".", "/") / "MANIFEST.json" for root in roots]
        found = [yaml.safe_load(path.read_text()) for path in manifests if path.exists()]
        assert found, one["name"]
        version = tuple(map(int, found[0]["collection_info"]["version"].split(".")[:3]))
        assert version >= tuple(map(int, one["version"].removeprefix(">=").split("."))), one["name"]


def test_the_archive_and_the_program_that_are_copied_are_ours() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    archive = f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"
    sources = [one["src"] for one in ENVIRONMENT["additional_build_files"]]
    assert sources == ["requirements.txt", f"../{archive}", "../ci/slipway_ci.py"]
    steps = " ".join(ENVIRONMENT["additional_build_steps"]["append_final"])
    for copied in re.findall(r"_build/(\S+)", steps):
        folder, _, name = copied.partition("/")
        assert {"dest": folder, "src": next(one for one in sources if one.endswith(name))} in ENVIRONMENT[
            "additional_build_files"
        ]
    assert "--require-hashes" in steps
