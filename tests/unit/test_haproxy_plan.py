"""From services to pools."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.pools import pools
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.plan import pool_problems, pools_of
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service

HOSTS = ["app1", "app2"]
HOSTVARS: dict[str, Any] = {"app1": {"app_address": "10.0.0.1"}, "app2": {"app_address": ""}}


def service(**changes: Any) -> Service:
    least = {"name": "sample", "image": "i", "port": 80, "edge_port": 18000, "ports": {"blue": 8000, "green": 8100}}
    return parse_service({**least, "instances": 2, **changes})


def test_each_instance_on_each_host_is_a_server():
    (pool,) = pools_of([service(ready={"path": "/up", "interval": 2, "timeout": 1.5})], HOSTS, HOSTVARS)
    assert pool["bind"] == "127.0.0.1:18000"
    assert pool["health"] == {"path": "/up", "interval": "2000ms", "timeout": "1500ms"}
    assert list(pool["sets"]) == ["blue", "green"]
    assert pool["sets"]["green"] == [
        {"name": "app1-1", "address": "10.0.0.1:8100"},
        {"name": "app1-2", "address": "10.0.0.1:8101"},
        {"name": "app2-1", "address": "app2:8100"},
        {"name": "app2-2", "address": "app2:8101"},
    ]


def test_a_server_on_ipv6_has_brackets():
    (pool,) = pools_of([service(instances=1)], ["app1"], {"app1": {"app_address": "fd00::5"}})
    assert pool["sets"]["blue"] == [{"name": "app1-1", "address": "[fd00::5]:8000"}]


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_host_that_listens_everywhere_is_reached_by_its_name(everywhere):
    (pool,) = pools_of([service(instances=1)], ["app1"], {"app1": {"app_address": everywhere}})
    assert pool["sets"]["blue"] == [{"name": "app1-1", "address": "app1:8000"}]


def test_settings_of_the_pool_go_over():
    (pool,) = pools_of([service(pool={"sticky": True, "health": {"fall": 5}})], HOSTS, HOSTVARS)
    assert pool["sticky"] is True
    assert pool["health"] == {"path": "/health", "fall": 5}


def test_a_canarys_pool_has_a_set_of_both_colours_and_deals_by_chance():
    (pool,) = pools_of([service(strategy="canary", instances=1)], HOSTS, HOSTVARS)
    assert pool["balance"] == "random"
    assert [server["name"] for server in pool["sets"]["both"]] == [
        f"{colour}-{host}-1" for colour in ("blue", "green") for host in HOSTS
    ]
    addresses = [server["address"] for name in ("blue", "green") for server in pool["sets"][name]]
    assert [server["address"] for server in pool["sets"]["both"]] == addresses
    assert not pool_problems([pool])
    (mine,) = pools_of([service(strategy="canary", pool={"balance": "leastconn"})], HOSTS, HOSTVARS)
    assert mine["balance"] == "leastconn"


def test_services_without_an_edge_port_are_not_behind_it():
    assert pools_of([service(edge_port=None)], HOSTS, HOSTVARS) == []


def test_services_that_cannot_be_meant_make_no_pools():
    with pytest.raises(AnsibleFilterError, match=r"app_services\[a\]\.port is missing"):
        pools([{"name": "a", "image": "i", "ports": {"blue": 1, "green": 2}}], HOSTS, HOSTVARS)


def test_service_without_hosts_is_refused():
    with pytest.raises(HaproxyError, match="no hosts"):
        pools_of([service()], [], {})


def pool(**changes: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "bind": "127.0.0.1:80",
        "servers": [{"name": "s", "address": "h:1"}],
        **changes,
    }


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        ([pool(bind="18000")], "not an address and port"),
        ([pool(bind="127.0.0.1:99999")], "not an address and port"),
        ([pool(servers=[])], "either `sets` or `servers`"),
        ([pool(sets={"blue": [{"name": "s", "address": "h:1"}]})], "either `sets` or `servers`"),
        ([pool(servers=[{"name": "s", "address": "h"}])], "not a host and port"),
        ([pool(servers=[{"name": "s", "address": "h:1", "weight": 300}])], "between 0 and 256"),
        ([pool(servers=[{"name": "s", "address": "h:1", "wieght": 3}])], "unknown wieght"),
        ([pool(servers=[{"name": "s", "address": "h:1"}] * 2)], "two servers 's'"),
        ([pool(servers=None, sets={"blue": []})], "has no servers"),
        ([pool(servers=[{"name": "s", "address": "h:1", "weight": "heavy"}])], "weight heavy is not between"),
        (
            [pool(servers=[{"name": "s", "address": "fd00::5:8000"}])],
            "not a host and port, like app1:8000 or [fd00::5]",
        ),
        ([pool(bind="[fd00::zz]:80")], "not an address and port"),
        ([pool(health={"path": "ready"})], "`health.path` 'ready' begins with /"),
        ([pool(health={"path": "/a b"})], "`health.path` '/a b' begins with / and has no blanks"),
        ([pool(health={"host": "a\nb"})], "`health.host`: 'a\\nb' has"),
        (
            [pool(mode="tcp", health={"ca": "/ca"}, servers=[{"name": "s", "address": "[::1]:5432"}])],
            "with `health.ca` servers have names",
        ),
        ([pool(mode="tcp", sticky=True)], "`sticky` is for HTTP"),
        ([pool(health={"port": 8008})], "`health.port` is for mode tcp"),
        (
            [
                pool(name="a-blue"),
                pool(bind="127.0.0.1:81", servers=None, sets={"blue": [{"name": "s", "address": "h:1"}]}),
            ],
            "both make a backend 'a-blue'",
        ),
    ],
)
def test_problems_of_pools(pools, said):
    assert said in "; ".join(pool_problems(pools))


def test_good_pools_have_no_problem():
    assert (
        pool_problems(
            [
                pool(servers=[{"name": "s", "address": "[fd00::5]:8000"}]),
                pool(name="b", bind="[::1]:80", health={"path": "", "host": "it's"}),
                pool(name="c", bind="*:81", mode="tcp", health={"port": 8008}),
            ]
        )
        == []
    )
