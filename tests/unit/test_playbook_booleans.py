"""What ``-e NAME=false`` gives a playbook is text: it means what it says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from playbook import ROOT


def rendered(playbook: str, name: str, **variables: Any) -> Any:
    """A variable of a playbook's plays, as it is with these."""
    plays = DataLoader().load_from_file(str(ROOT / f"playbooks/{playbook}.yml"), trusted_as_template=True)
    known = {key: value for play in plays for key, value in (play.get("vars") or {}).items()} | variables
    return Templar(loader=DataLoader(), variables=known).template(known[name])


SAID = [("false", False), (False, False), ("no", False), ("true", True), (True, True)]


@pytest.mark.parametrize("playbook", ["readiness", "status"])
@pytest.mark.parametrize(("said", "wanted"), SAID)
def test_measures_are_wanted_only_when_that_was_said(playbook: str, said: str | bool, wanted: bool) -> None:
    groups = {"all": ["edge1"], "edge": ["edge1"], "haproxy": ["edge1"]}
    host = {"inventory_hostname": "edge1", "groups": groups, "hostvars": {"edge1": {}}}
    assert bool(rendered(playbook, f"__{playbook}_kpi", readiness_kpi=said, **host)) == wanted


@pytest.mark.parametrize(("said", "wanted"), SAID)
def test_an_attack_expects_bans_only_where_they_were_asked_for(said: str | bool, wanted: bool) -> None:
    assert rendered("attack", "__attack_bans", fail2ban_enabled=said) == wanted
    assert rendered("attack", "__attack_bans", fail2ban_enabled=True, fail2ban_edge=said) == wanted


@pytest.mark.parametrize(
    ("said", "poolers", "paused"),
    [
        ("false", [], []),
        ("no", [], []),
        ("Off", [], []),
        (False, [], []),
        ("true", ["pool1"], []),
        (True, ["pool1"], []),
        ("shop", ["pool1"], ["shop"]),
        (["shop", "mail"], ["pool1"], ["shop", "mail"]),
        ([], [], []),
        ("", [], []),
    ],
)
def test_clients_wait_for_a_switchover_only_when_that_was_said(
    said: Any, poolers: list[str], paused: list[str]
) -> None:
    given = {"switchover_pause": said, "groups": {"pgbouncer": ["pool1"], "patroni": []}}
    assert rendered("switchover", "__switch_poolers", **given) == poolers
    assert rendered("switchover", "__switch_paused", **given) == paused
