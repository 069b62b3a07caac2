"""The limits of the reference systems are of measures that the roles of their groups have."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import read_card, serves
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.kpis import requirements
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import limited, read_measures

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("system", ["modelops", "mentoring", "receipts"])
def test_each_limit_is_of_a_measure_and_asked_by_readiness(system: str) -> None:
    place = ROOT / "inventories" / system
    groups = {"all", *yaml.safe_load((place / "hosts.yml").read_text())["all"]["children"]}
    limits = yaml.safe_load((place / "group_vars" / "all" / "main.yml").read_text())["report_limits"]
    measures = []
    for path in ROOT.glob("roles/*/meta/measures.yml"):
        card = read_card(path.parents[1].name, yaml.safe_load(path.with_name("card.yml").read_text()))
        if serves(card, card.groups, groups):
            measures += read_measures(card.role, yaml.safe_load(path.read_text()))
    asked = {one["id"].rpartition(".")[2] for one in requirements(limited(measures, limits))}
    assert limits.keys() <= asked
