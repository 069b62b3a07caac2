"""Holds every role to its contract: argument specs and defaults say the same, and everything a role needs is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# The steps of a release are proven across hosts.
SCENARIOS = {
    "drill": "postgresql_backup",
    "deploy": "delivery",
    "etcd": "postgresql_ha",
    "nginx_exporter": "exporters",
    "patroni": "postgresql_ha",
    "pgbouncer_exporter": "pgbouncer",
    "redis_exporter": "exporters",
}
BLOCKS = ("block", "rescue", "always")
# Tasks of the last two find what a killed run left, and both programs answer a start that fails.
OWN_WAYS = ("baseline", "haproxy", "nginx")
SERVICE_MODULES = {f"ansible.builtin.{name}" for name in ("service", "systemd", "systemd_service")}
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()}


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_specs_and_defaults_have_the_same_values(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml") or {}
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert defaults == specified


def test_public_names_carry_the_role(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ["haproxy", "keepalived"])
def test_edges_are_not_restarted_all_at_once(role: str) -> None:
    """Nobody would be there for a moment: a restart is one edge's, while the others serve."""
    modules = ("slipway.ops.units", "ansible.builtin.systemd_service")
    found = [
        task
        for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
        for outer in load(path)
        for task in (outer.get("block") or [outer])
        if any(module in task for module in modules)
    ]
    assert found and [task["name"] for task in found if "throttle" not in task] == []


def test_every_option_is_typed_and_described(role: Path) -> None:
    def gaps(entries: dict[str, dict[str, Any]], prefix: str = "") -> list[str]:
        found = []
        for name, option in entries.items():
            if not option.get("type") or not option.get("description"):
                found.append(prefix + name)
            found += gaps(option.get("options") or {}, f"{prefix}{name}.")
        return found

    assert gaps(options(role)) == []


def test_the_first_task_refuses_what_cannot_be_meant(role: Path) -> None:
    tasks = load(role / "tasks" / "main.yml")
    if tasks[0].get("ansible.builtin.import_tasks") == "preflight.yml":
        tasks = load(role / "tasks" / "preflight.yml")
    first = next(task for task in tasks if "ansible.builtin.setup" not in task)
    assert first["slipway.ops.known_variables"] == {"role": role.name}


def test_what_a_role_refuses_of_an_inventory_has_a_sentence(role: Path) -> None:
    preflight = load(role / "meta" / "preflight.yml")
    assert set(preflight) <= {"roles", "refuse", "elsewhere"}
    for entry in preflight.get("refuse", []) + preflight.get("elsewhere", []):
        assert set(entry) in ({"problems"}, {"that", "fail_msg"}, {"that", "fail_msg", "when"})


def test_what_a_role_always_does_is_imported(role: Path) -> None:
    """Each include is a line of every run's log, also of one that changes nothing."""
    tasks = [task for path in (role / "tasks").glob("*.yml") for task in load(path) or []]
    always = [
        task["name"] for task in tasks if "ansible.builtin.include_tasks" in task and not {"when", "loop"} & set(task)
    ]
    assert always == []


def test_a_scenario_asserts_its_behaviour(role: Path) -> None:
    scenario = ROOT / "molecule" / SCENARIOS.get(role.name, role.name)
    tests = "".join(path.read_text() for path in (scenario / "tests").glob("test_*.py"))
    assert "assert " in tests


def test_the_test_bed_has_what_every_host_gets() -> None:
    """A converge needs no network, which a host with IPv6 only may not have."""
    images = ROOT / "testbed" / "images" / "host"
    there = set((images / "packages.list").read_text().split()) | set((images / "Dockerfile").read_text().split())
    baseline = load(ROOT / "roles" / "baseline" / "defaults" / "main.yml")
    wanted = {*baseline["baseline_packages"], baseline["baseline_time_service"], "locales", "unattended-upgrades"}
    assert wanted <= there


def test_units_are_brought_up_by_what_sees_that_they_stay_up(role: Path) -> None:
    """Handlers are lost with a run that is killed, and what looks no further than the start calls a crash loop ok."""

    def tasks(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nested = [task for entry in entries for block in BLOCKS for task in tasks(entry.get(block) or [])]
        return [*entries, *nested]

    if role.name in OWN_WAYS:
        pytest.skip("sees to it by itself")
    files = [*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")]
    found = [
        f"{path.relative_to(ROOT)}: {task['name']}"
        for path in files
        for task in tasks(load(path) or [])
        if SERVICE_MODULES & task.keys()
    ]
    assert found == []
