from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.probe import Nginx, pool_url, probe
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service

POOLS = [{"name": "shop", "bind": "127.0.0.1:18000"}, {"name": "billing", "bind": "127.0.0.1:18001"}]


def site(name: str, *locations: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": name, "domains": [f"{name}.example.test"], "locations": list(locations)} | options


def where(name: str, *sites: dict[str, Any], watch: dict[str, Any] | None = None, **nginx: Any) -> tuple[str, str, str]:
    service = parse_service(
        {"name": name, "image": name, "port": 80, "ports": {"blue": 8000, "green": 8100}, "watch": watch or {}}
    )
    found = probe(service, POOLS, Nginx(list(sites), **nginx))
    return found.url, found.post_url, found.address


SHOP = site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, certificate={"name": "shop"})
BILLING = site("billing", {"path": "/", "pool": "127.0.0.1:18001"}, certificate={"name": "billing"})


def test_each_of_two_services_is_asked_at_its_own_site() -> None:
    assert where("shop", SHOP, BILLING)[0] == "https://shop.example.test/"
    assert where("billing", SHOP, BILLING, watch={"path": "/version", "post_path": "/items"}) == (
        "https://billing.example.test/version",
        "https://billing.example.test/items",
        "127.0.0.1",
    )


def test_two_services_of_one_site_are_asked_at_their_locations() -> None:
    both = site("www", {"path": "/", "pool": "127.0.0.1:18000"}, {"path": "/billing", "pool": "127.0.0.1:18001"})
    assert where("billing", both, watch={"path": "/billing/version"})[0] == "http://www.example.test/billing/version"
    assert where("billing", both, watch={"path": "/version"}) == (
        "http://127.0.0.1:18001/version",
        "http://127.0.0.1:18001",
        "",
    )


def test_the_services_own_url_comes_first() -> None:
    watch = {"url": "https://api.example.test/", "path": "/version"}
    assert where("shop", SHOP, watch=watch)[::2] == ("https://api.example.test/version", "127.0.0.1")


@pytest.mark.parametrize(
    "other",
    [
        site("shop", {"path": "/", "pool": "127.0.0.1:18000", "rate_limit": {"rate": "5/s"}}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000", "allow": ["192.0.2.0/24"]}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000", "users": ["alice"]}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000", "oidc": True}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, oidc=True),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000", "pool_cache": {"seconds": 5}}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, only_proxies=True),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, refused_agents=["slipway"]),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, connections=5),
        site("shop", {"path": "/", "redirect": "https://www.example.test"}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, behind_tls=True),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, {"path": "^/v", "match": "regex", "respond": 404}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, {"path": "/version", "match": "exact", "respond": 404}),
        site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, domains=["*.example.test"]),
    ],
    ids=[
        "rate limit",
        "other clients only",
        "users",
        "sign-in",
        "sign-in on the whole site",
        "cache",
        "proxies",
        "agents",
        "connections",
        "redirect",
        "TLS ends elsewhere",
        "regex",
        "exact",
        "no plain name",
    ],
)
def test_a_site_that_would_not_let_the_prober_through_to_the_pool_is_not_asked(other: dict[str, Any]) -> None:
    assert where("shop", other, watch={"path": "/version"})[0] == "http://127.0.0.1:18000/version"


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        (".example.test", "example.test"),
        ("bücher.example.test", "xn--bcher-kva.example.test"),
        ("Shop.Example.Test", "shop.example.test"),
    ],
)
def test_the_site_is_asked_by_a_name_that_there_is(domain: str, host: str) -> None:
    found = site("shop", {"path": "/", "pool": "127.0.0.1:18000"}, domains=["*.other.test", domain])
    assert where("shop", found)[0] == f"http://{host}/"


def test_ports_and_addresses_are_nginxs_own() -> None:
    assert where("shop", SHOP, https_port=8443, addresses=["[::]"])[::2] == ("https://shop.example.test:8443/", "[::1]")
    assert where("shop", SHOP, addresses=["192.0.2.7"])[2] == "192.0.2.7"


def test_a_pool_of_every_address_answers_on_the_loopback() -> None:
    assert pool_url([{"name": "shop", "bind": "*:80"}], "shop") == "http://127.0.0.1:80"
    assert pool_url([{"name": "shop", "bind": "[::]:80"}], "shop") == "http://[::1]:80"
    assert pool_url(POOLS, "other") == ""


@pytest.mark.parametrize(
    ("body", "called"), [("slipway", "text/plain"), ('{"name": "probe"}', "application/json"), ("", "text/plain")]
)
def test_a_body_is_called_what_it_is(body: str, called: str) -> None:
    watch = {"path": "/v", "post_path": "/items", "post_body": body}
    description = {"name": "shop", "image": "i", "port": 80, "ports": {"blue": 8000, "green": 8100}, "watch": watch}
    assert probe(parse_service(description), POOLS, Nginx()).content_type == called
