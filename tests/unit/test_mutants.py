"""What is changed of an alert, one thing at a time."""

from __future__ import annotations

import pytest
from mutants import mutants, naming


def changes(expr: str, **more: str) -> list[str]:
    rule = {"alert": "A", "expr": expr, **more}
    return [str(one) for one in mutants({"groups": [{"name": "g", "rules": [rule]}]})]


def test_a_threshold_is_moved_both_ways_and_its_comparison_turned() -> None:
    assert changes("x > 90", **{"for": "5m"}) == [
        "A: expr is x > 94.5",
        "A: expr is x > 85.5",
        "A: expr is x < 90",
        "A: for is 0s",
        "A: for is 600s",
    ]


def test_what_fires_at_once_is_made_to_wait_and_zero_is_moved_by_one() -> None:
    assert changes("x == 0") == ["A: expr is x == 1.0", "A: expr is x == -1.0", "A: expr is x != 0", "A: for is 1m"]


@pytest.mark.parametrize(
    "expr", ['x{le="0.5", code=~"5.."} ', "rate(x[5m])", "predict_linear(x[6h], 24 * 3600)", "(1 - a / b) * 100"]
)
def test_what_is_no_threshold_is_left(expr: str) -> None:
    assert changes(expr) == ["A: for is 1m"]


def test_every_threshold_of_an_expression_is_moved() -> None:
    found = changes("a / b > 0.5 and time() - c > 24 * 3600")
    assert "A: expr is a / b > 0.525 and time() - c > 24 * 3600" in found
    assert "A: expr is a / b > 0.5 and time() - c > 25.2 * 3600" in found
    assert len(found) == 2 * 3 + 1


def test_a_mutant_changes_nothing_but_its_own() -> None:
    rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "x > 1"}, {"alert": "B", "expr": "y > 2"}]}]}
    for one in mutants(rules):
        pairs = zip(one.rules["groups"][0]["rules"], rules["groups"][0]["rules"], strict=True)
        assert [after["alert"] for after, before in pairs if after != before] == [one.alert]
    assert rules["groups"][0]["rules"][0] == {"alert": "A", "expr": "x > 1"}


def test_the_tests_of_an_alert_are_those_in_which_it_fires() -> None:
    fires = {"promql_expr_test": [{"exp_samples": [{"labels": '{alertname="Full", severity="critical"}'}]}]}
    other = {"promql_expr_test": [{"exp_samples": [{"labels": '{alertname="FullSoon", severity="critical"}'}]}]}
    assert naming({"rule_files": ["a"], "tests": [fires, other]}, "Full") == {"rule_files": ["a"], "tests": [fires]}
