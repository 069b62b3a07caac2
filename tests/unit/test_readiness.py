from __future__ import annotations

import datetime

import pytest
import readiness_sample as sample
from ansible_collections.slipway.ops.plugins.module_utils.core.units import to_duration
from ansible_collections.slipway.ops.plugins.module_utils.readiness.policy import PolicyError, load_policy
from ansible_collections.slipway.ops.plugins.module_utils.readiness.verdict import assess

NOW = sample.NOW
ROLLBACK = {"id": "delivery.rollback.duration", "title": "Rollback", "max_age": "30d"}


def record(subject="sample", id="delivery.rollback.duration", hours=1.0, **more):
    return sample.record(id, subject, "A claim", hours=hours, **more)


def judged(records, waivers=(), **requirement):
    """The verdict, and the state and reasons of one requirement beside one that always passes."""
    policy: list[dict] = [{**ROLLBACK, **requirement}, {"id": "operations.always.passes", "max_age": "1d"}]
    verdict = assess(policy, [*records, record(id="operations.always.passes")], waivers, NOW)
    one = verdict["requirements"][0]
    return verdict["verdict"], one["state"], [reason["code"] for reason in one["reasons"]]


def test_fresh_passing_evidence_is_go():
    assert judged([record()]) == ("GO", "pass", [])


def test_missing_evidence_is_not_a_pass():
    assert judged([]) == ("NO-GO", "missing", ["missing"])


def test_stale_evidence_is_no_go():
    assert judged([record(hours=30 * 24 - 0.1)]) == ("GO", "pass", [])
    assert judged([record(hours=30 * 24 + 0.1)]) == ("NO-GO", "stale", ["stale"])


@pytest.mark.parametrize("verdict", ["unknown", "PASS", "", None, "go"])
def test_a_verdict_that_says_nothing_is_not_a_pass(verdict):
    assert judged([record(verdict=verdict)])[:2] == ("NO-GO", "unknown")


def test_a_failed_check_is_no_go_however_old():
    assert judged([record(verdict="fail", reason="7 s", hours=9999)]) == ("NO-GO", "fail", ["told"])


def test_a_warning_is_go_and_shown():
    assert judged([record(verdict="warn", reason="nearly full")]) == ("GO", "warn", ["told"])


def test_evidence_from_the_future_is_not_trusted():
    assert judged([record(hours=-1)]) == ("NO-GO", "unknown", ["future"])
    assert judged([record(hours=-0.01)])[0] == "GO"
    assert judged([record(at="soon")]) == ("NO-GO", "unknown", ["no_time"])


def test_only_the_newest_record_counts():
    assert judged([record(hours=2, verdict="fail", reason="x"), record(hours=1)])[0] == "GO"
    assert judged([record(hours=1, verdict="fail", reason="x"), record(hours=2)])[0] == "NO-GO"


@pytest.mark.parametrize(
    ("measured", "unit", "expected"),
    [
        (1.84, "s", ("GO", "pass", [])),
        (5000, "ms", ("GO", "pass", [])),
        (5001, "ms", ("NO-GO", "fail", ["beyond"])),
        (None, "s", ("NO-GO", "unknown", ["no_number"])),
        (3, "By", ("NO-GO", "unknown", ["incomparable"])),
        ("slow", "s", ("NO-GO", "fail", ["beyond"])),
    ],
)
def test_the_policy_has_its_own_limit(measured, unit, expected):
    assert judged([record(measured=measured, unit=unit)], limit="<= 5 s") == expected


def test_the_policys_limit_does_not_excuse_a_failed_check():
    assert judged([record(measured=1, unit="s", verdict="fail", reason="x")], limit="<= 5 s")[0] == "NO-GO"


def test_all_subjects_must_pass():
    bad = record("b", verdict="fail", reason="x")
    assert judged([record("a"), bad])[:2] == ("NO-GO", "fail")
    assert judged([record("a"), bad], subjects="any")[:2] == ("GO", "pass")
    assert judged([record("a"), bad], subjects="any", count=2)[:2] == ("NO-GO", "fail")


def test_listed_subjects_must_have_evidence():
    records = [record("a"), record("b"), record("other", verdict="fail", reason="x")]
    assert judged(records, subjects=["a", "b"])[:2] == ("GO", "pass")
    assert judged(records, subjects=["a", "b", "c"]) == ("NO-GO", "missing", ["missing"])


def test_enough_subjects_must_have_evidence():
    assert judged([record("a")], count=2) == ("NO-GO", "missing", ["too_few"])
    assert judged([record("a"), record("b")], count=2)[0] == "GO"


def test_a_skip_takes_its_subject_out_and_proves_nothing():
    skipped = record("b", verdict="skip", reason="no systemd here")
    assert judged([record("a"), skipped]) == ("GO", "pass", [])
    assert judged([skipped]) == ("NO-GO", "missing", ["skipped"])
    assert judged([skipped], subjects=["b"]) == ("NO-GO", "missing", ["skipped"])


def test_a_pattern_leaves_what_another_requirement_names():
    policy: list[dict] = [
        {"id": "security.*", "max_age": "1d"},
        {"id": "security.scan.critical", "max_age": "30d", "tier": 2},
    ]
    scan = record(id="security.scan.critical", verdict="fail", reason="x")
    verdict = assess(policy, [record(id="security.tls.days"), scan], (), NOW)
    assert [one["state"] for one in verdict["requirements"]] == ["pass", "fail"]
    assert verdict["verdict"] == "GO"


def test_lower_tiers_do_not_stop_a_release():
    assert judged([], tier=2)[:2] == ("GO", "missing")


