from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.plugin_utils.variable_types import type_problems

SERVICE = {
    "name": {"type": "str", "required": True},
    "port": {"type": "int"},
    "strategy": {"type": "str", "choices": ["blue_green", "rolling"]},
    "environment": {"type": "dict"},
    "health": {"type": "dict", "options": {"path": {"type": "str"}, "retries": {"type": "int"}}},
}
SERVICES = {"type": "list", "elements": "dict", "options": SERVICE}


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (SERVICES, "text", "v is 'text', wanted is a list of mappings"),
        (SERVICES, {"name": "a"}, "v is a mapping, wanted is a list of mappings"),
        (SERVICES, ["a"], "v[0] is 'a', wanted is a mapping"),
        (SERVICES, [{"port": 1}], "v[0].name is missing, wanted is text"),
        (SERVICES, [{"name": "a", "port": "eighty"}], "v[0].port is 'eighty', wanted is a whole number"),
        (SERVICES, [{"name": "a", "prot": 80}], "v[0].prot is no option, did you mean port?"),
        (
            SERVICES,
            [{"name": "a", "strategy": "blue"}],
            "v[0].strategy is 'blue', wanted is one of blue_green, rolling",
        ),
        (SERVICES, [{"name": "a"}, {"name": ["b"]}], "v[1].name is a list, wanted is text"),
        (SERVICES, [{"name": "a", "health": {"retries": "x"}}], "v[0].health.retries is 'x', wanted is a whole number"),
        ({"type": "bool"}, "perhaps", "v is 'perhaps', wanted is true or false"),
        ({"type": "list", "elements": "int"}, [1, "b"], "v[1] is 'b', wanted is a whole number"),
        ({"type": "str"}, {"a": 1}, "v is a mapping, wanted is text"),
        ({"type": "int", "no_log": True}, "hunter2", "v is another value, wanted is a whole number"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_place_value_and_wish(option: dict[str, Any], value: Any, told: str) -> None:
    assert list(type_problems("v", option, value)) == [told]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (SERVICES, []),
        (SERVICES, [{"name": "a", "port": "80", "environment": {"ANY": 1}, "health": {"retries": 3}}]),
        (SERVICES, [{"name": "a", "health": None}]),
        ({"type": "list", "elements": "str"}, "a,b"),
        ({"type": "bool"}, "yes"),
        ({"type": "raw"}, {"any": ["thing"]}),
        ({"type": "str"}, 17),
        ({"type": "dict"}, {}),
    ],
)
def test_what_ansible_takes_is_right(option: dict[str, Any], value: Any) -> None:
    assert list(type_problems("v", option, value)) == []


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in "".join(type_problems("v.password", {"type": "bool"}, "hunter2"))


def test_a_long_value_is_cut() -> None:
    (told,) = type_problems("v", {"type": "int"}, "x" * 500)
    assert len(told) < 100
