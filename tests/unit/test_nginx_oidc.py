"""Places for people who have signed in: which they are, whom they let in, and what is refused in the first play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_oidc import (
    SESSION,
    oidc_problems,
    sign_in_query,
    signed_in_only,
    signs_in,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_sites import answers_late
from ansible_collections.slipway.ops.plugins.module_utils.edge.waf import waf_rules

ROLES = Path(__file__).resolve().parents[2] / "roles"


def location(**more: Any) -> dict[str, Any]:
    return {"path": "/", "pool": "127.0.0.1:18000", **more}


def site(*locations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "www",
        "domains": ["www.test"],
        "certificate": {"name": "www"},
        "locations": list(locations or (location(),)),
        **more,
    }


@pytest.mark.parametrize(
    ("own", "of_site", "asks"),
    [
        ({}, {}, False),
        ({"oidc": True}, {}, True),
        ({}, {"oidc": True}, True),
        ({"oidc": False}, {"oidc": True}, False),
        ({"oidc": True}, {"oidc": False}, True),
        ({"oidc": None}, {"oidc": True}, True),
    ],
)
def test_a_location_says_more_than_its_site(own: dict[str, Any], of_site: dict[str, Any], asks: bool) -> None:
    one = location(**own)
    assert signed_in_only(one, site(one, **of_site)) is asks
    assert signs_in(site(location(oidc=False), one, **of_site)) is asks
    fixed = {"path": "/", "respond": 204, **own}
    assert answers_late(fixed, site(fixed, **of_site)) is asks


def test_names_reach_the_proxy_as_they_are_and_nginx_as_one_word() -> None:
    assert sign_in_query(location(oidc=True)) == ""
    asked = location(oidc=True, oidc_groups=["ops & co", "$host"], oidc_emails=["a+b@example.test"])
    assert sign_in_query(asked) == "?allowed_groups=ops%20%26%20co,%24host&allowed_emails=a%2Bb%40example.test"


def test_what_can_be_meant() -> None:
    sites = [
        site(location(oidc=True, oidc_groups=["staff"], websocket=True), location(path="/oauth3", oidc=False)),
        site(location(path="/health", oidc=False), name="b", oidc=True, certificate=None, behind_tls=True),
        site(location(path="/oauth2/token"), name="c"),
    ]
    assert oidc_problems(sites, True) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (site(location(oidc="yes")), "www /: oidc is 'yes', neither true nor false"),
        (site(location(), oidc="no"), "www: oidc is 'no', neither true nor false"),
        (site(location(oidc=None), oidc=True), "www /: oidc is None, neither"),
        (site(location(oidc=True), certificate=None), "www: oidc needs TLS"),
        (site(location(oidc=True, users=["alice"])), "www /: oidc and users ask twice"),
        (site(location(users=["alice"]), oidc=True), "www /: oidc and users ask twice"),
        (site(location(oidc=True, pool_cache={"seconds": 5})), "www /: pool_cache does nothing good with oidc"),
        (site(location(oidc_groups=["staff"])), "www /: oidc_groups does nothing without oidc: true"),
        (site(location(oidc=False, oidc_emails=["a@b"]), oidc=True), "oidc_emails does nothing without"),
        (site(location(oidc=True, oidc_groups=[])), "www /: oidc_groups is empty, which is everybody"),
        (site(location(oidc=True, oidc_groups=["a,b"])), "oidc_groups has 'a,b'"),
        (site(location(oidc=True), location(path="/oauth2/x")), "www /oauth2/x: /oauth2 is where people sign in"),
        (site(location(path="/oauth2", match="exact"), oidc=True), "www /oauth2: /oauth2 is where"),
    ],
)
def test_what_cannot(wrong: dict[str, Any], said: str) -> None:
    found = oidc_problems([wrong], True)
    assert [problem for problem in found if said in problem], found


def test_a_host_without_the_role_serves_no_such_place() -> None:
    assert oidc_problems([site(), site(location(oidc=True), name="b")], False) == [
        "b: oidc needs role oauth2_proxy on this host; put the host into group oauth2_proxy"
    ]
    assert oidc_problems([site()], False) == []


def test_the_sessions_cookie_has_one_name_and_the_firewall_reads_no_attack_in_it() -> None:
    for role, name in (("nginx", "__nginx_session"), ("oauth2_proxy", "__oauth2_proxy_cookie")):
        assert yaml.safe_load((ROLES / role / "vars/main.yml").read_text())[name] == SESSION
    guarded = site(location(oidc=True), waf={"mode": "block"})
    left_out = f"ctl:ruleRemoveTargetByTag=OWASP_CRS;REQUEST_COOKIES:{SESSION}"
    assert left_out in waf_rules(guarded, "1m")
    assert SESSION not in waf_rules(site(waf={"mode": "block"}), "1m")
