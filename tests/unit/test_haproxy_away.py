"""A host leaves the pools and comes back: which servers are its own, who stays, and what a kill leaves behind."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy import leave as away
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Pool
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError, Server
from ansible_collections.slipway.ops.plugins.module_utils.service.model import MIXED
from test_haproxy import edge, fake  # noqa: F401 - fixtures

UP = ("UP", "L7OK", 0)


def server(name: str) -> Server:
    return Server(name, "192.0.2.1:80", "UP", "L7OK", "200", "", 1, 100, 0, 0)


def test_a_hosts_servers_are_those_named_after_it_and_no_others() -> None:
    names = ["app1-1", "app1-2", "app10-1", "app1-1-1", "myapp1-1", "web-app1-1", "blue-app1-1"]
    mixed = [f"{colour}-{name}" for colour in ("blue", "green") for name in ("app1-1", "web-app1-1", "blue-app1-1")]
    sets = {"blue": [server(name) for name in names], MIXED: [server(name) for name in mixed]}
    pools = [
        Pool("shop", sets, [], {}, {}),
        Pool("db", {}, [server("app1"), server("app10"), server("db1")], {}, {}),
    ]
    assert list(away.places_of("app1", pools)) == [
        ("shop-blue", "app1-1"),
        ("shop-blue", "app1-2"),
        (f"shop-{MIXED}", "blue-app1-1"),
        (f"shop-{MIXED}", "green-app1-1"),
        ("db", "app1"),
    ]


@pytest.fixture
def two(fake):  # noqa: F811
    fake.servers = {
        ("sample-blue", "app1-1"): UP,
        ("sample-blue", "app2-1"): UP,
        ("sample-green", "app1-1"): ("DOWN", "L4CON", 0),
        ("sample-green", "app2-1"): ("MAINT", "", 0),
    }
    return fake


def status(fake, backend="sample-blue"):  # noqa: F811
    return [fake.servers[backend, name][0] for name in ("app1-1", "app2-1")]


def test_a_host_leaves_and_comes_back(edge, two) -> None:  # noqa: F811
    gone, left = away.leave(edge, "app1", last=False, timeout=0)
    assert gone == [("sample-blue", "app1-1"), ("sample-green", "app1-1")] and left == 0
    assert status(two) == ["MAINT", "UP"] and list(away.Away.of(edge).read()) == ["app1"]
    assert away.leave(edge, "app1", last=False, timeout=0) == ([], 0)
    assert away.come_back(edge, "app1", timeout=0) == [("sample-blue", "app1-1"), ("sample-green", "app1-1")]
    assert status(two) == ["UP", "UP"] and away.Away.of(edge).read() == {}


def test_what_an_operator_took_out_stays_out(edge, two) -> None:  # noqa: F811
    gone, _ = away.leave(edge, "app2", last=False, timeout=0)
    assert gone == [("sample-blue", "app2-1")]
    away.come_back(edge, "app2", timeout=0)
    assert status(two, "sample-green") == ["DOWN", "MAINT"]


def test_the_last_one_up_stays_unless_it_may_go(edge, two) -> None:  # noqa: F811
    two.servers["sample-blue", "app2-1"] = ("DOWN", "L7STS", 0)
    with pytest.raises(HaproxyError, match=r"'sample' has no other server up than those of app1.*app2-1 .* is DOWN"):
        away.leave(edge, "app1", last=False, timeout=0)
    assert status(two) == ["UP", "DOWN"] and away.Away.of(edge).read() == {}
    away.leave(edge, "app2", last=False, timeout=0)  # nothing of it serves
    away.leave(edge, "app1", last=True, timeout=0)
    assert status(two) == ["MAINT", "MAINT"]


def test_what_it_still_serves_is_waited_for_and_told(edge, two) -> None:  # noqa: F811
    two.servers["sample-blue", "app1-1"] = ("UP", "L7OK", 3)
    assert away.leave(edge, "app1", last=False, timeout=0.2)[1] == 3


def test_who_does_not_come_up_is_away_again(edge, two) -> None:  # noqa: F811
    away.leave(edge, "app1", last=False, timeout=0)
    two.returns = "DOWN"
    with pytest.raises(HaproxyError, match=r"app1 did not come up within 0 s: app1-1 .* is DOWN"):
        away.come_back(edge, "app1", timeout=0)
    assert status(two) == ["MAINT", "UP"] and list(away.Away.of(edge).read()) == ["app1"]


def test_killed_between_the_note_and_the_command_the_next_run_brings_it_back(edge, two, monkeypatch) -> None:  # noqa: F811
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(away, "_set", die)
        away.leave(edge, "app1", last=False, timeout=0)
    assert list(away.Away.of(edge).read()) == ["app1"]
    assert away.come_back(edge, "app1", timeout=0) and away.Away.of(edge).read() == {}


def test_a_note_that_cannot_be_read_is_said(edge, two) -> None:  # noqa: F811
    away.Away.of(edge).path.write_text("{", encoding="utf-8")
    with pytest.raises(HaproxyError, match="cannot be read"):
        away.come_back(edge, "app1", timeout=0)
