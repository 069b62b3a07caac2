"""Each attempt on a site has an answer that keeps to what the inventory promises, and one that does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.attack import attack_announced, attack_results, attack_sites
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import (
    FORGED_ADDRESS,
    FORGED_ID,
    NOBODY,
    Attempt,
    Site,
    ban_problem,
    order,
    plan,
    requests,
)
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack_verdict import Judge, Outcome
from attack_sample import EDGE, SHOP

OWN = "192.0.2.9"


def answer(status: int = 200, told: str = "", error: str = "", **headers: str) -> dict[str, Any]:
    known = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"status": status, "headers": known, "told": told, "error": error}


HTTPS = answer(308, location="https://shop.example.test/")
KEPT: dict[str, list[dict[str, Any]]] = {
    "unknown_host": [answer(0, "closed")],
    "unknown_name": [answer(0, "handshake refused")],
    "large_body": [answer(413)],
    "trace": [answer(405)],
    "plain_http": [HTTPS],
    "old_tls.1.0": [answer(0, "handshake refused")],
    "old_tls.1.1": [answer(0, "handshake refused")],
    "rate_limit": [answer(404)] * 5 + [answer(429, retry_after="60")] * 3,
    "forged.X-Forwarded-Host": [HTTPS],
    "forged.X-Forwarded-Proto": [HTTPS],
}


def site(edge: dict[str, Any] | None = None, **change: Any) -> Site:
    declared = {name: value for name, value in (SHOP | change).items() if value is not None}
    return Site.read(json.loads(json.dumps(attack_sites([declared], EDGE | (edge or {}))[0])))


def good(attempt: Attempt) -> list[dict[str, Any]]:
    """What comes back of an edge that keeps every promise."""
    if attempt.id in KEPT:
        return KEPT[attempt.id]
    refused = attempt.group in ("payloads", "scanners", "hidden")
    return [answer(403 if refused else 200, x_request_id=f"id-{attempt.id}")]


def line(attempt: Attempt, client: str = OWN) -> str:
    upstream = "" if attempt.group in ("payloads", "scanners", "hidden") else "127.0.0.1:18000"
    return json.dumps({"request_id": f"id-{attempt.id}", "client": client, "upstream": upstream})


def outcomes(
    about: Site, instead: Mapping[str, Any] | None = None, log: list[str] | None = None, error: str = ""
) -> dict[str, Outcome]:
    """By attempt; ``instead`` are answers that are others than the good ones, by the attempt's id."""
    given = dict(instead or {})
    answers = {one.id: given.get(one.id, good(one)) for one in plan(about)}
    assert set(given) <= set(answers)
    sent = {"site": about.name, "at": "2026-11-30T00:00:00Z", "took": 4.0, "own": OWN, "error": error}
    lines = [line(one) for one in plan(about)] if log is None else log
    return {one.id: one for one in Judge(about, sent | {"answers": answers}, lines).outcomes()}


def verdicts(found: Mapping[str, Outcome]) -> set[str]:
    return {one.verdict for one in found.values()}


def test_an_edge_that_keeps_every_promise_passes() -> None:
    found = outcomes(site())
    assert verdicts(found) == {"pass"}
    assert {one.id.partition(".")[2] for one in found.values() if one.group == "payloads"} == {"query", "form", "json"}


LET_THROUGH = {
    **{one.id: [answer(200)] for one in plan(site()) if one.group in ("payloads", "scanners", "hidden")},
    "forged.X-Request-ID": [answer(200, x_request_id=FORGED_ID)],
    "forged.X-Forwarded-Host": [answer(308, location=f"https://{NOBODY}/")],
    "forged.X-Forwarded-Proto": [answer(200)],
    "unknown_host": [answer(200)],
    "unknown_name": [answer(200)],
    "large_body": [answer(200)],
    "trace": [answer(200)],
    "plain_http": [answer(200)],
    "old_tls.1.0": [answer(200)],
    "old_tls.1.1": [answer(200)],
    "rate_limit": [answer(404)] * 8,
    "ordinary.page": [answer(200), answer(403)],
    "ordinary.query": [answer(503)],
    "ordinary.json": [answer(0, "closed")],
}
BELIEVED = ("forged.X-Forwarded-For", "forged.X-Real-IP", "forged.CF-Connecting-IP")


def test_every_attempt_has_an_answer_that_fails() -> None:
    assert set(LET_THROUGH) | set(BELIEVED) == {one.id for one in plan(site())}


