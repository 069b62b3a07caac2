"""An engine is its own directory, in which programs find it; and no floor of module_utils imports a higher one."""

from __future__ import annotations

import graphlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import names as engines
from ansible_collections.slipway.ops.plugins.plugin_utils.program import PACKAGE, closure, files, imports

ROOT = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
FLOORS = (
    {"core", "host", "net"},
    {"evidence", "certificates", "config_tree", "inventory", "logs", "monitoring"},
    {"service", "edge", "data", "traffic", "etcd", "readiness", "jobs", "scan"},
    {"release", "engines", "awx"},
    {"health", "swarm"},
)
STORE = """
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Report
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result


def back_up(kind, settings, only, tell):
    tell(f"{kind} of {settings['name']}")
    verdict = settings.get("verdict", "pass")
    return [Result(f"data.backup.{kind}", "data", settings["name"], "A backup succeeds", verdict, reason="it is known")]


def statuses(settings, now):
    at = "2026-11-29T00:00:00.000Z"
    return [Status("store", settings["name"], last_success=at, kind="full", age=60.0, backups=1)]


def drill(settings, run, tell):
    return Report("store", settings["name"], run, "2026-11-29T00:00:00.000Z", rto=2.0, rpo=1.0)


def sweep(settings):
    print("swept")
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """One with what PostgreSQL's role installs, and an engine that nobody here knows beside it."""
    for file in files(ROOT, ["data.program", "data.drill.program", "engines.postgresql.engine"], str(tmp_path / "lib")):
        path = Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Path(file["src"]).read_text() if "src" in file else file["content"])
    engine = tmp_path / "lib" / Path(*PACKAGE.split(".")) / "engines" / "store"
    engine.mkdir()
    (engine / "__init__.py").touch()
    (engine / "engine.py").write_text(STORE)
    for place in ("backup", "drill"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "store.json").write_text(json.dumps({"name": "things", "spool": str(tmp_path / "spool")}))
    return tmp_path


