"""What Prometheus measured in a period as evidence: a pass is measured, of everything, for long enough."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.kpi import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.kpis import MAX_AGE, expected, results
from ansible_collections.slipway.ops.plugins.module_utils.readiness.verdict import assess

FILTERS = FilterModule().filters()
NOW = datetime.datetime(2026, 11, 29, 22, tzinfo=datetime.timezone.utc)
CPU = {"id": "cpu", "section": "resources", "title": {"en": "CPU", "ko": "프로세서"}, "unit": "%", "query": "cpu"}
HOSTS = {"node_exporter": ["a", "b"]}


def row(name: str, value: float | None, verdict: str = "pass", samples: int = 120) -> dict[str, Any]:
    return {"name": name, "value": value, "verdict": verdict, "samples": samples, "series": []}


def told(*rows: dict[str, Any], there: int = 121, **different: Any) -> dict[str, Any]:
    measure = {"role": "node_exporter", "by": ["host"], "limit": "< 80", "total": None, "rows": list(rows)}
    period = {"period": "24h", "from": NOW.timestamp() - 86400, "to": NOW.timestamp(), "points": 121, "there": there}
    return {**period, "measures": [{**CPU, "may_be_empty": False, **measure, **different}]}


def measured(*rows: dict[str, Any], **different: Any) -> Result:
    (one,) = results(told(*rows, **different), "shop", HOSTS, 50)
    validated(one.as_dict(), "run", NOW)  # the store takes it
    return one


def test_a_pass_has_its_worst_series_and_can_be_asked_again() -> None:
    one = measured(row("a", 20), row("b", 70.5))
    assert (one.id, one.area, one.subject, one.verdict) == ("infrastructure.kpi.cpu", "infrastructure", "shop", "pass")
    assert (one.measured, one.unit, one.limit, one.at) == (70.5, "%", "< 80", "2026-11-29T22:00:00.000Z")
    assert one.reason == (
        "b is 70.5 %; 2 series with 120 to 120 samples of 121 from 2026-11-28T22:00:00.000Z to "
        "2026-11-29T22:00:00.000Z, query cpu"
    )


def test_where_more_is_better_the_least_is_the_worst() -> None:
    one = measured(row("a", 99.95), row("b", 100), limit="> 99.9", section="availability", total="up")
    assert (one.id, one.measured) == ("application.kpi.cpu", 99.95)
    assert one.reason and one.reason.endswith("query up")


def test_one_series_beyond_the_limit_fails_however_little_was_measured() -> None:
    one = measured(row("a", 20), row("b", 81, "fail", 2), there=2)
    assert (one.verdict, one.measured) == ("fail", 81)
    assert one.reason and one.reason.startswith("b is 81 %; 2 series with 2 to 120 samples")


@pytest.mark.parametrize(
    ("rows", "different", "reason"),
    [
        ([row("a", 20), row("b", 30)], {"there": 60}, "Prometheus measured in 50 % of the period, and 50 % is asked"),
        ([row("a", 20)], {}, "b was not measured"),
        ([row("a", 20), row("b", None, "")], {}, "b has no total; b was not measured"),
        ([], {}, "a was not measured; b was not measured"),
        ([], {"role": "app", "by": ["service"]}, "nothing was measured"),
        ([row("x", None, "")], {"role": "app", "by": ["service"]}, "x has no total; nothing was measured"),
    ],
)
def test_what_was_not_measured_is_unknown(rows: list[Any], different: dict[str, Any], reason: str) -> None:
    one = measured(*rows, **different)
    assert one.verdict == "unknown"
    assert one.reason and one.reason.startswith(reason)


def test_half_of_the_period_is_enough_and_more_can_be_asked() -> None:
    assert measured(row("a", 20), row("b", 30), there=61).verdict == "pass"
    (one,) = results(told(row("a", 20), row("b", 30), there=61), "shop", HOSTS, 90)
    assert one.verdict == "unknown"


def test_disks_of_a_host_are_the_hosts() -> None:
    assert measured(row("a /", 20), row("b /var", 30), by=["host", "mountpoint"]).verdict == "pass"
    disks = (row("a /", 20), row("b /", 30), row("b /new", 1, samples=2))
    assert measured(*disks, by=["host", "mountpoint"]).verdict == "pass"


def test_a_host_that_was_away_for_most_of_the_period_is_unknown() -> None:
    one = measured(row("a", 20), row("b", 30, samples=1))
    assert one.verdict == "unknown"
    assert one.reason and one.reason.startswith("b was measured in 1 % of the period, and 50 % is asked; ")
    assert measured(row("a", 20), row("b", 30, samples=60)).verdict == "unknown"
    assert measured(row("a", 20), row("b", 30, samples=61)).verdict == "pass"
    # Reads of a cache are where somebody reads.
    assert measured(row("a", 20), row("b", 30, samples=1), may_be_empty=True).verdict == "pass"


def test_many_that_fail_are_counted() -> None:
    one = measured(*(row(f"a{number}", 90, "fail") for number in range(9)))
    assert one.reason and "a4 is 90 %; and 4 more;" in one.reason


def test_a_measure_without_a_limit_is_no_evidence_and_no_requirement() -> None:
    assert results(told(row("a", 1), limit=None), "shop", {}, 50) == []
    assert FILTERS["kpi_requirements"]([CPU]) == []
    assert [one["id"] for one in FILTERS["kpi_requirements"]([CPU], {"cpu": "< 70"})] == ["infrastructure.kpi.cpu"]


def test_who_is_measured_is_known_from_the_cards_also_out_of_reach() -> None:
    targets: list[dict[str, Any]] = [
        {"role": "node_exporter", "host": "a"},
        {"role": "node_exporter", "host": "b", "address": "127.0.0.1"},
        {"role": "blackbox_exporter", "host": "m"},  # its own metrics, beside those of whom it asks
        {"role": "blackbox_exporter", "host": "m", "probes": []},
    ]
    assert expected(targets) == {"node_exporter": ["a", "b"]}


@pytest.mark.parametrize(
    ("rows", "hours", "state", "verdict"),
    [
        ([row("a", 20), row("b", 30)], 0, "pass", "GO"),
        ([row("a", 20), row("b", 90, "fail")], 0, "fail", "NO-GO"),
        ([row("a", 20)], 0, "unknown", "NO-GO"),
        ([row("a", 20), row("b", 30)], 27, "stale", "NO-GO"),
        (None, 0, "missing", "NO-GO"),
    ],
)
def test_readiness_holds_it(rows: list[Any] | None, hours: int, state: str, verdict: str) -> None:
    policy = FILTERS["kpi_requirements"]([CPU | {"limit": "< 80"}])
    targets = [{"role": "node_exporter", "host": host} for host in ("a", "b")]
    records = [] if rows is None else FILTERS["kpi_results"](told(*rows), "shop", targets)
    judged = assess(policy, records, now=NOW + datetime.timedelta(hours=hours))
    assert (judged["requirements"][0]["state"], judged["verdict"]) == (state, verdict)
    assert policy[0]["max_age"] == MAX_AGE == "26h"
