"""A content security policy that is tried and then enforced, and what browsers report of it."""

from __future__ import annotations

import json
import uuid

import pytest
from edge_client import Answer
from machine import until

LOG = "/var/log/nginx/csp.log"
TRIED = "default-src 'self'; img-src *; report-uri /csp-reports; report-to csp"
ENFORCED = "default-src 'none'; report-uri /told; report-to csp"
BUSY, KEPT = "https://busy.example.test", "https://kept.example.test"


@pytest.fixture
def tell(host):
    """Posts a report as browsers do."""

    def send(content, url=f"{BUSY}/csp-reports", address="127.4.0.1"):
        host.run("printf '%%s' %s > /tmp/report", content)
        kind = "-H 'Content-Type: application/csp-report'"
        return Answer(host, url, f"--data-binary @/tmp/report {kind} --interface {address}")

    return send


def reports(host):
    return [json.loads(line) for line in host.file(LOG).content_string.splitlines()]


def test_a_policy_is_tried_beside_the_one_that_holds(host):
    for path in ("/", "/missing"):
        answer = Answer(host, f"{BUSY}{path}")
        assert answer.lacks(content_security_policy_report_only=TRIED) == {}
        assert answer.headers["reporting-endpoints"] == ['csp="/csp-reports"']


def test_a_policy_is_enforced_instead_of_the_one_of_all_sites(host):
    answer = Answer(host, f"{KEPT}/")
    assert answer.lacks(content_security_policy=ENFORCED) == {}
    assert "content-security-policy-report-only" not in answer.headers


def test_a_report_is_taken_and_written_down(host, tell):
    blocked = f'https://evil.example.test/{uuid.uuid4()}"\\'
    answer = tell(json.dumps({"csp-report": {"blocked-uri": blocked, "note": "줄\n바꿈"}}))
    assert (answer.status, answer.body) == (204, "")
    assert answer.lacks(content_security_policy_report_only=TRIED) == {}
    identity = answer.headers["x-request-id"][0]
    assert until(lambda: any(line["request_id"] == identity for line in reports(host)), 15)
    line = reports(host)[-1]
    assert json.loads(line["report"])["csp-report"] == {"blocked-uri": blocked, "note": "줄\n바꿈"}
    assert (line["client"], line["host"], line["type"]) == ("127.4.0.1", "busy.example.test", "application/csp-report")


def test_reports_are_not_for_everybody_on_the_host(host):
    assert host.run(f"runuser -u nobody -- cat {LOG}").rc != 0


def test_a_path_of_ones_own_for_reports(host, tell):
    assert tell("{}", f"{KEPT}/told", "127.4.0.2").status == 204
    assert tell("{}", f"{KEPT}/csp-reports", "127.4.0.2").status != 204


def test_what_is_no_report_is_refused_and_not_written_down(host, tell):
    before = len(reports(host))
    asked = Answer(host, f"{BUSY}/csp-reports")
    large = tell("x" * 20000, address="127.4.0.3")
    assert (asked.status, large.status) == (405, 413)
    statuses = [tell("{}", address="127.4.0.4").status for _ in range(12)]
    assert statuses[:6] == [204] * 6 and 429 in statuses
    assert tell("{}", address="127.4.0.5").status == 204
    told = 1 + statuses.count(204)
    assert until(lambda: len(reports(host)) == before + told, 15)
    assert asked.lacks() == large.lacks() == {}
