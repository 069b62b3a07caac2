"""Pools that speak TLS: who they are is verified, or they get no request."""

from __future__ import annotations

import json

import pytest
from edge_client import Answer
from machine import until

ERRORS = "/var/log/nginx/error.log"


@pytest.fixture
def get(host):
    return lambda path: Answer(host, f"https://www.example.test{path}")


def test_a_pool_is_asked_over_tls_and_sees_the_edges_certificate(get):
    answer = get("/tls")
    assert (answer.status, answer.lacks()) == (200, {})
    shown = json.loads(answer.body)["shown"]
    assert ["DNS", "edge-client.example.test"] in shown["subjectAltName"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/tls-of-a-stranger", "upstream SSL certificate verify error: (18:self-signed certificate)"),
        ("/tls-of-another-name", 'upstream SSL certificate does not match "other.example.test"'),
        ("/tls-that-is-old", "tlsv1 alert protocol version"),
        ("/tls-without-mine", "certificate required"),
    ],
)
def test_what_is_not_meant_gets_no_request_and_the_log_says_why(host, get, path, reason):
    answer = get(path)
    assert (answer.status, answer.lacks()) == (502, {})
    line = f'"GET {path} HTTP'
    assert until(
        lambda: any(reason in each and line in each for each in host.file(ERRORS).content_string.splitlines()), 15
    ), host.check_output(f"tail -n 5 {ERRORS}")
