from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.release.report import (
    Outcome,
    artifacts,
    records,
    summary,
    why,
)

BEGAN = 1_795_000_000.0
OLD, NEW = {"version": "1.0", "colour": "blue"}, {"version": "2.0", "colour": "green"}


def traffic(failed: int = 0, new_answers: int = 50, reason: str = "HTTP 503", late: float = 3.0) -> dict[str, Any]:
    seen = [{"version": "1.0", "responses": 50, "last": "2026-11-18T12:26:43.500Z"}]
    if new_answers:
        seen.append({"version": "2.0", "responses": new_answers, "last": "2026-11-18T12:26:50.000Z"})
    total = {"requests": 100, "failed": failed, "latency": {"p95": 12.0}, "prober_late": late}
    return {"total": total, "versions": seen, "reasons": {reason: failed} if failed else {}}


def outcome(**change: Any) -> Outcome:
    plan = {"target": NEW, "live": OLD, "previous": OLD, "start": ["a1"], "nothing": False, "notes": [], "warm": None}
    facts: dict[str, Any] = {
        "request": {"action": "deploy", "service": "shop", "apps": ["a1", "a2"], "edges": ["e1"], "run": "r"},
        "plan": plan | change.pop("plan", {}),
        "failed": "",
        "recorded": True,
        "began": BEGAN,
        "ended": BEGAN + 30,
        "rollback_limit": 5.0,
        "switches": {"e1": {"at": "2026-11-18T12:26:43.000Z", "switch_took": 0.002}},
        "traffic": {"e1": traffic()},
    }
    return Outcome(**facts | change)


def by_id(found: Outcome) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in records(found)}


def test_every_record_is_valid_evidence() -> None:
    rollback = {"action": "rollback", "service": "shop", "apps": [], "edges": [], "run": "r"}
    for found in (outcome(), outcome(failed="it broke", switches={}), outcome(request=rollback), outcome(traffic={})):
        for record in records(found):
            validated(record, "run")


def test_a_good_release() -> None:
    found = by_id(outcome())
    assert {record["verdict"] for record in found.values()} == {"pass"}
    assert found["delivery.deploy.failed_requests"]["measured"] == 0
    assert found["delivery.switch.duration"]["measured"] == 0.002
    assert summary(outcome())[0] == "shop 2.0 is live (green); 1.0 (blue) stays warm."


def test_lost_requests_are_a_failed_measurement_of_a_good_release() -> None:
    record = by_id(outcome(traffic={"e1": traffic(failed=3)}))["delivery.deploy.failed_requests"]
    assert record["verdict"] == "fail" and "3 of 100" in record["reason"] and "HTTP 503 (3)" in record["reason"]


def test_a_release_that_failed_before_its_switch_counts_who_reached_it() -> None:
    kept = by_id(outcome(failed="gate", switches={}, traffic={"e1": traffic(new_answers=0)}))
    assert (kept["delivery.gate.bad_release_requests"]["measured"], kept["delivery.deploy.result"]["verdict"]) == (
        0,
        "fail",
    )
    leaked = by_id(outcome(failed="gate", switches={}))
    assert leaked["delivery.gate.bad_release_requests"]["verdict"] == "fail"
    mute = {"e1": traffic() | {"versions": []}}
    assert (
        by_id(outcome(failed="gate", switches={}, traffic=mute))["delivery.gate.bad_release_requests"]["verdict"]
        == "unknown"
    )


def test_a_rollback_is_measured_to_the_last_answer_of_what_it_left() -> None:
    request = {"action": "rollback", "service": "shop", "apps": [], "edges": ["e1"], "run": "r"}
    back = {"target": OLD, "live": NEW, "previous": NEW, "start": []}
    began = 1_795_004_807.0  # 12:26:47 UTC
    quick = by_id(outcome(request=request, plan=back, began=began, ended=began + 9))["delivery.rollback.duration"]
    assert (quick["measured"], quick["verdict"], quick["limit"], quick["unit"]) == (3.0, "pass", "<= 5", "s")
    slow = by_id(outcome(request=request, plan=back, began=began - 5, ended=began + 9))["delivery.rollback.duration"]
    assert slow["verdict"] == "fail" and slow["reason"] == "It took 8 s and deploy_rollback_limit is 5 s."
    late = outcome(request=request, plan=back, began=began - 5, ended=began + 9, traffic={"e1": traffic(late=4000)})
    assert by_id(late)["delivery.rollback.duration"]["verdict"] == "unknown"
    assert "4 s behind its schedule" in by_id(late)["delivery.rollback.duration"]["reason"]
    cold = outcome(request=request, plan=back | {"start": ["a1"]}, began=began - 5, traffic={"e1": traffic(late=4000)})
    assert by_id(cold)["delivery.rollback.duration"]["verdict"] == "fail"  # an instance was started: that takes as long