def python(host: Path, code: str) -> subprocess.CompletedProcess[str]:
    argv, env = [sys.executable, "-S", "-c", code], {"PYTHONPATH": str(host / "lib")}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def backup(host: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [*words, f"--configuration={host}/backup", f"--spool={host}/spool", f"--runtime={host}/run"]
    return python(host, f"import sys; from {PACKAGE}.data.program import main; sys.exit(main({argv!r}))")


def test_backups_of_an_engine_are_made_and_told_because_it_has_a_directory(host: Path) -> None:
    (host / "backup" / "unknown.json").write_text("{")
    made = backup(host, "full")
    assert (made.returncode, made.stdout) == (0, "full of things\n"), made.stderr
    diary = [json.loads(line) for line in (host / "run" / "full.jsonl").read_text().splitlines()]
    assert [result["id"] for result in diary[-1]["results"]] == ["data.backup.full"]
    assert "pass  store things" in backup(host, "status").stdout
    (state,) = json.loads(backup(host, "status", "--json", "--engine=store").stdout)
    assert (state["engine"], state["name"], state["verdict"]) == ("store", "things", "pass")


def test_an_engine_that_fails_keeps_no_other_from_its_backups(host: Path) -> None:
    (host / "backup" / "postgresql.json").write_text("{}")
    made = backup(host, "incr")
    assert made.returncode == 1 and "incr of things" in made.stdout
    told = backup(host, "status").stdout
    assert "pass  store things" in told and "its configuration lacks 'user'; run the engine's role again" in told
    (host / "backup" / "store.json").write_text(json.dumps({"name": "things", "verdict": "fail"}))
    recorded = backup(host, "incr", "--engine=store")
    assert recorded.returncode == 3, recorded.stderr
    assert backup(host, "incr").returncode == 1, "a failure that is recorded hides none that is not"
    stranger = backup(host, "incr", "--engine=oracle")
    assert stranger.returncode == 1 and "this host makes no backups of oracle" in stranger.stderr


def test_an_engine_that_lacks_what_it_imports_names_itself_and_stops_no_other(host: Path) -> None:
    place = host / "lib" / Path(*PACKAGE.split(".")) / "engines" / "former"
    place.mkdir()
    (place / "engine.py").write_text(f"from {PACKAGE}.data.status import what_is_no_more\n")
    (host / "backup" / "former.json").write_text("{}")
    told = backup(host, "status").stdout
    wrapped = " ".join(told.split())
    assert "pass store things" in wrapped and "run the engine's role again" in wrapped and "what_is_no_more" in wrapped


def test_drills_of_an_engine_are_made_because_it_has_a_directory(host: Path) -> None:
    argv = ["store", f"--configuration={host}/drill", f"--runtime={host}/run"]
    as_root = f"import os, sys; os.geteuid = lambda: 0; from {PACKAGE}.data.drill import program"
    ran = python(host, f"{as_root}; program.REPORTS = {str(host)!r}; sys.exit(program.main({argv!r}))")
    assert ran.returncode == 0 and "The drill of store things passed" in ran.stdout, ran.stderr
    assert json.loads((host / "store.json").read_text())["rto"] == 2.0
    ids = {result["id"] for file in (host / "spool").glob("*.json*") for result in _results(file)}
    assert {"data.drill.store.result", "data.drill.store.rto", "data.drill.store.rpo"} <= ids
    assert python(host, f"{as_root}; program.main({[*argv, '--clean']!r})").stdout == "swept\n"


def _results(file: Path) -> list[dict[str, str]]:
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return [result for entry in entries for result in (entry if isinstance(entry, list) else [entry]) if "id" in result]


MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def floor(part: str) -> int | None:
    return next((number for number, parts in enumerate(FLOORS) if part in parts), None)


def test_no_floor_imports_a_higher_one() -> None:
    wrong = [
        f"{path} imports {imported}"
        for path in MODULES
        if (own := floor(path.parts[0])) is not None
        for imported in imports(ROOT / path)
        if (other := floor(imported.split(".")[0])) is not None and other > own
    ]
    assert wrong == []


def test_no_engine_imports_another() -> None:
    wrong = [
        f"{path} imports {imported}"
        for path in MODULES
        if path.parts[0] == "engines" and len(path.parts) > 2
        for imported in imports(ROOT / path)
        if imported.startswith("engines.") and imported.split(".")[1] != path.parts[1]
    ]
    assert wrong == []


def test_what_is_new_has_a_floor() -> None:
    assert {path.with_suffix("").parts[0] for path in MODULES} == {part for parts in FLOORS for part in parts}


def test_the_page_for_newcomers_has_the_same_floors() -> None:
    page = (ROOT.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [re.sub(r"\([^)]*\)", "", row) for row in re.findall(r"^\| \d \| (.*) \|$", page, re.M)]
    assert [{name.split("/")[0] for name in re.findall(r"`([^`]+)`", row)} for row in rows] == list(FLOORS)


def test_imports_on_the_floors_go_in_no_circle() -> None:
    def needed(path: Path) -> set[Path]:
        return {one for name in imports(ROOT / path) for one in closure_of_one(name)} - {path}

    def closure_of_one(module: str) -> list[Path]:
        plain = Path(*module.split("."))
        return [one for one in (plain.with_suffix(".py"), plain / "__init__.py") if (ROOT / one).is_file()]

    on_floors = [path for path in MODULES if floor(path.parts[0]) is not None]
    graphlib.TopologicalSorter({path: needed(path) for path in on_floors}).prepare()


def test_who_asks_for_the_state_of_backups_needs_no_engine() -> None:
    assert [path for path in closure(ROOT, ["data.ask"]) if path.parts[0] == "engines"] == []


ROLES = ROOT.parents[1] / "roles"


def yaml_of(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.mark.parametrize("engine", engines())
def test_readiness_asks_the_same_of_every_engine(engine: str) -> None:
    """Whichever of its roles says so; ids are those that backups, drills and checks leave."""
    own = [card.parents[1] for card in ROLES.glob("*/meta/card.yml") if yaml_of(card).get("engine") == engine]
    roles = own if engine != "postgresql" else [*own, ROLES / "pgbackrest", ROLES / "drill"]
    asked = {one["id"]: one for role in roles for one in yaml_of(role / "meta/policy.yml") or []}
    wanted = {f"data.drill.{engine}.{word}" for word in ("result", "rows", "rto", "rpo")}
    wanted |= {"data.backup.verified", "data.backup.age"}
    assert wanted - asked.keys() == set()
    assert {asked[id]["tier"] for id in wanted} == {1}
