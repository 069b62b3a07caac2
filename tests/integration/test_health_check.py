"""HTTP checks against real servers on loopback: good ones, and every way of being bad that we could think of."""

from __future__ import annotations

import json

import pytest
from health_servers import (
    answering,
    check,
    closed_port,
    dripping,
    request_head,
    resetting,
    sending,
    silent,
)


def http(port, **options):
    return check(kind="http", url=f"http://127.0.0.1:{port}/", **options)


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
        latency="< 60 s",
    )
    assert result.verdict == "pass"
    assert result.reason is None
    assert result.subject == f"http://127.0.0.1:{port}/"
    assert result.source.startswith("health_check/http ")
    assert (result.unit, result.limit) == ("s", "< 60")
    assert 0 < result.measured < 60


@pytest.mark.parametrize(
    ("found", "wanted", "kept"),
    [
        (1, 1.0, True),
        (1, "1", True),
        (True, "True", True),
        (True, "true", True),
        (None, "None", True),
        ({"a": [1, "x"]}, {"a": [1.0, "x"]}, True),
        (20261129010101, "= 20261129010102", False),
        (9007199254740993, 9007199254740992, False),
        ("1.1", "= 1.10", False),
        ("1.10", "= 1.10", True),
        (True, 1, False),
        ({"a": True}, {"a": 1}, False),
        ("1", 1, False),
        ("OK", "ok", False),
        ("ok", "= OK", False),
        ("ready", "!= Ready", True),
    ],
)
def test_equal_in_json_means_equal(servers, found, wanted, kept):
    port = servers.start(answering(json.dumps({"value": found}).encode()))
    assert (http(port, json={"value": wanted}).verdict == "pass") is kept


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
    assert result.measured >= 20
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


# --- bad servers


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
    result = http(servers.start(handler), timeout=0.3 if "300ms" in reason else 60)
    assert result.verdict == "fail"
    assert reason in result.reason


def test_a_large_body_is_read_to_its_first_mebibyte(servers):
    large = b"begin" + b"x" * 10_000_000 + b"end"
    assert http(servers.start(answering(large)), contains="begin").verdict == "pass"
    result = http(servers.start(answering(large)), contains="end")
    assert (result.verdict, "only the first MiB" in result.reason) == ("fail", True)
    assert len(result.measured) < 200
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n989680\r\n" + b"y" * 10_000_000 + b"\r\n0\r\n\r\n"
    assert http(servers.start(sending(chunked)), contains="yyy").verdict == "pass"


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

    result = http(servers.start(one_each), requests=20, latency="< 60 s")
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
