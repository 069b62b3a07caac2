from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import (
    EvidenceError,
    encoded,
    parse_time,
    retirement,
    validated,
)

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.timezone.utc)
GOOD = {
    "id": "delivery.rollback.duration",
    "area": "delivery",
    "subject": "sample",
    "claim": "The previous release answers again within five seconds",
    "measured": 1.84,
    "unit": "s",
    "limit": "<= 5",
    "verdict": "pass",
    "at": "2026-11-21T11:40:00.123Z",
    "source": "rollback 0.1.0",
}


def test_a_stored_record_has_every_field_and_its_time_in_utc():
    stored = validated({**GOOD, "at": "2026-11-21T20:40:00.123456789+09:00"}, "r1", NOW)
    assert stored == {
        **GOOD,
        "at": "2026-11-21T11:40:00.123Z",
        "took": 0.0,
        "run": "r1",
        "reason": None,
        "artifacts": [],
        "sha256": {},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "delivery"}, "id: 'delivery' does not look like area.subject-kind.claim"),
        ({"id": "Delivery.x"}, "id: 'Delivery.x' does not look like"),
        ({"id": "data.x.y"}, "id: 'data.x.y' must begin with its area, 'delivery'"),
        ({"area": "shipping"}, "area: 'shipping' is not one of infrastructure, application"),
        ({"subject": " "}, "subject: must not be empty"),
        ({"subject": None}, "subject: None is not text"),
        ({"measured": True}, "measured: True is not a number, text or null"),
        ({"measured": [1]}, "measured: [1] is not a number, text or null"),
        ({"measured": float("nan")}, "measured: must be finite"),
        ({"limit": "500"}, "limit: '500' does not look like < 500 or = 200"),
        ({"verdict": "PASS"}, "verdict: 'PASS' is not one of pass, warn, fail, skip, unknown"),
        ({"verdict": "skip"}, "reason: verdict 'skip' needs one sentence"),
        ({"verdict": "fail", "reason": " "}, "reason: verdict 'fail' needs one sentence"),
        ({"at": "yesterday"}, "at: 'yesterday' is no RFC 3339 time"),
        ({"at": "2026-11-21T11:40:00"}, "at: '2026-11-21T11:40:00' is no RFC 3339 time with an offset"),
        ({"at": 5}, "at: 5 is no RFC 3339 time"),
        ({"at": "2026-11-21T12:06:00Z"}, "is in the future"),
        ({"took": -0.1}, "took: -0.1 is not a number of seconds"),
        ({"took": "1"}, "took: '1' is not a number of seconds"),
        ({"run": "another"}, "run: 'another' is not the run 'r1'"),
        ({"artifacts": "x.json"}, "artifacts: 'x.json' is not a list of names"),
        ({"artifacts": ["../../etc/passwd"]}, "artifacts: '../../etc/passwd' is not a plain relative path"),
        ({"colour": "red"}, "colour: no such field; allowed are id, area,"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(EvidenceError) as caught:
        validated({**GOOD, **change}, "r1", NOW)
    assert message in str(caught.value)


def test_the_last_word_on_what_is_gone_is_a_record_of_the_same_id_and_subject():
    last = validated(retirement(validated(GOOD, "r1", NOW), "sample was retired."), "r2")
    assert {name: last[name] for name in ("id", "area", "subject", "claim")} == {
        name: GOOD[name] for name in ("id", "area", "subject", "claim")
    }
    assert (last["verdict"], last["reason"], last["measured"]) == ("skip", "sample was retired.", None)


def test_all_faults_are_named_at_once():
    with pytest.raises(EvidenceError) as caught:
        validated({"id": "x", "verdict": "ok"}, "r1", NOW)
    for name in ("id", "verdict", "area", "subject", "claim", "at", "source"):
        assert f"{name}: " in str(caught.value)


def test_a_line_is_one_line_whatever_is_in_it():
    record = {**GOOD, "reason": "two\nlines \u2028 한글 \udcff"}
    line = encoded(record)
    assert line.count(b"\n") == 1
    assert json.loads(line)["reason"] == record["reason"]
    assert "한글".encode() in line


def test_a_record_cannot_be_a_dump():
    with pytest.raises(EvidenceError, match="put raw output into an artifact"):
        encoded({**GOOD, "measured": "x" * 70000})


@pytest.mark.parametrize("text", ["2026-11-21T11:40:00Z", "2026-11-21T20:40:00.0+09:00", "2026-11-21 11:40:00+00:00"])
def test_times_that_mean_the_same(text):
    assert parse_time(text) == datetime.datetime(2026, 11, 21, 11, 40, tzinfo=datetime.timezone.utc)
