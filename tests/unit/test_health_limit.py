from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.limit import LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import within


@pytest.mark.parametrize(
    ("text", "value", "unit", "kept"),
    [
        ("< 500 ms", 499, "ms", True),
        ("< 500 ms", 0.5, "s", False),
        ("<500ms", 0.499, "s", True),
        (">= 30 d", 30 * 86400, "s", True),
        (">= 30 d", 29.9, "d", False),
        ("= 200", 200, "", True),
        ("== 200", 404, "", False),
        ("!= 500", 200, "1", True),
        ("> 99.9 %", 0.9995, "1", True),
        ("> 5 GiB", 5_000_000_000, "By", False),
        (">= 1000 1/s", 60_000, "1/min", True),
        ("= running", "running", "", True),
        ("= running", "exited", "", False),
        ("!= maintenance", "ready", "", True),
        ("= 1.2.3", "1.2.3", "", True),
        ("< 5", None, "", False),
        ("!= 5", None, "", False),
        ("< 5", float("nan"), "", False),
        ("< 5", "four", "", False),
        ("< 5", "4", "", True),
        ("= 0.3", 0.1 + 0.2, "", True),
        # equal means equal
        ("= 20261129010102", 20261129010101, "", False),
        ("!= 20261129010102", 20261129010101, "", True),
        ("= 1000000000", 1000000001, "", False),
        ("= 1000000000", 1000000000.0, "", True),
        ("= 9007199254740993", 9007199254740992, "", False),
        ("= 9007199254740993", 9007199254740993, "", True),
        ("= 20261129010102", "20261129010101", "", False),
        ("= 1e3", 1000, "", True),
        ("= 0", 1e-300, "", False),
        ("!= 0", 1e-300, "", True),
        ("= 300 ms", 0.3, "s", True),
        ("= 9007199254740993 kB", 9007199254740993000, "By", True),
        ("= 9007199254740993 kB", 9007199254740993001, "By", False),
        ("= 1.10", "1.1", "", False),
        ("= 1.10", "1.10", "1", True),
        ("= 1.10", 1.1, "", True),
        ("!= 1.10", "1.1", "", True),
        ("= 5", "five", "", False),
        ("= 5 s", "5000", "ms", True),
        ("= ok", "OK", "", False),
        ("!= 5", float("nan"), "", False),
        ("< 5", 10**400, "", False),
        ("> 5 s", 10**400, "ms", True),
    ],
)
def test_satisfied(text, value, unit, kept):
    assert parse_limit(text).satisfied(value, unit) is kept


@pytest.mark.parametrize(
    "text",
    ["", "500", "< " + "9" * 5000, "< 1e999", "<", "< fast", "< 500 parsec", "=> 5", "between 1 and 2", None, 200],
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(LimitError, match="is not a limit"):
        parse_limit(text)


def test_units_that_do_not_compare_are_refused():
    with pytest.raises(UnitError, match="cannot be compared"):
        parse_limit("< 500 ms").satisfied(3, "By")


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("< 500 ms", 0.123456789, 123.4568),
        ("<= 500 ms", 0.50000000001, 500.00000001),
        ("= 0", 0.00000004, 0.00000004),
        ("= 0", 0, 0),
        ("< 1", float("inf"), "inf"),
        ("< 1", 10**400, "inf"),
    ],
)
def test_what_is_shown_never_says_another_verdict(text, value, shown):
    limit = parse_limit(text)
    assert limit.shown(value, "s" if limit.unit else "") == shown


def test_texts_of_a_limit():
    limit = parse_limit("<500ms")
    assert (str(limit), limit.bare) == ("< 500 ms", "< 500")
    assert limit.measured(0.25, "s") == pytest.approx(250)
    assert parse_limit("= running").bare == "= running"
    assert parse_limit("= 1.10").bare == "= 1.10"
    assert parse_limit("= 20261129010102").bare == "= 20261129010102"


def test_a_result_tells_what_the_verdict_says():
    finding = within(parse_limit("= 0 %"), 0.0000004, "%", "the share of errors")
    assert (finding.verdict, finding.measured) == ("fail", 0.0000004)
    assert finding.reason == "the share of errors is 4e-07 %, wanted = 0 %"
