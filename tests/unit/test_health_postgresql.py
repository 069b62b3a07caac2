from __future__ import annotations

from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.postgresql import Postgresql


@pytest.mark.parametrize(
    ("limit", "value", "verdict", "measured"),
    [
        ("= 20261129010102", Decimal(20261129010101), "fail", 20261129010101),
        ("= 9007199254740993", 9007199254740992, "fail", 9007199254740992),
        ("= 9007199254740993", Decimal("9007199254740993.0"), "pass", 9007199254740993),
        ("= 0.1", Decimal("0.10"), "pass", 0.1),
        ("< 5", Decimal("NaN"), "fail", "nan"),
        ("= 1.10", "1.1", "fail", "1.1"),
    ],
)
def test_what_a_query_gives_is_compared_to_the_last_digit(monkeypatch, limit, value, verdict, measured):
    (check,) = define([{"kind": "postgresql", "query": "SELECT 1", "limit": limit}], KINDS)
    assert isinstance(check, Postgresql)
    cursor = SimpleNamespace(execute=lambda query, values: None, description=True, fetchall=lambda: [(value,)])
    connection = SimpleNamespace(cursor=lambda: nullcontext(cursor), close=lambda: None)
    monkeypatch.setattr(type(check), "_connect", lambda self, database: connection)
    (finding,) = check._findings()
    assert (finding.verdict, finding.measured) == (verdict, measured)