WAIVER = {"id": "delivery.rollback.duration", "owner": "Kim", "reason": "drill next week", "expires": "2026-11-21"}


def test_a_waiver_lets_go_but_proves_nothing():
    policy = [ROLLBACK]
    verdict = assess(policy, [], [WAIVER], NOW)
    assert verdict["verdict"] == "GO"
    assert verdict["requirements"][0]["state"] == "waived"
    assert verdict["overall"]["percent"] == 0
    assert verdict["requirements"][0]["reasons"][0]["facts"]["under"]["code"] == "missing"


def test_a_waiver_holds_to_the_end_of_its_day_and_then_fails():
    late = datetime.datetime(2026, 11, 21, 23, 59, 59, tzinfo=datetime.timezone.utc)
    assert assess([ROLLBACK], [], [WAIVER], late)["verdict"] == "GO"
    verdict = assess([ROLLBACK], [], [WAIVER], late + datetime.timedelta(seconds=1))
    assert verdict["verdict"] == "NO-GO"
    assert verdict["requirements"][0]["state"] == "fail"
    assert verdict["requirements"][0]["reasons"][0]["code"] == "waiver_expired"


def test_a_waiver_of_one_subject_excuses_no_other():
    waiver = {**WAIVER, "subject": "a"}
    bad = [record(name, verdict="fail", reason="x") for name in "ab"]
    assert judged(bad[:1], [waiver])[:2] == ("GO", "waived")
    assert judged(bad, [waiver])[:2] == ("NO-GO", "fail")


def test_a_waiver_of_one_subject_excuses_no_lack_of_all_evidence():
    assert judged([], [{**WAIVER, "subject": "a"}])[:2] == ("NO-GO", "missing")
    assert judged([], [WAIVER])[:2] == ("GO", "waived")


def test_a_waiver_that_is_not_needed_changes_nothing():
    verdict = assess([ROLLBACK], [record()], [WAIVER], NOW)
    assert verdict["requirements"][0]["state"] == "pass"
    assert verdict["waivers"][0]["used"] is False


def test_not_applicable_is_out_of_the_percentage():
    policy: list[dict] = [{**ROLLBACK, "not_applicable": "one host only"}, {"id": "operations.x.y", "max_age": "1d"}]
    verdict = assess(policy, [record(id="operations.x.y")], (), NOW)
    assert verdict["verdict"] == "GO"
    assert verdict["overall"]["applicable"] == 1
    assert verdict["areas"]["delivery"]["percent"] is None


def test_percentages_are_rounded_down():
    policy = [{"id": f"operations.line.n{number}", "max_age": "1d"} for number in range(200)]
    records = [record(id=f"operations.line.n{number}") for number in range(199)]
    assert assess(policy, records, (), NOW)["overall"]["percent"] == 99


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([], "no requirement has tier 1"),
        ([{**ROLLBACK, "tier": 2}], "no requirement has tier 1"),
        ([{**ROLLBACK, "tier": 4}], "tier 4 is not 1"),
        ([{**ROLLBACK, "tier": True}], "tier True is not 1"),
        ([{**ROLLBACK, "max_age": "a month"}], "'a month' is not a duration"),
        ([{"id": "delivery.x.y"}], "delivery.x.y: needs max_age"),
        ([{"id": "shipping.x.y", "max_age": "1d"}], "area 'shipping' is not one of"),
        ([{**ROLLBACK, "limit": "5"}], "'5' is not a limit"),
        ([{**ROLLBACK, "subjects": "every"}], "subjects 'every' is neither all, any nor a list"),
        ([{**ROLLBACK, "subjects": []}], "subjects [] is neither"),
        ([{**ROLLBACK, "count": 0}], "count 0 is not a number from 1 on"),
        ([{**ROLLBACK, "not_applicable": ""}], "needs not_applicable, a text that says why"),
        ([{**ROLLBACK, "title": {"ko": "롤백"}}], "at least `en`"),
        ([{**ROLLBACK, "maxage": "1d"}], "no such field: maxage"),
        ([{"max_age": "1d"}], "entry 1: needs an id"),
        (["delivery.*"], "entry 1: needs an id"),
    ],
)
def test_a_faulty_policy_is_refused(policy, message):
    with pytest.raises(PolicyError) as caught:
        load_policy(policy)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"owner": ""}, "waiver 1: needs owner"),
        ({"reason": None}, "waiver 1: needs reason"),
        ({"expires": None}, "waiver 1: needs expires"),
        ({"expires": "never"}, "'never' is no RFC 3339 time"),
        ({"until": "2026-12-01"}, "no such field: until"),
        ({"id": "delivery.rollback"}, "the policy has no requirement with this id"),
    ],
)
def test_a_faulty_waiver_is_refused(change, message):
    with pytest.raises(PolicyError) as caught:
        load_policy([ROLLBACK], [{**WAIVER, **change}])
    assert message in str(caught.value)


def test_a_date_that_yaml_read_is_a_date():
    (requirement,) = load_policy([ROLLBACK], [{**WAIVER, "expires": datetime.date(2026, 12, 31)}])
    assert requirement.waivers[0].expires == datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)


def test_a_later_entry_changes_an_earlier():
    (requirement,) = load_policy([ROLLBACK, {"id": ROLLBACK["id"], "max_age": "1d", "limit": "<= 30 s"}])
    assert (requirement.title, to_duration(requirement.max_age)) == ({"en": "Rollback"}, "1d")
    assert str(requirement.limit) == "<= 30 s"


def test_the_default_policy_is_sound():
    assert len(load_policy(sample.policy())) == len({entry["id"] for entry in sample.policy()})