@pytest.mark.parametrize("id", LET_THROUGH)
def test_what_is_let_through_fails_alone_and_says_what_came_back(id: str) -> None:
    found = outcomes(site(), {id: LET_THROUGH[id]})
    assert {one.id for one in found.values() if one.verdict != "pass"} == {id}
    assert found[id].verdict == "fail" and found[id].reason


@pytest.mark.parametrize("id", BELIEVED)
def test_a_forged_address_is_believed_when_the_edges_own_log_has_it(id: str) -> None:
    attempts = plan(site())
    log = [line(one, FORGED_ADDRESS if one.id == id else OWN) for one in attempts]
    found = outcomes(site(), log=log)
    assert {one.id for one in found.values() if one.verdict != "pass"} == {id}
    assert found[id].reason == f"{id.partition('.')[2]} of a client is believed: the log has {FORGED_ADDRESS}"
    assert outcomes(site(), log=[])[id].verdict == "unknown"


def test_a_proxy_that_is_trusted_is_meant_to_be_believed() -> None:
    found = outcomes(site({"trusted": ["192.0.2.0/24"]}))
    assert {one.verdict for one in found.values() if one.group == "forged"} == {"skip"}


@pytest.mark.parametrize(("waf", "word"), [({"mode": "detect"}, "waf_detect"), (None, "waf_none")])
def test_what_the_inventory_does_not_promise_is_told_and_does_not_fail(waf: Any, word: str) -> None:
    about = site(waf=waf)
    reached = [json.dumps({"request_id": f"id-{one.id}", "client": OWN, "upstream": "p"}) for one in plan(about)]
    through = {one.id: [answer(200, x_request_id=f"id-{one.id}")] for one in plan(about) if one.group == "payloads"}
    found = outcomes(about, through, reached)
    assert {found[id].verdict for id in through} == {"warn"} and {found[id].why for id in through} == {word}
    assert verdicts(found) == {"pass", "warn"}


def test_a_refusal_by_the_service_itself_is_none_of_the_edge() -> None:
    about = site()
    id = "sql_injection.json"
    log = [json.dumps({"request_id": f"id-{id}", "client": OWN, "upstream": "127.0.0.1:18000"})]
    assert outcomes(about, log=log)[id].verdict == "fail"
    ordinary = [answer(403, x_request_id="id-ordinary.json")]
    assert outcomes(about, {"ordinary.json": ordinary})["ordinary.json"].verdict == "pass"


def test_an_exclusion_of_a_whole_site_is_told_with_its_reason() -> None:
    waf = {"mode": "block", "exclusions": [{"rules": ["941100-941999"], "reason": "Markdown"}]}
    found = outcomes(site(waf=waf), {"cross_site_scripting.form": [answer(200)]})
    assert found["cross_site_scripting.form"].verdict == "warn"
    assert found["cross_site_scripting.form"].reason.endswith("is not looked at: Markdown")
    assert outcomes(site(waf=waf), {"sql_injection.form": [answer(200)]})["sql_injection.form"].verdict == "fail"


def test_agents_that_nginx_refuses_and_hidden_files_of_static_sites_are_promised_without_a_firewall() -> None:
    about = site({"agents": ["nikto"]}, waf=None, locations=[{"path": "/", "root": "/srv"}])
    instead = {"hidden_file./.env": [answer(404)], "hidden_file./.git/config": [answer(200)]}
    found = outcomes(about, instead | {"scanner.nikto": [answer(200)], "scanner.sqlmap": [answer(200)]})
    told = {id: found[id].verdict for id in ("scanner.nikto", "scanner.sqlmap", *instead)}
    assert list(told.values()) == ["fail", "warn", "pass", "fail"]


def test_nothing_is_proven_where_nothing_is_answered() -> None:
    """An edge that refuses everybody refuses attackers too."""
    closed = {f"ordinary.{name}": [answer(403)] for name in ("page", "query", "json")}
    found = outcomes(site(), closed)
    assert found["sql_injection.query"].verdict == found["trace"].verdict == "unknown"
    assert found["ordinary.page"].verdict == "fail"
    assert verdicts(outcomes(site(), error="192.0.2.1:443 cannot be reached from here")) == {"unknown"}
    one = {"old_tls.1.0": [answer(0, error="this host's OpenSSL does not try it")]}
    assert outcomes(site(), one)["old_tls.1.0"].verdict == "unknown"


