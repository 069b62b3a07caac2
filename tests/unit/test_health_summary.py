from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter import health_results, health_summary
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.health.junit import junit
from ansible_collections.slipway.ops.plugins.module_utils.health.summary import (
    fleet_table,
    sentence,
    table,
    worst_verdict,
)


def result(verdict="pass", subject="http://shop/", **values):
    reason = None if verdict == "pass" else f"because of {verdict}"
    base = {"id": "application.http.shop", "subject": subject, "claim": "shop answers", "verdict": verdict}
    return {
        **base,
        "measured": 200,
        "unit": "1",
        "limit": "= 200",
        "at": "2026-11-21T11:40:00.000Z",
        "took": 0.5,
        "reason": reason,
        **values,
    }


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([], "unknown"),
        (["pass"], "pass"),
        (["skip"], "skip"),
        (["pass", "skip"], "pass"),
        (["skip", "warn", "pass"], "warn"),
        (["warn", "unknown"], "unknown"),
        (["unknown", "fail"], "fail"),
    ],
)
def test_the_worst_verdict_decides(verdicts, worst):
    assert worst_verdict([result(verdict) for verdict in verdicts]) == worst


def test_a_sentence_of_counts():
    assert sentence([result(), result("fail"), result()]) == "3 checks: 1 fail, 2 pass"
    assert sentence([result()]) == "1 check: 1 pass"
    assert sentence([]) == "0 checks: nothing was checked"


def test_the_table_begins_with_what_is_wrong():
    lines = table([result(), result("fail", measured=503), result("warn", measured=81.5, unit="%", limit="< 80")])
    assert lines == [
        "fail     http://shop/  application.http.shop  503 (= 200)",
        "         because of fail",
        "warn     http://shop/  application.http.shop  81.5 % (< 80)",
        "         because of warn",
        "pass     http://shop/  application.http.shop  200 (= 200)",
    ]


def test_long_values_do_not_break_the_table():
    lines = table([result("fail", subject="x" * 300, measured="y\n" * 300, reason="z " * 300)])
    assert max(map(len, lines)) <= 120
    assert table([]) == []


def test_the_fleet_table_counts_by_host_and_shows_what_is_no_pass():
    lines = fleet_table({"edge1": [result(), result("fail", subject="edge1")], "app1": [result()], "app2": []})
    assert lines[:5] == [
        "host     fail  unknown  warn  skip  pass",
        "edge1       1        -     -     -     1",
        "app1        -        -     -     -     1",
        "app2        -        -     -     -     -",
        "all         1        -     -     -     2",
    ]
    assert lines[5:] == ["", "fail     edge1  application.http.shop  200 (= 200)", "         because of fail"]
    assert "app1: db" in "\n".join(fleet_table({"app1": [result("fail", subject="db")]}))


def test_junit_is_well_formed_whatever_was_measured():
    nasty = 'a < b & "c" \x00\x1b[31m\ud800 ]]> é'
    results = [result("fail", reason=nasty, subject=nasty), result("unknown"), result("skip"), result("warn"), result()]
    root = ET.fromstring(junit({"edge1": results, nasty: []}))
    first, second = root
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("5", "1", "1", "1")
    assert (first.get("name"), first.get("time"), second.get("tests")) == ("edge1", "2.500", "0")
    assert [[child.tag for child in case] for case in first] == [
        ["failure"],
        ["error"],
        ["skipped"],
        ["system-out"],
        [],
    ]
    assert 'a < b & "c" ' in str(first[0][0].get("message"))


def test_the_summary_filter_takes_a_list_or_a_mapping():
    summarize = health_summary.FilterModule().filters()["health_summary"]
    one = summarize([result("fail"), result()])
    assert (one["total"], one["verdict"], one["counts"]["fail"]) == (2, "fail", 1)
    many = summarize({"app1": [result()], "app2": [result()]})
    assert (many["total"], many["verdict"], many["lines"][-1].split()[0]) == (2, "pass", "all")
    with pytest.raises(AnsibleFilterError, match="not results of health_check"):
        summarize([{"status": "ok"}])


def told(verdict, at, identifier="data.drill.postgresql.result"):
    return {"id": identifier, "subject": "main", "verdict": verdict, "at": at, "reason": f"{verdict} at {at}"}


def test_what_timers_measured_last_and_failed_is_among_the_results():
    filter_ = health_results.FilterModule().filters()["health_results"]

    def added(**last):
        collected = filter_({host: {"results": []} for host in ("backup1", "db1")}, last)
        return {host: results[1:] for host, results in collected.items() if results[1:]}

    now = datetime.datetime.now(datetime.timezone.utc)
    old, before, lately = (timestamp(now - datetime.timedelta(days=days)) for days in (9, 2, 1))
    failed = told("fail", before)
    assert added(db1=[failed, told("pass", before, "data.drill.postgresql.rto")]) == {"db1": [failed]}
    assert added(backup1=[failed], db1=[told("pass", lately)]) == {}  # who has only heard of it knows an older one
    assert added(backup1=[told("pass", old)], db1=[failed]) == {"db1": [failed]}
    assert added(db1=[told("fail", old)]) == {}  # nobody drills any more
    future = told("fail", timestamp(now + datetime.timedelta(days=2)))
    assert added(backup1=[future], db1=[told("pass", lately)]) == {}  # a wrong clock's gives way


def test_no_host_is_silently_missing():
    collect = health_results.FilterModule().filters()["health_results"]
    collected = collect(
        {
            "well": {"results": [result()]},
            "lost": {"unreachable": True, "msg": "no route"},
            "broken": {"failed": True, "msg": "no Python", "module_stderr": "sh: python3: not found"},
            "silent": {},
        }
    )
    assert collected["well"][1:] == [result()]
    firsts = {host: (results[0]["id"], results[0]["verdict"]) for host, results in collected.items()}
    assert firsts == {
        "well": ("infrastructure.host.checked", "pass"),  # or what was recorded of a lost host would stay so
        "lost": ("infrastructure.host.checked", "fail"),
        "broken": ("infrastructure.host.checked", "fail"),
        "silent": ("infrastructure.host.checked", "fail"),
    }
    assert collected["lost"][0]["reason"] == "the host cannot be reached: no route"
    assert collected["broken"][0]["reason"] == "the checks could not be run: no Python sh: python3: not found"
    assert collected["silent"][0]["reason"] == "the checks could not be run: nothing was registered"
