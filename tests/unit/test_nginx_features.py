"""What can be asked of nginx beyond a plain site: refused in the first play when it cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_access import (
    agent_problems,
    nginx_password_file,
    nginx_user_problems,
    refused_agents,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_cache import cache_problems, kept_seconds
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_csp import csp_headers, csp_path
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_pools import (
    client_certificate,
    pool_tls_files,
    pool_tls_problems,
)
from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_sites import (
    answers_late,
    location_id,
    site_headers,
    site_problems,
)

POOL = "127.0.0.1:18000"
HASH = "$2y$05$abcdefghijklmnopqrstuuWHxnxkyNt6AHCwFMQaY6auyqJA8E98a"


def location(**more: Any) -> dict[str, Any]:
    return {"path": "/", "pool": POOL, **more}


def site(*locations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "www", "domains": ["www.test"], "locations": list(locations or (location(),)), **more}


@pytest.mark.parametrize("expression", ["badbot", "^$", "^curl/", r"(?<!good)bot", "crawler|spider"])
def test_an_agent_that_can_be_refused(expression: str) -> None:
    assert list(agent_problems([expression])) == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "nobody could come"),
        (".*", "nobody could come"),
        ("bot|", "nobody could come"),
        (".+", "nobody could come"),
        ("mozilla", "nobody could come"),
        ("(bot", "no regular expression: missing )"),
        ("bot\nallow", "not one line"),
    ],
)
def test_an_agent_that_cannot(expression: str, said: str) -> None:
    assert [said in problem for problem in agent_problems([expression])] == [True]
    assert said in site_problems([site()], {}, [expression])[0]
    assert said in site_problems([site(refused_agents=[expression])], {})[0]


def test_who_sends_no_agent_is_found_too() -> None:
    assert refused_agents(["bot", "bot"]) == ["~*bot"]
    assert refused_agents(["bot", "^$", "^(curl)?$"]) == ["~*bot", "~*^$", "~*^(curl)?$", ""]


@pytest.mark.parametrize(
    ("wanted", "more", "said"),
    [
        ({"seconds": 0}, {}, "pool_cache.seconds is 0"),
        ({"seconds": 5, "stale": -1}, {}, "pool_cache.stale is -1"),
        ({"seconds": 5, "statuses": [200, 500]}, {}, "500, which is the pool's failure"),
        ({"seconds": 5, "statuses": [206]}, {}, "206, which is a part"),
        ({"seconds": 5, "statuses": [99]}, {}, "99, which is no answer"),
        ({"seconds": 5, "key": "$host"}, {}, "all pages would be the first one"),
        ({"seconds": 5, "personal_cookies": ["a=b"]}, {}, "'a=b', which is no name of a cookie"),
        ({"seconds": 5}, {"streaming": True}, "streaming passes them on"),
        ({"seconds": 5}, {"websocket": True}, "websocket passes them on"),
        ({"seconds": 5}, {"users": ["alice"]}, "does nothing with users"),
    ],
)
def test_a_cache_that_cannot_be_meant(wanted: dict[str, Any], more: dict[str, Any], said: str) -> None:
    assert [said in problem for problem in cache_problems(location(pool_cache=wanted, **more))] == [True]


def test_a_cache_that_can() -> None:
    wanted = {"seconds": 1, "stale": 0, "statuses": [200, 301, 404], "key": "$uri", "personal_cookies": ["__Host-id"]}
    assert list(cache_problems(location(pool_cache=wanted))) == []
    assert list(cache_problems(location(pool_cache={"seconds": 1, "key": "one"}, match="exact"))) == []
    assert "pool_cache is for pool" in site_problems([site({"path": "/", "root": "/srv", "pool_cache": wanted})], {})[0]


def test_an_answer_is_kept_as_long_as_the_longest_location_says() -> None:
    assert kept_seconds(site()) == 0
    caches = [location(pool_cache={"seconds": 600, "stale": 0}), location(pool_cache={"seconds": 550})]
    assert kept_seconds(site(*caches)) == 610


def test_a_policy_goes_from_tried_to_enforced() -> None:
    everywhere = {"Content-Security-Policy": "default-src 'self'"}
    wanted = {"policy": "default-src 'none';\n img-src *;\n", "mode": "report"}
    reported = "default-src 'none'; img-src *; report-uri /csp-reports; report-to csp"
    tried = site_headers(site(csp=wanted), everywhere)
    assert tried["Content-Security-Policy-Report-Only"] == reported
    assert tried["Content-Security-Policy"] == "default-src 'self'"
    enforced = site_headers(site(csp=wanted | {"mode": "enforce", "path": "/told"}), everywhere)
    assert enforced["Content-Security-Policy"] == reported.replace("/csp-reports", "/told")
    assert "Content-Security-Policy-Report-Only" not in enforced
    assert enforced["Reporting-Endpoints"] == 'csp="/told"'
    assert (csp_headers(site()), csp_path(site())) == ({}, "")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"policy": " ; "}, "csp.policy is empty"),
        ({"policy": "default-src *; Report-URI /x"}, "report-uri, which the role adds"),
        ({"policy": "default-src *", "path": "told"}, "'told' is no path"),
        ({"policy": "default-src *", "path": "/a b"}, "'/a b' is no path"),
        ({"policy": "default-src *", "path": "/x"}, "/x is a location of the site, too"),
        ({"policy": "default-src *", "rate": "5/h"}, "csp.rate is 5/h"),
    ],
)
def test_a_policy_that_cannot_be_meant(wanted: dict[str, Any], said: str) -> None:
    found = site_problems([site(location(), location(path="/x", match="exact"), csp={"mode": "report"} | wanted)], {})
    assert [said in problem for problem in found] == [True]


def test_a_firewall_reads_what_would_be_streamed() -> None:
    streamed = location(stream_uploads=True)
    assert site_problems([site(streamed)], {}) == []
    assert "does nothing with waf" in site_problems([site(streamed, waf={"mode": "block"})], {})[0]
    assert (
        "stream_uploads is for pool"
        in site_problems([site({"path": "/", "respond": 204, "stream_uploads": True})], {})[0]
    )


def test_nobody_can_come_with_no_connections() -> None:
    assert "connections is 0" in site_problems([site(connections=0)], {})[0]


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([{"name": "a:b", "password": "x"}], "'a:b' is no user's name"),
        ([{"name": "alice"}], "alice needs exactly one of password, hash"),
        ([{"name": "alice", "password": "x", "hash": HASH}], "exactly one of"),
        ([{"name": "alice", "password": ""}], "1 to 72 bytes"),
        ([{"name": "alice", "hash": "$apr1$x$y"}], "the hash is none of bcrypt's"),
        ([{"name": "alice", "hash": HASH.replace("05", "12")}], "the hash has the cost 12"),
        ([{"name": "alice", "hash": HASH}] * 2, "alice is there 2 times"),
    ],
)
def test_a_user_that_cannot_be(users: list[dict[str, Any]], said: str) -> None:
    found = nginx_user_problems(users, [])
    assert [said in problem for problem in found] == [True]
    assert not any("$2y" in problem or "$apr" in problem for problem in found)


def test_places_for_users() -> None:
    users = [{"name": "alice", "hash": HASH}, {"name": "bob", "password": "hello"}]
    assert nginx_user_problems(users, [site(location(users=["alice", "bob"]))]) == []
    assert "names carol, who is none of" in nginx_user_problems(users, [site(location(users=["carol"]))])[0]
    assert "users is empty" in nginx_user_problems(users, [site(location(users=[]))])[0]
    assert answers_late({"path": "/", "respond": 204, "users": ["alice"]}, {})


def test_a_password_file_is_the_same_in_every_run_and_has_no_password() -> None:
    users = [{"name": "alice", "hash": HASH}, {"name": "bob", "password": "hello"}]
    file = nginx_password_file(["bob", "alice"], users, "edge1")
    assert file == nginx_password_file(["bob", "alice", "bob"], users, "edge1")
    assert file != nginx_password_file(["bob", "alice"], users, "edge2")
    bob, alice = file.splitlines()
    assert alice == f"alice:{HASH}" and bob.startswith("bob:$2b$06$") and "hello" not in file
    with pytest.raises(ValueError, match="nginx_users"):
        nginx_password_file(["bob"], [{"name": "bob", "password": "x" * 73}], "edge1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pool": "127.0.0.1:1"}, "127.0.0.1:1 is the pool of no location"),
        ({"name": "192.0.2.1"}, "compares one host name"),
        ({"name": "*.example.test"}, "compares one host name"),
        ({"name": "two words"}, "is no host name"),
        ({"certificate": {"key": "/k"}}, "either name, or fullchain and key"),
        ({"certificate": {"name": "a", "key": "/k"}}, "either name, or fullchain and key"),
    ],
)
def test_a_pool_that_tls_cannot_be_spoken_with(changes: dict[str, Any], said: str) -> None:
    entry = {"pool": POOL, "name": "api.example.test"}
    assert pool_tls_problems([entry], [site()]) == []
    assert [said in problem for problem in pool_tls_problems([entry | changes], [site()])] == [True]
    assert pool_tls_problems([entry, entry], [site()]) == [f"{POOL} is there twice"]


def test_the_files_that_a_pool_needs() -> None:
    named = {"pool": POOL, "name": "a.test", "ca": "/ca.pem", "certificate": {"name": "edge"}}
    own = {"pool": POOL, "name": "a.test", "certificate": {"fullchain": "/f.pem", "key": "/k.pem"}}
    assert pool_tls_files([named, own, named], "/c") == [
        "/ca.pem",
        "/etc/ssl/certs/ca-certificates.crt",
        "/c/edge/fullchain.pem",
        "/c/edge/key.pem",
        "/f.pem",
        "/k.pem",
    ]
    assert client_certificate({"pool": POOL, "name": "a.test"}, "/c") == []


def test_locations_have_names_of_their_own() -> None:
    ids = {location_id(location(**more)) for more in ({}, {"path": "/a"}, {"path": "/a", "match": "exact"})}
    assert len(ids) == 3
