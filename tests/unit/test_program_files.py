"""What a role installs for its program is all that it imports, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible_collections.slipway.ops.plugins.plugin_utils.program import PACKAGE, closure

ROOT = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


def found(*modules: str, target: str = "/opt") -> list[dict[str, str]]:
    return lookup_loader.get("slipway.ops.program_files").run(list(modules), target=target)


def test_what_is_imported_is_found_through_packages_and_names(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text(f"from {PACKAGE}.base import thing\n")
    (tmp_path / "shop/program.py").write_text(f"import json\nfrom {PACKAGE}.shop import till\nfrom ansible import x\n")
    (tmp_path / "shop/till.py").write_text(f"def later():\n    from {PACKAGE} import loop\n")
    (tmp_path / "base.py").write_text("thing = 1\n")
    (tmp_path / "loop.py").write_text(f"from {PACKAGE}.shop import till\n")
    (tmp_path / "other.py").write_text("")
    assert list(map(str, closure(tmp_path, ["shop.program"]))) == [
        "base.py",
        "loop.py",
        "shop/__init__.py",
        "shop/program.py",
        "shop/till.py",
    ]


def install(target: Path) -> None:
    """What a role has on its host."""
    for file in found("data.program", "data.drill.program", "engines.postgresql.engine", target=str(target)):
        path = Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Path(file["src"]).read_text() if "src" in file else file["content"])


def run(target: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-S", "-m", f"{PACKAGE}.{program}", *words]
    return subprocess.run(argv, env={"PYTHONPATH": str(target)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", ["data.program", "data.drill.program"])
def test_a_program_runs_from_what_is_installed_of_it_alone(tmp_path: Path, program: str) -> None:
    install(tmp_path)
    ran = run(tmp_path, program, "--help")
    assert ran.returncode == 0 and "usage: slipway-" in ran.stdout, ran.stderr


def test_engines_of_several_roles_share_a_host_and_its_commands(tmp_path: Path) -> None:
    by_role = [
        {file["path"]: file for file in lookup_loader.get("slipway.ops.engine_files").run([f"engines.{name}.engine"])}
        for name in ("postgresql", "mongodb")
    ]
    shared = by_role[0].keys() & by_role[1].keys()
    assert {"/usr/local/sbin/slipway-backup", "/usr/local/sbin/slipway-drill"} <= shared
    assert [path for path in shared if by_role[0][path] != by_role[1][path]] == []
    for file in (by_role[0] | by_role[1]).values():
        path = tmp_path / file["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Path(file["src"]).read_text() if "src" in file else file["content"])
    for name in ("postgresql", "mongodb"):
        (tmp_path / f"{name}.json").write_text("{}")
    launcher = (tmp_path / "usr/local/sbin/slipway-backup").read_text()
    place = next(word.partition("=")[2] for word in launcher.split() if word.startswith("PYTHONPATH="))
    told = run(tmp_path / place.lstrip("/"), "data.program", "status", f"--configuration={tmp_path}", "--spool=/none")
    assert told.returncode == 0, told.stderr
    assert "fail  mongodb mongodb" in told.stdout and "fail  postgresql postgresql" in told.stdout


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(AnsibleError, match=r"there is no module engines\.postgresq\.program"):
        found("engines.postgresq.program")