def test_requests_that_a_late_prober_did_not_see_through_are_unknown_and_errors_that_were_answered_are_not() -> None:
    late = outcome(traffic={"e1": traffic(135, reason="no complete answer within 10 s", late=25_800)})
    record = by_id(late)["delivery.deploy.failed_requests"]
    assert record["verdict"] == "unknown" and "25.8 s behind its schedule" in record["reason"]
    assert "the prober was up to 25.8 s late" in "\n".join(summary(late))
    answered = outcome(traffic={"e1": traffic(3, late=25_800), "e2": traffic()})
    assert by_id(answered)["delivery.deploy.failed_requests"]["verdict"] == "fail"
    punctual = outcome(traffic={"e1": traffic(3, reason="no complete answer within 10 s", late=900)})
    assert by_id(punctual)["delivery.deploy.failed_requests"]["verdict"] == "fail"


def test_a_switch_that_took_too_long_is_no_pass() -> None:
    switches = {"e1": {"at": "2026-11-18T12:26:43.000Z", "switch_took": 6.0}}
    record = by_id(outcome(switches=switches))["delivery.switch.duration"]
    assert (record["verdict"], record["reason"]) == ("fail", "It took 6 s and the limit is 5 s.")


def test_nothing_done_is_nothing_recorded() -> None:
    found = outcome(plan={"nothing": True, "target": OLD})
    assert records(found) == [] and "1.0 is live already" in summary(found)[0]


def test_a_failed_release_tells_what_its_instances_said_last() -> None:
    words = {"a1": {"shop-green-1": {"status": "Exited (1)", "lines": ["starting", "no database"]}}}
    found = outcome(failed="4/8 Health gate failed", last_words=words)
    assert "shop-green-1, Exited (1): no database" in "\n".join(summary(found))
    assert "starting\nno database" in artifacts(found)[0]["content"]
    assert "NOT released: 1.0 (blue) is live" in summary(found)[0]


def test_the_reason_names_step_hosts_and_the_first_bad_measurement() -> None:
    results = [{"verdict": "pass"}, {"verdict": "fail", "claim": "http://x answers 200", "reason": "it answered 503"}]
    failures = {
        host: {"step": "4/8 Health gate: every instance", "result": {"results": results}} for host in ("a1", "a2")
    }
    assert why(failures, ["e2"]) == (
        '4/8 Health gate failed on a1, a2: "http://x answers 200" is not so: it answered 503; e2 could not be reached'
    )
    assert why({}, []) == "a host failed without a word"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "no\n such host"}, "no such host"),
        (
            {
                "msg": "One or more items failed",
                "results": [{"failed": False}, {"failed": True, "msg": "app2 is full"}],
            },
            "app2 is full",
        ),
        ({"msg": "Unknown error.", "stderr": "first\nthe last words\n"}, "the last words"),
        ({"exception": "Traceback\n  File x\nValueError: no number"}, "ValueError: no number"),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "module_stderr": "Error response from daemon: Container 29508a is not running\n",
            },
            "the host could not run it: Error response from daemon: Container 29508a is not running",
        ),
        ({}, "it did not succeed and gave no reason"),
    ],
    ids=["message", "an item", "a command", "a traceback", "a stopped host", "nothing"],
)
def test_a_failed_task_gives_its_own_reason(result: dict[str, Any], said: str) -> None:
    assert why({"e1": {"step": "4/8 Health gate: x", "result": result}}, []) == f"4/8 Health gate failed on e1: {said}"


def test_a_failed_release_says_whether_a_rollback_is_still_a_switch() -> None:
    warm = {"version": "0.9", "colour": "green"}

    def last(**change: Any) -> str:
        return summary(outcome(failed="6/8 Watch failed", **change))[-1]

    assert "no earlier release is warm; a rollback has to start one" in last()
    assert "0.9 (green) is warm again; a rollback is a switch" in last(plan={"warm": warm}, warmed=["a1"])
    assert "0.9 (green) is not warm any more on a1" in last(plan={"warm": warm})
    assert "back" not in last(plan={"start": []})


