"""Health checks against real servers on loopback: good ones, and every way of being bad that we could think of."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from health_servers import (
    Authority,
    Servers,
    answering,
    closed_port,
    dripping,
    request_head,
    resetting,
    sending,
    silent,
)

ONCE = Pace(deadline=0, timeout=2)


@pytest.fixture(scope="module")
def servers():
    running = Servers()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.make(tmp_path_factory.mktemp("authority"))


def check(pace=ONCE, **definition):
    (result,) = run(define([definition], KINDS), pace, "host1")
    return result


def http(port, **options):
    return check(kind="http", url=f"http://127.0.0.1:{port}/", **options)


# --- http: what a good answer is


def test_a_healthy_answer_passes(servers):
    port = servers.start(
        answering(json.dumps({"status": "ok", "queue": {"depth": 3}, "nodes": [{"up": True}]}).encode())
    )
    result = http(
        port,
        contains="queue",
        matches=r'"depth": \d',
        json={"status": "ok", "queue.depth": "< 10", "nodes[0].up": True},
        response_headers={"content-length": r"^\d+$"},
        latency="< 1 s",
    )
    assert result.verdict == "pass"
    assert result.reason is None
    assert result.subject == f"http://127.0.0.1:{port}/"
    assert result.source.startswith("health_check/http ")
    assert (result.unit, result.limit) == ("s", "< 1")
    assert 0 < result.measured < 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"status": 201}, "answered 200, wanted 201; it said: {"),
        ({"contains": "bananas"}, "does not contain 'bananas'"),
        ({"matches": "^x$"}, "does not match ^x$"),
        ({"json": {"status": "down"}}, "status in the JSON body is 'ok', wanted 'down'"),
        ({"json": {"queue.depth": "< 3"}}, "queue.depth in the JSON body is 3, wanted < 3"),
        ({"json": {"queue.length": 3}}, "nothing at queue.length"),
        ({"json": {"status": "!= ok"}}, "wanted != ok"),
        ({"response_headers": {"Strict-Transport-Security": "."}}, "no header Strict-Transport-Security"),
        ({"response_headers": {"Content-Length": "^0$"}}, "does not match ^0$"),
        ({"latency": "< 0.001 ms"}, "the time of the answer is"),
    ],
)
def test_each_condition_can_fail(servers, options, reason):
    result = http(servers.start(answering(b'{"status": "ok", "queue": {"depth": 3}}')), **options)
    assert result.verdict == "fail"
    assert reason in result.reason


@pytest.mark.parametrize("raw", [b"{", b'{"a": 1} trailing', b"", b"\xff\xfe", b"<html>"])
def test_broken_json_is_a_failure_and_no_exception(servers, raw):
    result = http(servers.start(answering(raw)), json={"a": 1})
    assert result.verdict == "fail"
    assert "the body is not JSON" in result.reason


def test_latency_percentile_over_many_requests_on_one_connection(servers):
    before = servers.accepted
    result = http(servers.start(answering(delay=0.02)), requests=10, percentile=50, latency="< 15 ms")
    assert result.verdict == "fail"
    assert 20 <= result.measured < 200
    assert (result.reason or "").startswith("P50 of 10 requests is ")
    assert servers.accepted == before + 1


def test_chunked_and_unframed_bodies(servers):
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    assert http(servers.start(sending(chunked)), matches="^hello world$").verdict == "pass"
    assert http(servers.start(sending(b"HTTP/1.0 200 OK\r\n\r\nhello")), matches="^hello$").verdict == "pass"
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    assert http(servers.start(sending(interim, then_wait=True)), status="2xx").verdict == "pass"


def test_credentials_host_name_and_body_are_sent(servers):
    heads = []

    async def handler(reader, writer):
        heads.append(await request_head(reader) + await reader.readexactly(7))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    port = servers.start(handler)
    result = check(
        kind="http",
        url="http://shop.test/login?next=1",
        address=f"127.0.0.1:{port}",
        method="POST",
        username="ann",
        password="secret",
        headers={"X-Token": "t0k", "User-Agent": "probe"},
        body="a=1&b=2",
    )
    assert result.verdict == "pass"
    head = heads[0].decode()
    assert head.startswith("POST /login?next=1 HTTP/1.1\r\n")
    for line in ("Host: shop.test", "Authorization: Basic YW5uOnNlY3JldA==", "X-Token: t0k", "User-Agent: probe"):
        assert f"\r\n{line}\r\n" in head
    assert head.count("User-Agent") == 1
    assert head.endswith("\r\n\r\na=1&b=2")


# --- http: bad servers


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (silent, "no answer within 300ms, the timeout"),
        (dripping, "no answer within 300ms, the timeout"),
        (resetting, "the connection was reset"),
        (sending(b""), "closed without an answer"),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"), "closed in the middle of the answer"),
        (sending(b"SSH-2.0-OpenSSH_10.0\r\n"), "begins with 'SSH-2.0-OpenSSH_10.0'"),
        (sending(b"HTTP/1.1 abc\r\n\r\n"), "is not valid HTTP"),
        (sending(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), "without a colon"),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), "is not valid HTTP"),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "is not valid HTTP"),
        (sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx"), "is not valid HTTP"),
        (sending(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), "is not valid HTTP"),
        (sending(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n"), "more than 256 header lines"),
        (sending(b"HTTP/1.1 200 OK\r\nX: 1\r\n", then_wait=True), "no answer within 300ms"),
    ],
)
def test_bad_servers(servers, handler, reason):
    started = time.monotonic()
    result = http(servers.start(handler), timeout=0.3)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert time.monotonic() - started < 1


def test_a_large_body_is_read_to_its_first_mebibyte(servers):
    large = b"begin" + b"x" * 10_000_000 + b"end"
    started = time.monotonic()
    assert http(servers.start(answering(large)), contains="begin").verdict == "pass"
    result = http(servers.start(answering(large)), contains="end")
    assert (result.verdict, "only the first MiB" in result.reason) == ("fail", True)
    assert len(result.measured) < 200
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n989680\r\n" + b"y" * 10_000_000 + b"\r\n0\r\n\r\n"
    assert http(servers.start(sending(chunked)), contains="yyy").verdict == "pass"
    assert time.monotonic() - started < 3


def test_redirects(servers):
    target = servers.start(answering(b"here"))
    to_target = f"Location: http://127.0.0.1:{target}/there\r\n"
    port = servers.start(answering(b"", "302 Found", to_target))
    assert http(port).measured == 302
    assert http(port, redirects=1, contains="here").verdict == "pass"
    loop = http(servers.start(answering(b"", "301 Moved", "Location: /again\r\n")), redirects=5)
    assert (loop.verdict, "more than 5 redirects" in loop.reason) == ("fail", True)
    nowhere = http(servers.start(answering(b"", "302 Found", "Location: mailto:ann@shop.test\r\n")), redirects=1)
    assert (nowhere.verdict, "redirects to what is no URL" in nowhere.reason) == ("fail", True)


def test_credentials_stay_with_their_origin(servers):
    seen = []

    async def elsewhere(reader, writer):
        seen.append((await request_head(reader)).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    target = servers.start(elsewhere)
    port = servers.start(answering(b"", "307 Moved", f"Location: http://127.0.0.1:{target}/\r\n"))
    result = http(port, redirects=1, username="ann", password="secret", headers={"X-Token": "t0k"})
    assert result.verdict == "pass"
    assert "authorization" not in seen[0] and "x-token" not in seen[0]


def test_an_idle_connection_that_the_server_closed_is_no_failure(servers):
    async def one_each(reader, writer):
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()  # keeps quiet about closing

    result = http(servers.start(one_each), requests=20, latency="< 1 s")
    assert result.verdict == "pass"


def test_nothing_listens_and_no_such_name():
    with closed_port() as port:
        assert "nothing listens there" in http(port).reason
        assert "nothing listens there" in check(kind="tcp", host="127.0.0.1", port=port).reason
    for definition in (
        {"kind": "http", "url": "http://no-such-host.invalid/"},
        {"kind": "dns", "host": "no-such.invalid"},
    ):
        result = check(**definition)
        assert (result.verdict, "does not resolve" in result.reason) == ("fail", True)


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
        ({"status": "success", "data": {}}, "200 OK", "the check itself broke"),
    ],
)
def test_what_is_no_answer_of_prometheus_is_unknown(servers, document, status, reason):
    result = prometheus(servers, document, status)
    assert result.verdict == "unknown"
    assert reason in result.reason


# --- time


def test_a_check_is_tried_again_until_it_is_healthy(servers):
    started = time.monotonic()

    async def ready_later(reader, writer):
        await request_head(reader)
        status = "200 OK" if time.monotonic() - started > 0.5 else "503 Not Yet"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    result = check(
        Pace(deadline=5, interval=0.1, timeout=1), kind="http", url=f"http://127.0.0.1:{servers.start(ready_later)}/"
    )
    assert result.verdict == "pass"
    assert 0.5 < result.took < 1.5


def test_the_deadline_cuts_a_longer_timeout(servers):
    started = time.monotonic()
    pace = Pace(deadline=0.4, interval=0.1, timeout=30)
    result = check(pace, kind="http", url=f"http://127.0.0.1:{servers.start(silent)}/")
    assert result.verdict == "fail"
    assert "then the deadline had passed" in result.reason
    assert time.monotonic() - started < 1


def test_a_check_may_have_its_own_deadline(servers):
    result = check(
        Pace(deadline=60, interval=0.1, timeout=0.2),
        kind="http",
        url=f"http://127.0.0.1:{servers.start(silent)}/",
        deadline="500ms",
    )
    assert result.verdict == "fail"
    assert result.took < 1


def test_a_thousand_checks_with_half_of_them_hanging_end_at_the_deadline(servers):
    good, bad = servers.start(answering()), servers.start(silent)
    ports = [bad if number % 2 else good for number in range(1000)]
    checks = define([{"kind": "http", "url": f"http://127.0.0.1:{port}/"} for port in ports], KINDS)
    started = time.monotonic()
    results = run(checks, Pace(deadline=6, interval=0.2, timeout=0.5, concurrency=200), "host1")
    assert time.monotonic() - started < 8
    assert [result.verdict for result in results] == ["fail" if port == bad else "pass" for port in ports]


def test_what_never_got_its_turn_says_so(servers):
    url = f"http://127.0.0.1:{servers.start(silent)}/"
    started = time.monotonic()
    results = run(define([{"kind": "http", "url": url}] * 3, KINDS), Pace(deadline=0.5, timeout=9, concurrency=1), "h")
    assert [result.verdict for result in results] == ["fail", "unknown", "unknown"]
    assert "never tried" in str(results[2].reason)
    assert time.monotonic() - started < 1.5


def test_blocking_work_is_left_behind_at_the_deadline(monkeypatch):
    monkeypatch.setattr("os.statvfs", lambda path: time.sleep(30))
    started = time.monotonic()
    assert check(Pace(deadline=0.3, timeout=9), kind="disk").verdict == "fail"
    assert time.monotonic() - started < 1


def test_results_keep_the_order_of_the_checks(servers):
    ports = [servers.start(answering(delay=delay)) for delay in (0.3, 0.0, 0.15)]
    results = run(define([{"kind": "http", "url": f"http://127.0.0.1:{p}/"} for p in ports], KINDS), ONCE, "host1")
    assert [result.subject for result in results] == [f"http://127.0.0.1:{port}/" for port in ports]
    assert max(result.took for result in results) < 0.6


def test_no_more_attempts_at_once_than_allowed(servers):
    running = peak = 0

    async def counting(reader, writer):
        nonlocal running, peak
        await request_head(reader)
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.05)
        running -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    url = f"http://127.0.0.1:{servers.start(counting)}/"
    run(define([{"kind": "http", "url": url}] * 30, KINDS), Pace(deadline=5, concurrency=7), "host1")
    assert peak == 7


# --- the host itself


def test_command_by_status_and_output():
    assert check(kind="command", argv=["sh", "-c", "echo ready; exit 3"], status=3, matches="^ready$").verdict == "pass"
    failed = check(kind="command", argv=["sh", "-c", "echo no >&2; exit 1"])
    assert (failed.measured, failed.reason) == (1, "it ended with status 1, wanted 0; it said: no")
    assert "does not match" in check(kind="command", argv=["echo", "x"], matches="y").reason
    assert "cannot be run" in check(kind="command", argv=["/no/such/program"]).reason
    assert check(kind="command", argv=["sh", "-c", "kill -9 $$"]).measured == -9


def test_a_command_is_killed_with_its_children(tmp_path):
    mark = tmp_path / "mark"
    result = check(kind="command", argv=["sh", "-c", f"(sleep 1; touch {mark}) & sleep 60"], timeout=0.3)
    assert "no answer within 300ms" in result.reason
    time.sleep(1.2)
    assert not mark.exists()


def test_a_command_that_never_stops_talking_is_bounded():
    started = time.monotonic()
    assert check(kind="command", argv=["yes"], timeout=0.5).verdict == "fail"
    assert time.monotonic() - started < 2


def test_file_by_age_and_size(tmp_path):
    for name, hours in (("old.dump", 30), ("new.dump", 1)):
        path = tmp_path / name
        path.write_bytes(b"x" * 2048)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    result = check(kind="file", path=str(tmp_path / "*.dump"), age="< 26 h", size="> 1 KiB")
    assert (result.verdict, result.measured, result.unit) == ("pass", pytest.approx(1, abs=0.01), "h")
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
    assert "not to 10.9.9.9" in check(kind="dns", host="localhost", addresses=["10.9.9.9"]).reason
    assert check(kind="tcp", host="127.0.0.1", port=servers.start(silent), latency="< 1 s").verdict == "pass"


def test_container_without_an_engine_is_unknown(tmp_path):
    result = check(kind="container", container="web", socket=str(tmp_path / "docker.sock"))
    assert (result.verdict, "the Docker engine does not answer" in result.reason) == ("unknown", True)
