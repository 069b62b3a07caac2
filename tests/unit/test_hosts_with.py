"""Which hosts a switch of the inventory is on for: a play's pattern."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.hosts_with import FilterModule

HOSTS = ["a", "b", "c"]
hosts_with = FilterModule().filters()["hosts_with"]


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        ({"a": True, "b": False}, "a"),
        ({"a": "false", "b": "yes", "c": 1}, "b,c"),  # as on a command line
        ({}, "!all"),
    ],
)
def test_a_switch_is_on_where_it_says_so(values: dict[str, Any], hosts: str) -> None:
    assert hosts_with(HOSTS, {host: {"on": values[host]} if host in values else {} for host in HOSTS}, "on") == hosts


def test_what_is_no_switch_names_host_and_variable() -> None:
    with pytest.raises(AnsibleFilterError, match="firewall_enabled of b is neither true nor false"):
        hosts_with(["b"], {"b": {"firewall_enabled": "perhaps"}}, "firewall_enabled")
