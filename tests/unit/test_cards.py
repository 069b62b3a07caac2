"""Cards of roles: what they say is complete, and whatever a role runs has a check."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import (
    Card,
    CardError,
    entries,
    read_card,
    serves,
    unit_checks,
)

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
MODULE_UTILS = ROOT / "plugins" / "module_utils"
TEMPLATE = re.compile(r"\{\{.*?\}\}|\{.*?\}")
# Modules that start or restart a unit, and where its name is.
STARTING = {
    "slipway.ops.etcd_member": MODULE_UTILS / "etcd/member.py",
    "slipway.ops.patroni_member": MODULE_UTILS / "engines/postgresql/patroni/member.py",
    "slipway.ops.pgbouncer_server": MODULE_UTILS / "engines/postgresql/pgbouncer/server.py",
    "slipway.ops.postgresql_server": MODULE_UTILS / "engines/postgresql/server.py",
}


def card_of(role: Path) -> Any:
    return read_card(role.name, yaml.safe_load((role / "meta" / "card.yml").read_text(encoding="utf-8")))


def test_a_card_needs_groups_and_knows_its_fields() -> None:
    with pytest.raises(CardError, match="the card of role shop needs groups"):
        read_card("shop", {"units": []})
    with pytest.raises(CardError, match="role shop has no field unit; did you mean units"):
        read_card("shop", {"groups": ["app"], "unit": []})


def test_a_card_serves_groups_hosts_and_everyone() -> None:
    card = read_card("shop", {"groups": ["app"]})
    assert serves(card, ["app", "edge"], {"all", "host1", "edge"})
    assert serves(card, ["all"], {"all", "host1"})
    assert not serves(card, ["app"], {"all", "host1", "edge"})
    with pytest.raises(CardError, match="groups of the card of role shop is 'app', not a list"):
        serves(card, "app", {"app"})


def test_entries_that_are_off_are_not_there() -> None:
    card = read_card("shop", {"groups": ["app"]})
    written = ["shop.service", {"name": "shop.timer", "when": False}, {"name": "shop.path", "when": True}]
    assert [entry["name"] for entry in entries(card, "units", written)] == ["shop.service", "shop.path"]
    assert entries(card, "ports", [{"when": ""}]) == []


def test_an_entry_that_lacks_something_is_named() -> None:
    card = read_card("shop", {"groups": ["app"]})
    with pytest.raises(CardError, match=r"ports of the card of role shop: .*api.* needs port"):
        entries(card, "ports", [{"name": "api"}])
    with pytest.raises(CardError, match="units of the card of role shop have no nmae; did you mean name"):
        entries(card, "units", [{"nmae": "shop.service"}])


def test_units_have_checks_by_their_names() -> None:
    units = [
        {"name": "postgresql@17-main.service"},
        {"name": "backup.timer", "area": "data"},
        {"name": "exporter.service", "id": "monitoring.shop.runs", "missing": "skip"},
        {"name": "clock.service", "check": "infrastructure.clock.runs"},
    ]
    assert [(check["id"], check["unit"], check.get("missing")) for check in unit_checks(units)] == [
        ("infrastructure.postgresql-17-main.runs", "postgresql@17-main.service", None),
        ("data.backup-timer.runs", "backup.timer", None),
        ("monitoring.shop.runs", "exporter.service", "skip"),
    ]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_whatever_a_role_starts_is_on_its_card(role: Path) -> None:
    own = units_on(card_of(role))
    assert {unit for unit in started_by_tasks(role) if not any(alike(unit, name) for name in own)} == set()
    # A role may restart another's, such as PostgreSQL for its archiving.
    every = {name for one in ROLES for name in units_on(card_of(one))}
    assert {unit for unit in started_by_modules(role) if not any(alike(unit, name) for name in every)} == set()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_another_check_of_a_unit_is_there(role: Path) -> None:
    path = role / "meta" / "checks.yml.j2"
    elsewhere = [entry["check"] for entry in card_of(role).units if isinstance(entry, dict) and "check" in entry]
    assert [check for check in elsewhere if f"id: {check}\n" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("role", "units"),
    [
        ("nginx", {"nginx.service"}),
        ("pgbouncer", {"pgbouncer.service"}),
        ("docker", {"docker.service", "slipway-docker-prune.timer"}),
        ("haproxy", {"haproxy.service", "slipway-haproxy-state.timer"}),
        ("pgbackrest", {"pgbackrest.service", "slipway-pgbackrest-certificate.path", "slipway-backup-full.timer"}),
    ],
)
def test_what_roles_start_is_seen(role: str, units: set[str]) -> None:
    found = started_by_tasks(ROOT / "roles" / role) | started_by_modules(ROOT / "roles" / role)
    assert {unit for unit in units if not any(alike(unit, name) for name in found)} == set()


def units_on(card: Card) -> set[str]:
    return {entry if isinstance(entry, str) else entry["name"] for entry in card.units}


def started_by_tasks(role: Path) -> set[str]:
    """The units that a role enables, and timers that a unit of its own wants."""
    wanted = [path.name.removesuffix(".j2") for path in (role / "templates").glob("*.timer.j2")]
    wanted = [name for name in wanted if "PartOf=" in (role / "templates" / f"{name}.j2").read_text(encoding="utf-8")]
    found = {f"{{{{ unit }}}}{name}" for name in wanted}
    for task in tasks_of(role):
        found |= {unit["name"] for unit in units_of(task, role) if unit.get("enabled", True)}
        unit = task.get("ansible.builtin.systemd_service") or {}
        if unit.get("enabled"):
            found |= {full(name) for name in names(str(unit["name"]), task)}
    return found


def units_of(task: dict[str, Any], role: Path) -> list[dict[str, Any]]:
    """What a task brings up: written there, or in lists of the role's own variables."""
    wanted = (task.get("slipway.ops.units") or {}).get("units", [])
    if isinstance(wanted, list):
        return wanted
    own = yaml.safe_load((role / "vars" / "main.yml").read_text(encoding="utf-8"))
    return [unit for name in re.findall(r"__\w+_units\b", wanted) for unit in own[name]]


