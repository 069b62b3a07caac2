"""Scenarios' inventories name what Slipway knows: a new role takes its prefix, and old names may begin with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.slipway.ops.plugins.module_utils.inventory.variable_names import describe, unknown_names
from ansible_collections.slipway.ops.plugins.plugin_utils import preflight
from playbook import ROOT

INVENTORIES = sorted(ROOT.glob("molecule/*/inventory.yml"))
LOADER = DataLoader()


def wrong_names(path: Path) -> set[str]:
    """As the first play of any playbook says them."""
    inventory = InventoryManager(LOADER, sources=[str(path)])
    variables = VariableManager(LOADER, inventory)
    known = preflight.known_names(LOADER)
    found = set()
    for host in inventory.get_hosts():
        own = variables.get_vars(host=host, include_hostvars=False)
        unknown = unknown_names(own, known, own.get("slipway_foreign_variables", []))
        found |= {describe(name, *owner_and_near) for name, owner_and_near in unknown.items()}
    return found


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: path.parent.name)
def test_every_name_is_known(path: Path) -> None:
    assert wrong_names(path) == set()


def test_one_that_is_not_is_said(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text("all: {hosts: {db1: {object_store_key: x, postgresql_version: 17}}}")
    (said,) = wrong_names(path)
    assert "object_store_key: Slipway knows no such variable of object_store" in said
