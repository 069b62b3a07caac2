"""HTTP as servers speak it: codings, character sets, odd headers, redirects. The client asks for none of it."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from health_servers import Authority, answering, check, request_head, sending


def gzipped(body: bytes) -> bytes:
    """The same in every process: pytest-xdist compares what its workers collect."""
    return gzip.compress(body, mtime=0)


def http(port, **options):
    return check(kind="http", url=f"http://127.0.0.1:{port}/", **options)


OK = json.dumps({"status": "ok"}).encode()
RAW = zlib.compressobj(wbits=-15)
RAW_OK = RAW.compress(OK) + RAW.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzipped(OK)),
        ("x-gzip", gzipped(OK)),
        ("gzip", gzipped(OK[:5]) + gzipped(OK[5:])),
        ("deflate", zlib.compress(OK)),
        ("deflate", RAW_OK),
        ("gzip, gzip", gzipped(gzipped(OK))),
        ("identity", OK),
        ("UTF-8", OK),  # no coding at all, but sent
    ],
)
def test_a_body_that_is_encoded_is_read(servers, coding, body):
    port = servers.start(answering(body, headers=f"Content-Encoding: {coding}\r\n"))
    assert http(port, json={"status": "ok"}, contains="status").reason is None
    assert http(port, json={"status": "down"}).verdict == "fail"


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_a_coding_that_cannot_be_read_is_unknown_where_the_body_matters(servers, coding):
    port = servers.start(answering(b"\x8b\x01\x80", headers=f"Content-Encoding: {coding}\r\n"))
    result = http(port, json={"status": "ok"})
    assert (result.verdict, f"in the coding {coding}" in (result.reason or "")) == ("unknown", True)
    assert http(port).verdict == "pass"


@pytest.mark.parametrize("body", [OK, gzipped(OK)[:-4], b"\x1f\x8b"])
def test_what_is_not_the_coding_it_says_fails(servers, body):
    result = http(servers.start(answering(body, headers="Content-Encoding: gzip\r\n")), json={"status": "ok"})
    assert (result.verdict, "is not valid HTTP/1.1" in (result.reason or "")) == ("fail", True)


def test_a_small_body_that_grows_large_is_read_to_its_first_mebibyte(servers):
    body = gzipped(b"begin" + b"x" * 20_000_000 + b"end")
    port = servers.start(answering(body, headers="Content-Encoding: gzip\r\n"))
    assert http(port, contains="begin").verdict == "pass"
    assert "only the first MiB was read" in (http(port, contains="end").reason or "")


def test_an_answer_without_a_body_may_name_a_coding(servers):
    port = servers.start(sending(b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n", then_wait=True))
    assert http(port, status=204).verdict == "pass"


@pytest.mark.parametrize(
    ("kind", "charset", "words"),
    [
        ("application/json; charset=ISO-8859-1", "latin-1", "geöffnet"),
        ('application/json; charset="EUC-KR"', "euc-kr", "정상"),
        ("application/json;charset=utf-8", "utf-8", "정상"),
        ("application/json", "utf-8-sig", "정상"),
        ("application/json", "utf-16", "정상"),
        ("application/json; charset=no-such", "utf-8", "정상"),
        ("application/json; charset=undefined", "utf-8", "정상"),
        ("application/json; charset=idna", "utf-8", "정상"),
        ("application/json; charset=zip", "utf-8", "정상"),
    ],
)
def test_the_character_set_is_the_servers(servers, kind, charset, words):
    body = json.dumps({"status": words}, ensure_ascii=False).encode(charset)
    port = servers.start(answering(body, headers=f"Content-Type: {kind}\r\n"))
    assert http(port, json={"status": words}).reason is None
    assert http(port, json={"status": "x"}).verdict == "fail"


@pytest.mark.parametrize("kind", ["text/html; charset=euc-kr", "text/html"])
def test_a_page_may_name_its_character_set_itself(servers, kind):
    page = '<html><head><meta charset="euc-kr"><title>정상</title>'.encode("euc-kr")
    port = servers.start(answering(page, headers=f"Content-Type: {kind}\r\n"))
    assert http(port, contains="정상", matches="정.<").verdict == "pass"


def test_deeply_nested_json_is_a_failure_and_no_exception(servers):
    result = http(servers.start(answering(b"[" * 200_000)), json={"a": 1})
    assert (result.verdict, "the body is not JSON" in (result.reason or "")) == ("fail", True)


@pytest.mark.parametrize(
    ("head", "passes"),
    [
        ("Content-Length: 2\r\nContent-Length: 2\r\n", True),
        ("Content-Length: 2, 2\r\n", True),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", False),
        ("Content-Length: +2\r\n", False),
        ("X-Folded: one\r\n  two\r\n\tthree\r\nContent-Length: 2\r\n", True),
        ("X-Folded : one two three\r\nContent-Length : 2\r\n", True),
        ("X-Folded: one\r\nx-folded: two three\r\nContent-Length: 2\r\n", False),
    ],
)
def test_odd_headers(servers, head, passes):
    port = servers.start(sending(f"HTTP/1.1 200 OK\r\n{head}\r\nok".encode(), then_wait=True))
    wanted = {"x-folded": "^one two three$"} if "olded" in head else None
    result = http(port, matches="^ok$", response_headers=wanted)
    assert (result.verdict == "pass") is passes, result.reason
    assert "broke" not in (result.reason or "")


def test_header_values_beyond_ascii(servers):
    raw = "X-Place: Zürich\r\n".encode() + "X-Old: Zürich\r\n".encode("latin-1")
    port = servers.start(sending(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + raw + b"\r\n", then_wait=True))
    assert http(port, response_headers={"X-Place": "^Zürich$", "X-Old": "^Zürich$"}).verdict == "pass"


class Recorder:
    """Answers requests and keeps their heads."""

    def __init__(self, body: bytes = b"here") -> None:
        self.heads: list[str] = []
        self._body = body

    async def __call__(self, reader, writer):
        self.heads.append((await request_head(reader)).decode())
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(self._body) + self._body
        )
        await writer.drain()


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/Übersicht?q=é".encode(), "/%C3%9Cbersicht?q=%C3%A9"),
        ("/정상".encode("euc-kr"), "/%C1%A4%BB%F3"),
        (b"/a b", "/a%20b"),
        (b"/a%20b", "/a%20b"),
    ],
)
def test_a_location_as_servers_write_it_is_followed(servers, location, asked):
    target = Recorder()
    port = servers.start(target)
    start = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:%d" % port + location + b"\r\n\r\n"
    assert http(servers.start(sending(start)), redirects=1, contains="here").verdict == "pass"
    assert target.heads[0].startswith(f"GET {asked} HTTP/1.1\r\n")


def test_a_redirect_without_a_location_is_an_answer(servers):
    result = http(servers.start(answering(b"", "302 Found")), redirects=3)
    assert (result.verdict, result.measured) == ("fail", 302)


@pytest.mark.parametrize(("status", "method"), [("303 See Other", "GET"), ("302 Found", "GET"), ("307 Again", "POST")])
def test_what_was_posted_is_posted_again_only_where_the_server_says_so(servers, status, method):
    seen = []

    async def handler(reader, writer):
        head = (await request_head(reader)).decode()
        seen.append(head.split()[0])
        if "Content-Length: 3" in head:
            await reader.readexactly(3)
        first = f"HTTP/1.1 {status}\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
        writer.write((first if len(seen) == 1 else "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").encode())
        await writer.drain()

    assert http(servers.start(handler), method="POST", body="a=1", redirects=1).verdict == "pass"
    assert seen == ["POST", method]


def test_a_name_beyond_ascii_is_sent_as_dns_has_it(servers, tmp_path):
    plain, secure = Recorder(), Recorder()
    address = f"127.0.0.1:{servers.start(plain)}"
    assert check(kind="http", url="http://bücher.example/süß", address=address).verdict == "pass"
    assert plain.heads[0].startswith("GET /s%C3%BC%C3%9F HTTP/1.1\r\n")
    assert "\r\nHost: xn--bcher-kva.example\r\n" in plain.heads[0]
    authority = Authority.make(tmp_path)
    port = servers.start(secure, authority.context("xn--bcher-kva.example"))
    options = {"address": f"127.0.0.1:{port}", "ca": authority.file}
    assert check(kind="http", url="https://bücher.example/", **options).reason is None


def test_a_redirect_to_https_keeps_the_address_of_its_host(servers, tmp_path):
    authority, seen = Authority.make(tmp_path), Recorder()
    secure = servers.start(seen, authority.context())
    plain = servers.start(answering(b"", "301 Moved", f"Location: https://shop.test:{secure}/\r\n"))
    options = {"ca": authority.file, "redirects": 1, "username": "ann", "password": "secret"}
    for address in ("127.0.0.1", f"127.0.0.1:{plain}"):
        result = check(kind="http", url=f"http://shop.test:{plain}/", address=address, contains="here", **options)
        assert result.reason is None
    assert all("authorization" not in head.lower() for head in seen.heads)
    elsewhere = servers.start(answering(b"", "301 Moved", f"Location: https://other.invalid:{secure}/\r\n"))
    lost = check(kind="http", url=f"http://shop.test:{elsewhere}/", address="127.0.0.1", **options)
    assert "the name other.invalid does not resolve" in (lost.reason or "")
