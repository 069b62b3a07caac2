"""On a host that has IPv6 alone the roles of databases write its address as their programs read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLES = Path(__file__).resolve().parents[2] / "roles"


def rendered(role: str, expression: str, **variables: Any) -> Any:
    """What a role makes of variables, on a host whose facts have no IPv4."""
    loader = DataLoader()
    known: dict[str, Any] = {"inventory_hostname": "db1", "groups": {}, "ansible_play_hosts_all": ["db1"]}
    for name in ("postgresql", role):
        for part in ("defaults", "vars"):
            known |= loader.load_from_file(str(ROLES / name / part / "main.yml"), trusted_as_template=True) or {}
    known |= {"ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "fd00::5"}}} | variables
    return Templar(loader=loader, variables=known).template(known[expression])


@pytest.mark.parametrize(
    ("role", "expression", "key", "value"),
    [
        ("etcd", "__etcd_all_settings", "listen-client-urls", "https://[fd00::5]:2379"),
        ("etcd", "__etcd_all_settings", "listen-peer-urls", "https://[fd00::5]:2380"),
        ("etcd", "__etcd_all_settings", "initial-cluster", "db1=https://db1:2380,fd00::6=https://[fd00::6]:2380"),
        ("patroni", "__patroni_member", "restapi", "[fd00::5]:8008"),
    ],
)
def test_an_address_without_ipv4(role: str, expression: str, key: str, value: str) -> None:
    given = {"etcd_members": ["db1", "fd00::6"], "__patroni_dynamic": {}, "__patroni_postgresql": {}}
    found = rendered(role, expression, **given)[key]
    assert (found["listen"] if role == "patroni" else found) == value
