"""Clients that are slow, greedy or not welcome: they do not take the place of others."""

from __future__ import annotations

import json

import pytest
from edge_client import Answer
from machine import until

BUSY = "https://busy.example.test/"
GREEDY = "127.3.0.1"
CLIENTS = "/usr/local/lib/clients.py"


def test_slow_clients_do_not_keep_others_out(host):
    """200 clients send a header or a body and never end it; all others are served meanwhile."""
    seen = json.loads(host.check_output(f"python3 {CLIENTS} crowd 100"))
    print("with 200 slow clients, seconds of an answer:", seen["p50"], "(median)", seen["p99"], "(p99)")
    assert seen["statuses"] == {"200": 100}
    assert seen["slow"] == 200


@pytest.fixture
def greedy(host):
    """One client has as many requests under way as it may."""
    process = host.check_output(f"setsid python3 {CLIENTS} hold 8 {GREEDY} >/tmp/held 2>&1 & echo $!")
    assert until(lambda: host.file("/tmp/held").content_string == "8\n"), host.file("/tmp/held").content_string
    yield process
    host.run(f"kill {process}")


def test_one_client_has_so_many_requests_at_a_time_and_others_have_theirs(host, greedy):
    as_greedy = f"--interface {GREEDY}"
    for options in (["--http1.1"], ["--http2"]):
        refused = Answer(host, BUSY, as_greedy, *options)
        assert (refused.status, refused.headers["retry-after"]) == (429, ["60"])
        assert refused.lacks() == {}
    assert Answer(host, BUSY).status == 200
    host.check_output(f"kill {greedy}")
    assert until(lambda: Answer(host, BUSY, as_greedy).status == 200)


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 200),
        ("a BadBot/2.0", 403),  # of every site
        ('scan\\"ner/0.12;', 403),
        ('scan\\"ner/1.0;', 200),
        ("", 403),
    ],
)
def test_user_agents_that_are_refused(host, agent, status):
    answer = Answer(host, BUSY, f'-H "User-Agent: {agent}"' if agent else "-H User-Agent:")
    assert (answer.status, answer.lacks()) == (status, {})
    if status == 403:
        assert "<h1>403</h1>" in answer.body and answer.headers["x-request-id"][0] in answer.body


def test_a_refused_agent_of_one_site_may_see_another(host):
    assert Answer(host, "https://www.example.test/", "-H User-Agent:").status == 200
    assert Answer(host, "https://www.example.test/", "-A badbot").status == 403
