"""Patterns of plays: whose hosts they are, and which of them have something switched on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.hosts import hosts_with, ours

ALL = {"all": ["a", "b", "c"]}


def test_a_group_of_ours_leaves_others_alone() -> None:
    assert ours(ALL) == "all"
    mixed = {"all": ["a", "b"], "slipway": ["b"]}
    assert ours(mixed) == "slipway"
    assert hosts_with(mixed, {"a": {"on": True}, "b": {"on": True}}, "on") == "b"


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        ({"a": True, "b": False}, "a"),
        ({"a": "false", "b": "yes", "c": 1}, "b,c"),  # as on a command line
        ({}, "!all"),
    ],
)
def test_a_switch_is_on_where_it_says_so(values: dict[str, Any], hosts: str) -> None:
    assert hosts_with(ALL, {host: {"on": value} for host, value in values.items()}, "on") == hosts


def test_what_is_no_switch_names_host_and_variable() -> None:
    with pytest.raises(AnsibleFilterError, match="firewall_enabled of b is neither true nor false"):
        hosts_with({"all": ["b"]}, {"b": {"firewall_enabled": "perhaps"}}, "firewall_enabled")