def test_a_limit_counts_by_its_promise() -> None:
    without = [answer(404)] * 5 + [answer(429)] * 3
    assert (
        outcomes(site(), {"rate_limit": without})["rate_limit"].reason == "/login is answered 429 without Retry-After"
    )
    exempt = outcomes(site({"unlimited": [OWN]}), {"rate_limit": [answer(404)] * 8})["rate_limit"]
    assert (exempt.verdict, exempt.reason) == ("skip", f"{OWN} is in nginx_unlimited_clients")
    busy = [SHOP["locations"][0], {"path": "/api", "pool": "p", "rate_limit": {"rate": "50/s"}}]
    assert outcomes(site(locations=busy))["rate_limit"].verdict == "skip"
    assert "rate_limit" not in outcomes(site(locations=SHOP["locations"][:1]))


def test_a_site_behind_a_network_that_delivers_is_tried_past_it() -> None:
    about = site(only_proxies=True)
    assert [one.id for one in plan(about)] == ["past_proxy"]
    assert verdicts(outcomes(about, {"past_proxy": [answer(403)]})) == {"pass"}
    assert verdicts(outcomes(about, {"past_proxy": [answer(200)]})) == {"fail"}
    assert verdicts(outcomes(site(behind_tls=True, certificate=None), {"past_proxy": [HTTPS]})) == {"pass"}


@pytest.mark.parametrize(
    ("locations", "path"),
    [
        ([{"path": "/b", "pool": "p", "users": ["a"]}, {"path": "/open", "root": "/srv"}], "/open"),
        ([{"path": "/", "pool": "p", "oidc": True}, {"path": "/open", "pool": "p"}], "/open"),
        ([{"path": "/x", "match": "regex", "pool": "p"}, {"path": "/", "pool": "p"}], "/"),
    ],
)
def test_attacks_go_where_everybody_may_come(locations: list[dict[str, Any]], path: str) -> None:
    assert site(locations=locations).path == path


def test_a_site_that_only_leads_away_is_told_as_not_tried() -> None:
    found = outcomes(site(locations=[{"path": "/", "redirect": "https://x.test"}]))
    assert found["payloads"].verdict == "skip" and "sql_injection.query" not in found


def test_so_much_is_sent_and_no_more_and_ordinary_requests_come_between() -> None:
    about = site()
    assert 40 <= requests(plan(about)) <= 60
    groups = [one.group == "ordinary" for one in order(plan(about))]
    assert groups[:3] == groups[-3:] == [True] * 3 and True in groups[15:-3]
    sites = attack_sites([SHOP], EDGE)
    count, where = requests(plan(about)), "shop.example.test at 192.0.2.1:443"
    assert attack_announced(sites, "monitor1") == [
        f"shop on edge1: {count} requests from monitor1 to {where}; WAF: block"
    ]
    assert attack_sites([SHOP, SHOP | {"name": "all", "domains": ["~.*"]}], EDGE) == sites
    assert attack_sites([SHOP], EDGE, "other") == []


def test_who_would_be_banned_for_it_sends_nothing() -> None:
    assert ban_problem([site()], 100, [], OWN) == ""
    assert "have 192.0.2.9 in fail2ban_trusted" in ban_problem([site()] * 4, 100, [], OWN)
    assert ban_problem([site()] * 4, 100, ["edge9", "192.0.2.0/24"], OWN) == ban_problem([site()] * 4, 0, [], OWN) == ""


def test_records_are_evidence_and_the_run_fails_for_what_was_let_through() -> None:
    sites = attack_sites([SHOP, SHOP | {"name": "new", "waf": {"mode": "detect"}}], EDGE)
    sent, log = [], []
    for about in map(Site.read, sites):
        weak = about.name == "new"
        answers = {one.id: good(one) for one in plan(about)}
        answers |= {"sql_injection.query": [answer(200)]}
        if weak:
            answers |= {one.id: [answer(200)] for one in plan(about) if one.group in ("payloads", "scanners", "hidden")}
        log += [line(one) for one in plan(about)]
        sent.append(
            {"site": about.name, "at": "2026-11-30T00:00:00Z", "took": 4.0, "own": OWN, "error": "", "answers": answers}
        )
    found = attack_results(sent, sites, log, "monitor1")
    for record in found["records"]:
        validated(record, "run")
    by = {(record["id"], record["subject"]): record["verdict"] for record in found["records"]}
    assert by["security.attack.payloads", "shop on edge1"] == "fail"
    assert by["security.attack.payloads", "new on edge1"] == "warn"
    assert by["security.attack.forged", "new on edge1"] == "pass"
    assert len(found["failures"]) == 1
    assert found["failures"][0] == (
        "shop on edge1: GET /?slipway=1' OR '1'='1 was answered 200, and the inventory has waf mode block."
    )
    assert any("not protected payloads" in told for told in found["lines"])
    picture = json.loads(found["artifacts"][0]["content"])
    assert (picture["picture"], picture["site"], picture["from"]) == ("attack", "shop", "monitor1")
