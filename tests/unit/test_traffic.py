from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.traffic.http1 import request_head, version_of
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import (
    Plan,
    TrafficError,
    check,
    check_on_host,
)
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import (
    check_results,
    latency_of_versions,
    read_journal,
    results,
    summarise,
)
from ansible_collections.slipway.ops.plugins.module_utils.traffic.tally import Outcome, Successes, Tally

PLAN = Plan("probe", "https://service.example.test/version", {"keep_alive": 10.0})


def plan(**options):
    return dataclasses.replace(PLAN, **options)


# what an operator may write wrong


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "service.example.test"}, "is not a URL such as http://shop.example/health or https://"),
        ({"url": "https://"}, "is not a URL such as"),
        ({"url": "ftp://service.example.test/"}, "is not a URL such as http://"),
        ({"url": "https://service.example.test:99999/"}, "'99999' is no port"),
        ({"url": "https://service.example.test/a b"}, "percent-encoded"),
        ({"url": "https://user:secret@service.example.test/"}, "credentials do not belong into a URL"),
        ({"name": "../../etc"}, "lower-case letters"),
        ({"rates": {"keep_alive": 0.0}}, "nothing would be sent"),
        ({"rates": {"keep_alive": -1.0, "fresh": 2.0}}, "must not be negative"),
        ({"rates": {"keep_alive": 1900.0, "post": 200.0}}, "not exceed 2000"),
        ({"rates": {"quic": 1.0}}, "no client 'quic'"),
        ({"timeout": 0.0}, "timeout is 0"),
        ({"max_duration": 100000.0}, "max_duration is 100000"),
        ({"connections": 0}, "connections is 0"),
        ({"headers": {"X-Test": "a\r\nX-Other: b"}}, "not one line"),
        ({"address": "edge1:https"}, "address: 'edge1:https': 'https' is no port"),
        ({"address": ":8443"}, "address: ':8443' has no host"),
        (
            {"websocket_url": "https://service.example.test/ws", "rates": {"websocket": 1.0}},
            "is not a URL such as ws://shop.example/health or wss://",
        ),
    ],
)
def test_bad_input_is_refused_with_a_reason(options, words):
    with pytest.raises(TrafficError, match=words.replace("/", "\\/")) as refused:
        check(plan(**options))
    assert "secret" not in str(refused.value)


def test_a_name_that_does_not_resolve_is_refused():
    with pytest.raises(
        TrafficError, match=r"nowhere\.invalid cannot be resolved on .*correct the URL or set `address`"
    ):
        check_on_host(plan(url="https://nowhere.invalid/"))


def test_ca_file(tmp_path):
    local = plan(url="https://127.0.0.1/")
    with pytest.raises(TrafficError, match=r"ca_file /nope\.pem does not exist"):
        check_on_host(dataclasses.replace(local, ca_file="/nope.pem"))
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(TrafficError, match="must be a PEM file"):
        check_on_host(dataclasses.replace(local, ca_file=str(tmp_path / "ca.pem")))


