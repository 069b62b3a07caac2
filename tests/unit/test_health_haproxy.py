"""What health says of the edge's own view of its servers."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Pool
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import Server
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import worst
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.haproxy import judge


def server(name, status="UP", said="", weight=100):
    check = "L7OK" if status == "UP" else "L4CON"
    return Server(name, "10.0.0.5:8000", status, check, "", said, 1, weight, 0, 0)


def pool(blue, green, name="shop"):
    return Pool(name, {"blue": blue, "green": green}, [], {"blue": 0, "green": 0}, {})


def test_a_server_of_the_live_set_that_is_down_is_named():
    shop = pool([], [server("app1-1"), server("app2-2", "DOWN", "Connection refused")])
    found = worst(judge([shop], {"shop": "green"}, {"shop": "green"}))
    assert (found.verdict, found.measured, found.limit) == ("fail", 1, ">= 2")
    assert str(found.reason).startswith("1 of 2 servers of shop, set green are up: app2-2 (10.0.0.5:8000) is DOWN")
    assert "Connection refused" in str(found.reason)


def test_the_set_that_is_not_live_counts_for_nothing():
    shop = pool([server("app1-1", "DOWN")], [server("app1-1")])
    assert worst(judge([shop], {"shop": "green"}, {"shop": "green"})).verdict == "pass"


def test_a_server_that_gets_no_requests_is_not_up():
    assert worst(judge([pool([server("app1-1", weight=0)], [])], {"shop": "blue"}, {})).verdict == "fail"


def test_servers_without_sets_count_too():
    plain = Pool("mail", {}, [server("a"), server("b", "MAINT")], {}, {})
    assert "b (10.0.0.5:8000) is MAINT" in str(worst(judge([plain], {}, {})).reason)


def test_a_map_file_that_is_behind_is_a_warning():
    found = worst(judge([pool([server("a")], [server("b")])], {"shop": "green"}, {"shop": "blue"}))
    assert found.verdict == "warn"
    assert "serves green, but a restart would come back with blue" in str(found.reason)


def test_an_edge_without_pools_has_nothing_to_say():
    assert worst(judge([], {}, {})).verdict == "skip"
