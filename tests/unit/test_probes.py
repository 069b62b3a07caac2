"""What a blackbox exporter is asked of an inventory, and how Prometheus asks it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import site_probes
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.probes import (
    ProbeError,
    Watcher,
    probes,
    problems,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.scrape import jobs

GROUPS = {"all": ["a", "b", "m"], "edge": ["a", "b"], "monitor": ["m"]}


def site(host: str = "a", **more: Any) -> dict[str, Any]:
    return {"host": host, "reached_at": host, "name": "shop.test", "scheme": "https", "port": 443, "address": ""} | more


def port(host: str = "a", *others: str, **more: Any) -> dict[str, Any]:
    return {"host": host, "reached_at": host, "name": "api", "port": "8008", "from": list(others)} | more


def found(*entries: dict[str, Any], **wishes: Any) -> list[tuple[str, str, str]]:
    return [(one.host, one.instance, one.target) for one in probes(entries, Watcher("m", GROUPS, **wishes))]


def test_a_site_is_asked_on_each_of_its_hosts() -> None:
    assert found(site("a"), site("b", reached_at="fd00::5"), site("b", port=8443, reached_at="10.0.0.2")) == [
        ("a", "https://shop.test", "https://a:443/"),
        ("b", "https://shop.test", "https://[fd00::5]:443/"),
        ("b", "https://shop.test:8443", "https://10.0.0.2:8443/"),
    ]


def test_what_listens_on_loopback_is_asked_by_its_own_host_only() -> None:
    assert found(site("a", address="127.0.0.1"), port("a", "all", address="::1")) == []
    assert found(site("m", address="127.0.0.1")) == [("m", "https://shop.test", "https://127.0.0.1:443/")]


@pytest.mark.parametrize("others", [["anywhere"], ["all"], ["monitor"], ["m"], ["edge", "m"]])
def test_a_port_is_asked_where_the_host_may_come(others: list[str]) -> None:
    assert found(port("a", *others)) == [("a", "tcp://a:8008", "a:8008")]


@pytest.mark.parametrize(
    "entry",
    [
        port("a", "edge"),
        port("a", "192.0.2.0/24"),
        port("a"),
        port("m", "all"),
        port("a", "all", protocol="udp"),
        port("a", "all", port="8000-8002"),
    ],
)
def test_a_port_that_is_not_for_the_host_or_cannot_be_asked_is_left_out(entry: dict[str, Any]) -> None:
    assert found(entry) == []


def test_urls_of_ones_own_are_asked_as_they_are_and_once() -> None:
    urls = ["https://shop.test/x?y", "tls://a:6380", "tcp://[fd00::5]:1", "tls://a:6380"]
    assert found(urls=urls) == [
        ("m", "https://shop.test/x?y", "https://shop.test/x?y"),
        ("m", "tls://a:6380", "a:6380"),
        ("m", "tcp://[fd00::5]:1", "[fd00::5]:1"),
    ]


@pytest.mark.parametrize(
    "url",
    ["a:6380", "tcp://a", "tcp://:1", "tls://a:1/x", "ftp://a/", "http://u:p@a/", "tcp://a:0", "https://[::1", ""],
)
def test_what_is_no_url_to_probe_is_told(url: str) -> None:
    with pytest.raises(ProbeError, match="write such as https://shop"):
        found(urls=[url])
    assert len(list(problems([], Watcher("m", GROUPS, [url])))) == 1


def test_what_is_left_out_is_there_and_something_stays() -> None:
    assert found(site(), port("a", "all"), skip=["tcp://a:8008"]) == [("a", "https://shop.test", "https://a:443/")]
    assert list(problems([site()], Watcher("m", GROUPS))) == []
    told = list(problems([site()], Watcher("m", GROUPS, (), ["https://shop.tset"])))
    assert told == [
        "blackbox_exporter_skip names https://shop.tset, which is not probed; did you mean https://shop.test?"
    ]
    (told_nothing,) = problems([port("a", "edge")], Watcher("m", GROUPS))
    assert told_nothing.startswith("m has nothing to probe")


def test_only_what_is_asked_over_tls_has_a_certificate() -> None:
    all_kinds = probes([site(), site(scheme="http", port=80), port("a", "all")], Watcher("m", GROUPS, ["tls://a:1"]))
    assert [one.has_certificate for one in all_kinds] == [True, False, False, True]


def test_prometheus_asks_the_exporter_for_each_probe_and_keeps_whose_it_is() -> None:
    exporter = {"host": "m", "reached_at": "m", "job": "probe", "address": "127.0.0.1", "port": 9115, "path": "/probe"}
    probe = {"host": "a", "kind": "site", "instance": "https://x", "target": "https://a:443/", "hostname": "x"}
    (job,) = jobs([exporter | {"probes": [probe, probe | {"host": "b", "hostname": ""}]}], "m")
    first, second = job["targets"]
    assert {one["address"] for one in job["targets"]} == {"127.0.0.1:9115"}
    assert (first["host"], first["path"]) == ("a", "/probe")
    assert first["labels"] == {
        "instance": "https://x",
        "kind": "site",
        "__param_module": "site",
        "__param_target": "https://a:443/",
        "__param_hostname": "x",
    }
    assert second["host"] == "b" and "__param_hostname" not in second["labels"]
    assert jobs([exporter | {"probes": []}], "m")[0]["targets"] == []
    assert jobs([exporter], "m")[0]["targets"][0]["labels"] == {}


def test_domains_of_nginx_that_are_names_are_asked_by_their_scheme() -> None:
    sites: list[dict[str, Any]] = [
        {"name": "www", "domains": ["Shop.test", r"~^x\d$", "*.shop.test"], "certificate": {"name": "c"}},
        {"name": "plain", "domains": ["plain.test"]},
    ]
    told = site_probes(sites, "[::1]", 80, 8443)
    assert [
        (one["scheme"], one["name"], one["port"], one["address"]) for one in told if one["name"] != "shop.test."
    ] == [
        ("https", "shop.test", 8443, "::1"),
        ("https", "www.shop.test", 8443, "::1"),
        ("http", "plain.test", 80, "::1"),
    ]
