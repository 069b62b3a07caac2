"""Compression by Brotli, which is off until it is asked for: who takes it gets it, and nobody else."""

from __future__ import annotations

import json
import uuid

import pytest
from edge_client import Answer, converge
from machine import crowding, until

KEPT = "https://kept.example.test"
CODINGS = [("br", "br"), ("gzip", "gzip"), ("gzip, deflate, br, zstd", "br"), ("br;q=0, gzip", "gzip"), ("", None)]


def ask(host, path, accepted="", *options, site="https://www.example.test"):
    """What a client gets that takes these codings; curl reads what is compressed only when it is told to."""
    taken = f"--compressed -H 'Accept-Encoding: {accepted}'" if accepted else ""
    return Answer(host, f"{site}{path}", taken, *options)


def coding(answer):
    return answer.headers.get("content-encoding", [None])[0]


@pytest.fixture(scope="module")
def edge(host):
    """The edge with Brotli; before and after, nobody gets it."""
    assert coding(ask(host, "/much", "gzip, br")) == "gzip"
    run = converge(nginx_brotli=True)
    assert run.code == 0, run.said[-3000:]
    again = converge(nginx_brotli=True)
    assert (again.code, again.changed) == (0, 0), again.said[-3000:]
    assert until(lambda: coding(ask(host, "/much", "br")) == "br", 15 * crowding())
    yield host
    assert converge().code == 0
    assert until(lambda: coding(ask(host, "/much", "br")) is None, 15 * crowding())
    assert coding(ask(host, "/much", "gzip, br")) == "gzip"


@pytest.mark.parametrize(("accepted", "expected"), CODINGS)
@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
def test_a_client_gets_what_it_takes(edge, accepted, expected, protocol):
    answer = ask(edge, "/much", accepted, protocol)
    assert (answer.status, coding(answer), answer.lacks()) == (200, expected, {})
    assert "Accept-Encoding" in answer.headers["vary"]
    assert json.loads(answer.body)["path"] == "/much"


def test_files_are_compressed_too(edge):
    edge.check_output(
        "seq 5000 > /var/www/site/static/numbers.txt; head -c 5000 /dev/zero > /var/www/site/static/program.bin"
    )
    answers = {accepted: ask(edge, "/static/numbers.txt", accepted) for accepted in ("br", "gzip", "")}
    assert [coding(answer) for answer in answers.values()] == ["br", "gzip", None]
    assert len({answer.body for answer in answers.values()}) == 1
    assert coding(ask(edge, "/static/program.bin", "gzip, br")) is None


def test_what_is_small_compressed_or_comes_in_pieces_is_left_alone(edge):
    assert coding(ask(edge, "/little", "gzip, br")) is None
    pools = ask(edge, "/compressed", "gzip, br")
    assert (pools.headers["content-encoding"], json.loads(pools.body)) == (["gzip"], {"compressed": "by the pool"})
    streamed = ask(edge, "/events/much", "gzip, br")
    assert (coding(streamed), json.loads(streamed.body)["path"]) == (None, "/events/much")


@pytest.mark.parametrize("first", ["", "br", "gzip"])
def test_a_kept_answer_goes_to_each_as_it_takes_it(edge, first):
    """Whoever came first."""
    page = f"/much/{uuid.uuid4()}"
    seen = [ask(edge, page, accepted, site=KEPT) for accepted in (first, "", "br", "gzip", "")]
    assert [answer.headers["x-cache-status"] for answer in seen] == [["MISS"], *[["HIT"]] * 4]
    assert [coding(answer) for answer in seen[1:]] == [None, "br", "gzip", None]
    assert len({answer.body for answer in seen}) == 1
    assert all("Accept-Encoding" in answer.headers["vary"] for answer in seen)


def test_brotli_alone(edge):
    """Without gzip a kept answer is plain in the cache too, and whoever takes no Brotli gets it so."""
    assert converge(nginx_brotli=True, nginx_gzip=False).code == 0
    assert until(lambda: coding(ask(edge, "/much", "gzip")) is None, 15 * crowding())
    page = f"/much/{uuid.uuid4()}"
    seen = [ask(edge, page, accepted, site=KEPT) for accepted in ("gzip, br", "gzip", "")]
    assert [coding(answer) for answer in seen] == ["br", None, None]
    assert all("Accept-Encoding" in answer.headers["vary"] for answer in seen)
    assert "accept-encoding" not in json.loads(seen[0].body)["headers"]
