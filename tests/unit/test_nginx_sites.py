"""Names and headers as clients compare them; what is refused before nginx is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_sites import (
    answers_late,
    merge_headers,
    site_problems,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import server_name, site_host

DEFAULTS = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "DENY"}


def site(*locations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "www", "domains": ["www.test"], "locations": list(locations), **changes}


@pytest.mark.parametrize(
    ("domain", "name", "host"),
    [
        ("Shop.Example.Test", "shop.example.test", "shop.example.test"),
        ("bücher.example.test", "xn--bcher-kva.example.test", "xn--bcher-kva.example.test"),
        ("*.example.test", "*.example.test", "www.example.test"),
        (".Example.test", ".example.test", "example.test"),
        ("www.Example.*", "www.example.*", ""),
        (r"~^Shop\d{2}\.test$", r"~^Shop\d{2}\.test$", ""),
        ("[fd00::5]", "[fd00::5]", ""),
    ],
)
def test_a_domain_has_one_spelling_and_perhaps_a_name_to_ask_by(domain, name, host):
    assert (server_name(domain), site_host(domain)) == (name, host)


def test_a_header_is_replaced_whatever_its_case():
    assert merge_headers([DEFAULTS, {"content-security-policy": "default-src\n  'self';\nimg-src *\n"}]) == {
        "content-security-policy": "default-src 'self'; img-src *",
        "X-Frame-Options": "DENY",
    }


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_header_is_left_to_the_pool_until_somebody_sets_it_again(empty):
    assert merge_headers([DEFAULTS, {"x-frame-options": empty}])["x-frame-options"] == ""
    assert merge_headers([DEFAULTS, {"x-frame-options": empty}, {"X-FRAME-Options": 0}])["X-FRAME-Options"] == "0"


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        (
            [site(domains=["shop.test"]), site(domains=["Shop.Test"], name="b")],
            "Shop.Test is a domain of www and of b",
        ),
        (
            [site(domains=["bücher.test", "xn--bcher-kva.test"])],
            "xn--bcher-kva.test is a domain of www and of www",
        ),
        ([site(domains=["two words"])], "'two words' is no host name"),
        ([site(domains=["straße.test"])], "read in two ways"),
        ([site(name="two/")], "the name two/ cannot be a file name"),
        ([site(name="www\n")], "cannot be a file name"),
        ([site({"path": "/a"})], "www /a needs exactly one of pool, root, redirect, respond"),
        ([site({"path": "/a", "root": "/srv", "respond": 404})], "needs exactly one"),
        ([site({"path": "^~ /a", "respond": 404})], "www ^~ /a: a path begins with /"),
        ([site({"path": "/a", "respond": 404, "rate_limit": {"rate": "5/h"}})], "the rate 5/h, not like"),
        ([site({"path": "/a", "pool": "app1"})], "www /a: 'app1' has no port"),
        ([site({"path": "/a", "redirect": "/x\r\nSet-Cookie: a=b"})], "must be one line"),
        (
            [site({"path": "/a", "root": "/srv", "websocket": True})],
            "websocket is for pool, and does nothing with root",
        ),
        ([site({"path": "/a", "respond": 404, "timeout": 5})], "timeout is for pool"),
        ([site({"path": "/a", "pool": "app1:80", "cache": "1h"})], "cache is for root"),
        ([site(headers={"X-A": {"a": 1}})], "www: header X-A: {'a': 1} is not a text"),
        ([site({"path": "/a", "respond": 404, "headers": {"X A": "b"}})], "www /a: header 'X A'"),
        ([site(headers={"X-A": "a\x1bb"})], "header X-A"),
    ],
)
def test_what_cannot_work_is_named(sites, said):
    problems = site_problems(sites, DEFAULTS)
    assert len(problems) == 1
    assert said in problems[0]


def test_what_can_work_is_not():
    locations = (
        {"path": "/", "pool": "[fd00::5]:8000", "websocket": True, "timeout": 5},
        {"path": "/f", "root": "/srv", "spa": True, "cache": "30d", "websocket": False},
        {"path": '^/a\\b/"\\d{2}$', "match": "regex", "redirect": "/n;v=1/$1", "rate_limit": {"rate": "5/min"}},
    )
    assert site_problems([site(*locations, headers={"X-Frame-Options": ""})], DEFAULTS) == []


@pytest.mark.parametrize(
    ("location", "late"),
    [
        ({"redirect": "/", "rate_limit": {"rate": "1/s"}}, True),
        ({"respond": 404, "allow": ["10.0.0.0/8"]}, True),
        ({"respond": 404, "allow": []}, False),
        ({"redirect": "/"}, False),
        ({"pool": "a:1", "rate_limit": {"rate": "1/s"}}, False),
    ],
)
def test_who_answers_only_after_the_limits(location, late):
    assert answers_late(location, {}) is late
