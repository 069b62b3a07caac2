from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.load import load_problem, load_results
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated

ORDER: dict[str, Any] = {
    "rates": {"keep_alive": 50, "fresh": 0},
    "seconds": 60,
    "limits": {"error_rate": "<= 1 %", "latency_p95": "<= 0.5 s"},
    "slower": 30,
}


def seen(requests: int = 3000, p95: float | None = 100.0, failed: int = 0, late: float = 2.0) -> dict[str, Any]:
    latency = {"p50": p95 and p95 / 4, "p95": p95, "p99": p95 and p95 * 2, "max": p95 and p95 * 3}
    total = {
        "requests": requests,
        "failed": failed,
        "error_rate": 100 * failed / requests if requests else None,
        "rate": requests / 60,
        "latency": latency,
        "longest_gap": 0.1,
        "prober_late": late,
    }
    return {
        "url": "http://127.0.0.1:18000/",
        "started_at": "2026-11-29T00:00:00.000Z",
        "seconds": 60.0,
        "total": total,
        "reasons": {"HTTP 500": failed} if failed else {},
        "failures": [],
    }


def judged(last: Any = (), **change: Any) -> tuple[dict[str, Any], list[str]]:
    found = load_results(seen(**change), ORDER, "shop", last)
    for record in found["records"]:
        validated(record, "run")
    assert len(found["summary"]) == len(found["records"]) + 1
    return {record["id"].rpartition(".")[2]: record for record in found["records"]}, found["failures"]


def kept(p95: float = 100.0, rate: float = 50.0, run: str = "r1") -> list[dict[str, Any]]:
    records, _ = judged(p95=p95)
    at = {"run": run, "at": "2026-11-28T00:00:00.000Z"}
    return [records["latency_p95"] | at, records["rate"] | at | {"measured": rate}]


def test_what_is_borne_is_recorded_with_all_percentiles() -> None:
    records, failures = judged()
    assert failures == [] and {record["verdict"] for record in records.values()} == {"pass"}
    assert (records["latency_p50"]["measured"], records["latency_p99"]["measured"]) == (25.0, 200.0)
    assert (records["requests"]["limit"], records["rate"]["measured"]) == (">= 2850", 50.0)
    assert "slower" not in records


def test_a_limit_that_is_not_kept_fails_the_run() -> None:
    records, failures = judged(p95=600.0)
    assert records["latency_p95"]["verdict"] == "fail" and "latency_p95 is 0.6 s" in failures[0]
    records, failures = judged(failed=60)
    assert records["error_rate"]["verdict"] == "fail" and failures


@pytest.mark.parametrize(
    "change", [{"requests": 2000}, {"requests": 0, "p95": None}, {"requests": 2000, "late": 30000.0}]
)
def test_too_few_requests_are_no_pass_of_any_limit(change: dict[str, Any]) -> None:
    """k6 passes a threshold that has no samples."""
    records, failures = judged(**change)
    assert failures and {record["verdict"] for name, record in records.items() if record["limit"]} == {"unknown"}
    assert ("behind its schedule" in " ".join(failures)) is ("late" in change)


def test_throughput_is_of_what_was_answered_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ORDER, "limits", {"rate": ">= 49"})
    records, failures = judged(failed=30)
    assert failures == [] and (records["rate"]["measured"], records["rate"]["limit"]) == (49.5, ">= 49")
    records, failures = judged(failed=90)
    assert records["rate"]["verdict"] == "fail" and "rate is 48.5 1/s, the limit is >= 49" in failures[0]


def test_a_sender_that_sent_too_little_says_nothing_of_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ORDER, "limits", {"rate": ">= 49"})
    records, failures = judged(requests=2000)
    assert records["rate"]["verdict"] == "unknown" and "Too few requests were sent" in " ".join(failures)


def test_a_run_is_compared_with_the_one_before() -> None:
    records, failures = judged(kept(p95=70.0))
    assert not failures and records["slower"]["verdict"] == "warn"
    assert "is 100 ms and was 70 ms on 2026-11-28T00:00:00.000Z: 42.9 % more" in records["slower"]["reason"]
    assert judged(kept(p95=90.0))[0]["slower"]["verdict"] == "pass"
    assert judged(kept(p95=900.0))[0]["slower"]["measured"] == pytest.approx(-88.9)


def test_what_cannot_be_compared_is_not() -> None:
    """Another rate, or percentile and rate of different runs, or nothing measured."""
    assert "slower" not in judged(kept(rate=100.0))[0]
    mixed = [kept(run="r1")[0], kept(run="r2")[1]]
    assert "slower" not in judged(mixed)[0]
    assert "slower" not in judged([record | {"measured": None} for record in kept()])[0]
    assert "slower" not in judged(kept(), requests=100)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"seconds": 4}, "load_seconds is 4; it must be from 5 to 3600."),
        ({"seconds": 90000}, "load_seconds is 90000"),
        ({"seconds": "long"}, "are numbers"),
        ({"rates": {"fresh": 2001}}, "load_rates are 2001 requests/s together; they must be over 0 and at most 2000."),
        ({"limits": {"rate": "> 49/s"}}, ""),
        ({"limits": {"rate": "> 49"}}, ""),
        ({"limits": {"rate": "> 50 1/s"}}, "load_limits.rate is > 50 1/s, and load_rates send 50 requests/s"),
        ({"rates": {"fresh": 0}}, "load_rates are 0"),
        ({"rates": 50}, "are numbers and limits by name"),
        ({"limits": {"latency_p42": "< 1 s"}}, "load_limits has no measure 'latency_p42'"),
        ({"limits": {"latency_p95": "quick"}}, "load_limits.latency_p95"),
        ({"limits": {"latency_p95": "< 5 %"}}, "load_limits.latency_p95"),
    ],
)
def test_a_load_has_bounds(change: dict[str, Any], words: str) -> None:
    told = load_problem(ORDER | change)
    assert words in told and bool(told) is bool(words)