def started_by_modules(role: Path) -> set[str]:
    used = {module for task in tasks_of(role) for module in STARTING.keys() & task.keys()}
    return {unit for module in used for unit in re.findall(r'"([a-z][^"/ ]*\.service)"', STARTING[module].read_text())}


def tasks_of(role: Path) -> list[dict[str, Any]]:
    def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        inner = [part for task in tasks for name in ("block", "rescue", "always") for part in task.get(name) or []]
        return tasks + (flat(inner) if inner else [])

    return flat([task for path in (role / "tasks").glob("*.yml") for task in yaml.safe_load(path.read_text()) or []])


def names(name: str, task: dict[str, Any]) -> list[str]:
    """What a task's ``name`` stands for: itself, or with each item of its loop."""
    loop = task.get("loop")
    if isinstance(loop, str):  # over a list among the task's own variables, or something that only a host knows
        loop = next((value for value in (task.get("vars") or {}).values() if isinstance(value, list)), None)
    items = [item["unit"] if isinstance(item, dict) else item for item in loop or []]
    return [re.sub(r"\{\{ item[^}]*\}\}", item, name) for item in items] or [name]


def full(unit: str) -> str:
    return (
        unit if re.search(r"[.](service|timer|path|socket|\}\})$", unit) or unit.endswith("}}") else f"{unit}.service"
    )


def alike(one: str, other: str) -> bool:
    """Whether two names can be of the same unit: what is a template in one may be anything in the other."""
    texts = [TEMPLATE.sub("x", name) for name in (one, other)]
    patterns = [".+".join(map(re.escape, TEMPLATE.split(name))) for name in (one, other)]
    return any(re.fullmatch(pattern, text) for pattern, text in zip(patterns, reversed(texts), strict=True))


def test_an_objective_has_one_home() -> None:
    """RTO, RPO and the age of a backup are limits of the inventory's roles, never of the policy as well."""
    policies = [yaml.safe_load(path.read_text()) for path in (ROOT / "roles").glob("*/meta/policy.yml")]
    limits = {entry["id"]: entry["limit"] for policy in policies for entry in policy if "limit" in entry}
    assert [id for id in limits if id.endswith((".rto", ".rto_at_size", ".rpo", ".age"))] == []