def test_a_lock_that_was_taken_over_is_told_of() -> None:
    holder = {"owner": "kim@laptop", "purpose": "deploy 2.0", "run": "r1", "since": "2026-11-18T12:00:00Z"}
    assert "took over the lock of kim@laptop (deploy 2.0, run r1" in "\n".join(summary(outcome(replaced=holder)))


def test_a_live_release_that_a_host_did_not_record_was_released_and_says_why() -> None:
    found = outcome(recorded=False, unrecorded="8/8 Record failed on a2: No space left on device")
    assert "2.0 is live" in summary(found)[0] and "No space left" in "\n".join(summary(found))
    assert "No space left" in by_id(found)["delivery.deploy.result"]["reason"]


def guarded(**change: Any) -> Outcome:
    guards = {"guarded": True, "kept": ["change CHG0001234"], "overridden": [], "said": {"change": "CHG0001234"}}
    request = {"action": "deploy", "service": "shop", "apps": ["a1"], "edges": ["e1"], "run": "r"}
    return outcome(request=request | {"guards": guards | change})


def test_what_a_guarded_release_kept_to_is_evidence() -> None:
    record = by_id(guarded())["delivery.deploy.guards"]
    assert (record["verdict"], record["measured"]) == ("pass", "change CHG0001234")
    assert "delivery.deploy.guards" not in by_id(guarded(guarded=False)) | by_id(outcome())


def test_an_override_is_evidence_with_its_reason_and_the_summary_says_it() -> None:
    past = guarded(overridden=["It is Mon 12:00."], said={"override": "orders are lost"})
    record = by_id(past)["delivery.deploy.guards"]
    assert (record["verdict"], record["reason"]) == ("warn", "Overridden (orders are lost): It is Mon 12:00.")
    validated(record, "run")
    assert any("Overridden (orders are lost)" in line for line in summary(past))


def recreated(gap: float, late: float = 2) -> Outcome:
    seen = traffic(failed=9, late=late)
    seen["total"]["longest_gap"] = gap
    request = {
        "action": "deploy",
        "service": "shop",
        "apps": ["a1"],
        "edges": ["e1"],
        "run": "r",
        "strategy": "recreate",
    }
    return outcome(request=request, traffic={"e1": seen}, outage_limit=20.0)


def test_of_what_cannot_run_twice_the_outage_counts_and_not_the_requests_in_it() -> None:
    found = by_id(recreated(12.5))
    assert "delivery.deploy.failed_requests" not in found
    outage = found["delivery.recreate.outage"]
    assert (outage["verdict"], outage["measured"], outage["limit"]) == ("pass", 12.5, "<= 20")
    assert "warm" not in summary(recreated(12.5))[0]
    long = by_id(recreated(31))["delivery.recreate.outage"]
    assert long["verdict"] == "fail" and "31 s and deploy_recreate_limit is 20 s" in long["reason"]
    validated(long, "run")
    assert by_id(recreated(31, late=5000))["delivery.recreate.outage"]["verdict"] == "unknown"


def test_a_canary_that_passed_is_evidence_and_a_line() -> None:
    side = {"requests": 100, "failed": 0, "answers": 60, "latency_p50": 8.5}
    found = outcome(canaries={"e1": {"share": 50, "canary": side, "baseline": side}})
    record = by_id(found)["delivery.canary.judgement"]
    validated(record, "run")
    assert record["measured"].startswith("e1, 50 %: the canary failed 0 of 100, half within 8.5 ms, the live release")
    assert any("canary" in line for line in summary(found))
    assert "delivery.canary.judgement" not in by_id(outcome())


def test_requests_that_a_canary_was_given_are_no_fault_of_the_gate() -> None:
    kept_out = {"failed": "at 20 %: worse", "switches": {}, "traffic": {"e1": traffic(new_answers=9)}}
    assert by_id(outcome(**kept_out))["delivery.gate.bad_release_requests"]["verdict"] == "fail"
    assert "delivery.gate.bad_release_requests" not in by_id(outcome(**kept_out, shared=True))