def test_http2_needs_tls_and_its_packages(monkeypatch):
    with pytest.raises(TrafficError, match="needs an https URL"):
        check_on_host(plan(url="http://127.0.0.1/", rates={"http2": 1.0}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrafficError, match="needs python3-h2 on"):
        check_on_host(plan(url="https://127.0.0.1/", rates={"http2": 1.0}))


# what is sent where


def test_address_changes_where_not_what():
    over = plan(address="10.0.0.5", rates={"websocket": 1.0})
    assert over.endpoint("websocket") == ("10.0.0.5", 443)
    assert plan(address="[::1]:8443").endpoint("fresh") == ("::1", 8443)
    assert plan(address="::1", url="https://www.example.com").endpoint("fresh") == ("::1", 443)
    assert over.target("websocket").authority == "service.example.test"
    assert over.url_of("websocket") == "wss://service.example.test/version"


def test_a_plan_survives_as_json():
    wanted = plan(headers={"Authorization": "Bearer x"}, success_codes=[200, 401])
    assert Plan.from_json(wanted.to_json()) == wanted


def test_the_operators_headers_win():
    head = request_head("GET", plan(headers={"host": "other.example.test", "X-Test": "é"}), "fresh", {}).decode()
    assert head.startswith("GET /version HTTP/1.1\r\n")
    assert "Host: service.example.test" not in head
    assert "host: other.example.test\r\nX-Test: é\r\n\r\n" in head


@pytest.mark.parametrize(
    ("headers", "body", "version"),
    [
        ({"x-service-version": "1.2"}, b'{"version": "9"}', "1.2"),
        ({}, b'{"version": 3}', "3"),
        ({}, b'{"other": 3}', None),
        ({}, b"<html>", None),
        ({}, b"{broken", None),
    ],
)
def test_version(headers, body, version):
    assert version_of(PLAN, headers, body) == version


# counting


def tally_of(milliseconds: list[float], start: float = 1000.0, reason: str | None = None) -> Tally:
    tally = Tally()
    for number, latency in enumerate(milliseconds):
        ended = start + number
        tally.add(Outcome("200", reason, "1"), ended - latency / 1000, ended, {"at": f"t{ended}", "client": "fresh"})
    return tally


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
def test_percentiles_are_within_half_a_percent(share):
    latencies = [1.07**number for number in range(1, 150)]
    exact = sorted(latencies)[max(round(share * len(latencies) + 0.499999) - 1, 0)]
    assert tally_of(latencies).percentile(share) == pytest.approx(exact, rel=0.006)


def test_percentile_of_nothing():
    assert Tally().percentile(0.95) is None


def test_merging_is_the_same_as_counting_at_once():
    parts = Tally()
    for start in (1000.0, 1003.0):
        parts.merge(Tally.from_dict(json.loads(json.dumps(tally_of([5, 7, 900], start).to_dict()))))
    assert parts == tally_of([5, 7, 900, 5, 7, 900])


def test_latencies_are_told_apart_by_version_from_a_second_on():
    seconds = [tally_of([5, 5]), tally_of([5, 40]), tally_of([40, 40, 40])]
    for tally, version in zip(seconds[1:], ("1", "2"), strict=True):
        tally.add(Outcome("200", None, version), 2000.0, 2000.005, {})
        tally.add(Outcome(None, "reset", None, latency_counts=False), 2000.0, 2000.5, {})
    entries = json.loads(json.dumps(journal(seconds)))
    whole = latency_of_versions(entries, 1000.0)
    assert {version: sum(latency.values()) for version, latency in whole.items()} == {"1": 8, "2": 1}
    later = latency_of_versions(entries, 1000.5)  # the second that it falls into is not whole, so it does not count
    assert {version: sum(latency.values()) for version, latency in later.items()} == {"1": 6, "2": 1}
    assert sorted(round(value) for value in later["1"]) == [5, 40]
    assert latency_of_versions(entries, 5000.0) == {}


def test_an_older_probers_journal_is_read():
    entry = tally_of([5]).to_dict()
    del entry["version_latency"]
    assert Tally.from_dict(entry).versions.keys() == {"1"}


def test_memory_is_bounded():
    tally = Tally()
    for number in range(5000):
        outcome = Outcome(str(number), f"reason {number}", f"version {number}")
        tally.add(outcome, number, number + 0.001, {"at": str(number), "client": "fresh"})
    assert tally.failed == sum(tally.reasons.values()) == 5000
    assert max(len(tally.reasons), len(tally.answers), len(tally.versions), len(tally.failures)) <= 100
    assert tally.version_latency.keys() <= tally.versions.keys()


def test_gaps_reach_to_the_edges():
    successes = Successes()
    assert successes.longest_gap_between(10, 20) == 10
    for moment in (12.0, 13.0, 17.0):
        successes.add(moment)
    assert successes.longest_gap_between(10, 20) == 4
    assert successes.longest_gap_between(10, 30) == 13
    assert successes.longest_gap_between(2, 20) == 10


# reporting


def journal(seconds: list[Tally], ended: bool = True) -> list[dict]:
    entries = [{"started": 1000.0, "url": "https://service.example.test/"}]
    for number, tally in enumerate(seconds, 1):
        clients = {"fresh": tally.to_dict()}
        entries.append({"time": 1000.0 + number, "successes": vars(tally.successes), "clients": clients})
    return entries + ([{"ended": 1000.0 + len(seconds), "because": "stopped"}] if ended else [])


def test_torn_lines_are_left_out():
    lines = [json.dumps(entry) for entry in journal([tally_of([5]), tally_of([6])])]
    lines.insert(2, lines[2][:40])
    assert summarise(read_journal(lines), 2000, False)["total"]["requests"] == 2


def test_a_killed_prober_ends_with_its_last_line():
    summary = summarise(journal([tally_of([5])] * 3, ended=False), 2000, False)
    assert (summary["ended_because"], summary["seconds"]) == ("killed", 3)


def test_results_have_a_verdict_for_each_limit():
    summary = summarise(journal([tally_of([10] * 19), tally_of([10], 1020.0, "HTTP 503")]), 2000, False)
    limits = {"failed_requests": "= 0", "latency_p95": "< 0.5 s", "error_rate": "< 10 %", "longest_gap": "< 1 ms"}
    found = {
        one["id"]: one
        for one in results(summary, "delivery.deploy", "sample", check_results("delivery.deploy", limits))
    }
    failed = found["delivery.deploy.failed_requests"]
    assert (failed["verdict"], failed["measured"], failed["limit"]) == ("fail", 1, "= 0")
    assert "1 of 20 requests to https://service.example.test/ failed" in failed["reason"]
    assert "HTTP 503 (1)" in failed["reason"]
    p95 = found["delivery.deploy.latency_p95"]
    assert (p95["verdict"], p95["unit"], p95["limit"], p95["reason"]) == ("pass", "s", "< 0.5", None)
    assert p95["measured"] == pytest.approx(0.01, rel=0.01)
    assert found["delivery.deploy.error_rate"]["measured"] == 5
    assert found["delivery.deploy.longest_gap"]["verdict"] == "fail"
    assert {one["area"] for one in found.values()} == {"delivery"}


def test_a_single_failure_among_very_many_is_not_none():
    summary = summarise(journal([tally_of([10])]), 2000, False)
    summary["total"]["error_rate"] = 1e-8
    limits = check_results("delivery.deploy", {"error_rate": "= 0 %"})
    (rate,) = [one for one in results(summary, "delivery.deploy", "sample", limits) if one["id"].endswith("error_rate")]
    assert (rate["verdict"], rate["measured"]) == ("fail", 1e-8)


def test_nothing_measured_is_unknown_not_a_pass():
    found = results(summarise(journal([]), 2000, False), "delivery.deploy", "sample", {})
    assert {one["verdict"] for one in found} == {"unknown"}
    assert "no request was sent" in found[0]["reason"]


@pytest.mark.parametrize(
    ("prefix", "limits", "words"),
    [
        ("deploy", {}, "must be an area and a kind"),
        ("kitchen.deploy", {}, "must be an area and a kind"),
        ("delivery.deploy", {"speed": "< 1"}, "no measure 'speed'"),
        ("delivery.deploy", {"latency_p95": "fast"}, "is not a limit"),
        ("delivery.deploy", {"latency_p95": "< 5 GB"}, "limits.latency_p95"),
    ],
)
def test_bad_limits_are_refused(prefix, limits, words):
    with pytest.raises(TrafficError, match=words):
        check_results(prefix, limits)


@pytest.mark.parametrize(
    ("late", "reason", "verdicts"),
    [
        (3, "no complete answer within 10 s", ("fail", "fail")),
        (25_800, "no complete answer within 10 s", ("unknown", "unknown")),
        (25_800, "HTTP 503", ("fail", "fail")),
        (25_800, "WebSocket refused: HTTP 503", ("fail", "fail")),
        (25_800, "HTTP 408", ("unknown", "unknown")),
    ],
    ids=["punctual", "late", "late, but answered", "late, but refused", "late, and told so"],
)
def test_a_late_prober_blames_nobody_for_what_it_did_not_see(late, reason, verdicts):
    tally = tally_of([10] * 19)
    tally.merge(tally_of([10], 1020.0, reason))
    tally.late = late
    limits = check_results("delivery.watch", {"failed_requests": "= 0", "error_rate": "<= 1 %"})
    found = {one["id"]: one for one in results(summarise(journal([tally]), 2000, False), "delivery.watch", "s", limits)}
    failed, rate = found["delivery.watch.failed_requests"], found["delivery.watch.error_rate"]
    assert (failed["verdict"], rate["verdict"]) == verdicts
    assert "error_rate is 5 %, the limit is <= 1 %; 1 of 20 requests" in rate["reason"]
    assert ("25.8 s behind its schedule" in rate["reason"]) == (verdicts[1] == "unknown")


@pytest.mark.parametrize(
    ("late", "verdict"), [(0, "fail"), (700, "unknown"), (5000, "unknown")], ids=["punctual", "late by that", "late"]
)
def test_what_the_prober_was_late_by_is_no_latency_of_the_service(late, verdict):
    tally = tally_of([1600] * 20)
    tally.late = late
    limits = check_results("delivery.watch", {"latency_p95": "<= 1 s"})
    (_, p95) = results(summarise(journal([tally]), 2000, False), "delivery.watch", "s", limits)
    assert p95["verdict"] == ("fail" if late == 0 else verdict)
    assert "latency_p95 is 1.597 s, the limit is <= 1 s" in p95["reason"]


def test_a_window_knows_of_a_stall_just_before_it_and_of_none_long_ago():
    def stalled(second: int) -> dict:
        tallies = [tally_of([5], 1000.0 + number) for number in range(30)]
        tallies[second].late = 4000
        return summarise(journal(tallies), 2000, False, window=5)

    assert stalled(20)["total"]["prober_late"] == 4000
    assert stalled(2)["total"]["prober_late"] == 0
