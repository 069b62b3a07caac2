"""The other kinds of health checks, against TLS servers with their own authority, a Prometheus, this host."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace
from health_servers import (
    Authority,
    answering,
    check,
    sending,
    silent,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.make(tmp_path_factory.mktemp("authority"))


# --- TLS


def test_tls_is_verified_against_the_given_authority(servers, authority):
    port = servers.start(answering(), authority.context())
    options = {"kind": "http", "url": "https://shop.test/", "address": f"127.0.0.1:{port}"}
    assert check(**options, ca=authority.file).verdict == "pass"
    assert "the certificate is not trusted" in check(**options).reason
    wrong = check(kind="http", url="https://other.test/", address=f"127.0.0.1:{port}", ca=authority.file)
    assert (wrong.verdict, "mismatch" in wrong.reason) == ("fail", True)
    gone = check(**options, ca="/nonexistent/ca.pem")
    assert (gone.verdict, "/nonexistent/ca.pem is not there" in gone.reason) == ("unknown", True)


def tls(port, authority, **options):
    return check(kind="tls", host="shop.test", port=port, address="127.0.0.1", ca=authority.file, **options)


def test_tls_measures_the_days_left(servers, authority):
    result = tls(servers.start(answering(), authority.context(days=20)), authority)
    assert (result.verdict, result.unit, result.limit) == ("pass", "d", "> 14")
    assert 19.9 < result.measured < 20.1
    soon = tls(servers.start(answering(), authority.context(days=20)), authority, expires="> 30 d", severity="warn")
    assert (soon.verdict, "wanted > 30 d" in soon.reason) == ("warn", True)


def test_a_short_certificate_is_asked_for_a_sixth_of_its_life(servers, authority):
    """One of six days is renewed with three left, and has never two weeks."""
    for left, age, wanted in ((3, 3, ""), (0.5, 5.5, "wanted > 1 d"), (10, 35, ""), (13, 77, "wanted > 14 d")):
        told = tls(servers.start(answering(), authority.context(days=left, since=age)), authority)
        assert (told.verdict, wanted in (told.reason or "")) == ("fail" if wanted else "pass", True), (left, told)


def test_an_expired_certificate_and_a_port_without_tls(servers, authority):
    expired = tls(servers.start(answering(), authority.context(days=-1)), authority)
    assert (expired.verdict, "certificate has expired" in expired.reason) == ("fail", True)
    plain = tls(servers.start(sending(b"hello")), authority, timeout=0.5)
    assert plain.verdict == "fail"


def test_a_server_that_still_takes_an_old_protocol(servers, authority):
    port = servers.start(answering(), authority.context())
    assert tls(port, authority).verdict == "pass"
    result = tls(port, authority, minimum_protocol="1.3")
    assert (result.verdict, result.measured) == ("fail", "TLSv1.2")
    assert "still accepts TLSv1.2" in result.reason


# --- prometheus


def prometheus(servers, document, status="200 OK", **options):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    url = f"http://127.0.0.1:{servers.start(answering(body, status))}"
    return check(kind="prometheus", url=url, query="up", **{"limit": "= 1", **options})


def vector(*series):
    result = [{"metric": {"__name__": "up", "job": job}, "value": [1, value]} for job, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_prometheus_judges_every_series(servers):
    assert prometheus(servers, vector(("a", "1"), ("b", "1"))).verdict == "pass"
    result = prometheus(servers, vector(("a", "1"), ("b", "0")))
    assert (result.verdict, result.measured, result.limit) == ("fail", 0, "= 1")
    assert 'up for job="b" is 0, wanted = 1' in result.reason
    assert prometheus(servers, vector(("a", "0.002")), limit="< 0.1 %", unit="1").measured == pytest.approx(0.2)
    assert prometheus(servers, vector(("a", "NaN"))).verdict == "fail"
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}
    assert prometheus(servers, scalar).verdict == "pass"


def test_no_data_is_told_and_is_no_pass(servers):
    result = prometheus(servers, vector())
    assert (result.verdict, result.measured) == ("unknown", "no data")
    assert "has no data" in result.reason
    assert prometheus(servers, vector(), no_data="fail").verdict == "fail"
    assert prometheus(servers, vector(), no_data="pass").verdict == "pass"


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({"status": "error", "error": "parse error"}, "400 Bad Request", "parse error"),
        (b"<html>", "502 Bad Gateway", "answered 502 and no JSON"),
        ([], "200 OK", "refuses the query"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "200 OK", "gives a matrix"),
        ({"status": "success", "data": {}}, "200 OK", "does not answer as Prometheus does"),
        (
            {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}},
            "200 OK",
            "does not answer",
        ),
        (
            {
                "status": "success",
                "data": {
                    "resultType": "vector",
                    "result": [{"metric": {"job": "a"}, "histogram": [1, {"count": "3", "sum": "1.5", "buckets": []}]}],
                },
            },
            "200 OK",
            'up for job="a" is a native histogram and no number; ask for histogram_quantile',
        ),
    ],
)
def test_what_is_no_answer_of_prometheus_is_unknown(servers, document, status, reason):
    result = prometheus(servers, document, status)
    assert result.verdict == "unknown"
    assert reason in result.reason


# --- the host itself


def test_command_by_status_and_output():
    assert check(kind="command", argv=["sh", "-c", "echo ready; exit 3"], status=3, matches="^ready$").verdict == "pass"
    failed = check(kind="command", argv=["sh", "-c", "echo no >&2; exit 1"])
    assert (failed.measured, failed.reason) == (1, "it ended with status 1, wanted 0; it said: no")
    assert "does not match" in check(kind="command", argv=["echo", "x"], matches="y").reason
    assert "cannot be run" in check(kind="command", argv=["/no/such/program"]).reason
    assert check(kind="command", argv=["sh", "-c", "kill -9 $$"]).measured == -9


def test_a_command_may_say_that_it_could_not_find_out():
    unknown = check(kind="command", argv=["sh", "-c", "echo nobody looked; exit 69"], unknown_status=69)
    assert unknown.verdict == "unknown" and "nobody looked" in unknown.reason
    assert check(kind="command", argv=["sh", "-c", "exit 1"], unknown_status=69).verdict == "fail"


def test_a_command_may_say_that_it_does_not_apply():
    argv = ["sh", "-c", "echo no such kernel; exit 77"]
    skipped = check(kind="command", argv=argv, skip_status=77)
    assert (skipped.verdict, skipped.reason) == ("skip", "no such kernel")
    assert check(kind="command", argv=argv).verdict == "fail"
    assert check(kind="command", argv=["sh", "-c", "exit 1"], skip_status=77).verdict == "fail"


def test_a_command_is_killed_with_its_children(tmp_path):
    mark = tmp_path / "child"
    argv = ["sh", "-c", f"sleep 600 & echo $! > {mark}; sleep 600"]
    result = check(kind="command", argv=argv, timeout=3)
    assert "no answer within 3s" in result.reason
    child = Path("/proc") / mark.read_text().strip() / "stat"
    for _ in range(600):  # the kernel takes its time, and somebody has to collect it
        if not child.exists() or child.read_text().rpartition(")")[2].split()[0] in ("Z", "X"):
            return
        time.sleep(0.1)
    pytest.fail("the child goes on")


def test_a_command_that_never_stops_talking_is_bounded():
    result = check(kind="command", argv=["yes"], timeout=0.5)
    assert (result.verdict, result.reason) == ("fail", "no answer within 500ms, the timeout")


def test_file_by_age_and_size(tmp_path):
    for name, hours in (("old.dump", 30), ("new.dump", 1)):
        path = tmp_path / name
        path.write_bytes(b"x" * 2048)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    result = check(kind="file", path=str(tmp_path / "*.dump"), age="< 26 h", size="> 1 KiB")
    assert (result.verdict, result.measured, result.unit) == ("pass", pytest.approx(1, abs=0.5), "h")
    assert "wanted < 26 h" in check(kind="file", path=str(tmp_path / "old.dump"), age="< 26 h").reason
    assert "wanted > 1 MiB" in check(kind="file", path=str(tmp_path / "new.dump"), size="> 1 MiB").reason
    assert "nothing on this host matches" in check(kind="file", path=str(tmp_path / "*.gz"), age="< 26 h").reason
    assert check(kind="file", path=str(tmp_path / "*.gz"), exists=False).verdict == "pass"
    assert check(kind="file", path=str(tmp_path / "*.dump"), exists=False).verdict == "fail"


def test_disk(tmp_path):
    result = check(kind="disk", path=str(tmp_path), used="< 100 %", free="> 1 kB", inodes="<= 100 %")
    assert (result.verdict, result.unit, result.subject) == ("pass", "%", "host1")
    assert 0 < result.measured < 100
    assert "free space of" in check(kind="disk", path=str(tmp_path), used="<= 100 %", free="> 1000 TiB").reason
    assert "is not there" in check(kind="disk", path="/no/such/place").reason


def test_dns_and_tcp(servers):
    assert check(kind="dns", host="localhost", addresses=["127.0.0.1"], family="ipv4").verdict == "pass"
    assert check(kind="dns", host="::1", addresses=["0:0:0:0:0:0:0:1"]).verdict == "pass"
    assert "not to 10.9.9.9" in check(kind="dns", host="localhost", addresses=["10.9.9.9"]).reason
    assert check(kind="tcp", host="127.0.0.1", port=servers.start(silent), latency="< 60 s").verdict == "pass"


def test_what_could_not_be_made_is_unknown_for_its_reason_and_is_not_tried_again():
    result = check(Pace(), kind="unmeasured", id="operations.shop.checks", reason="port is undefined")
    assert (result.verdict, result.reason) == ("unknown", "port is undefined")


def test_container_without_an_engine_is_unknown(tmp_path):
    result = check(kind="container", container="web", socket=str(tmp_path / "docker.sock"))
    assert (result.verdict, "the Docker engine does not answer" in result.reason) == ("unknown", True)
