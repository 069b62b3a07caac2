"""What a bake decides: when a trigger holds, what is unknown, who may speak, and what a deploy must not push out."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Pool
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import Server
from ansible_collections.slipway.ops.plugins.module_utils.release import bake, bake_senses, bake_watch, history
from ansible_collections.slipway.ops.plugins.module_utils.release.bake import Judge, Order, Streak
from ansible_collections.slipway.ops.plugins.module_utils.release.bake_board import (
    LARGEST,
    SIGNATURE,
    Board,
    Said,
    decode,
    encode,
    exchange,
)
from ansible_collections.slipway.ops.plugins.module_utils.release.bake_senses import Rate, counts, memory
from ansible_collections.slipway.ops.plugins.module_utils.release.host import ReleaseError
from ansible_collections.slipway.ops.plugins.module_utils.release.request import bake_problems
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Bake
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, parse_service

LIMITS = {name: float(value) for name, value in vars(Bake()).items() if name not in ("seconds", "port")}


def order(**change: Any) -> Order:
    told: dict[str, Any] = {
        "run": "r1",
        "service": "shop",
        "host": "edge1",
        "version": "2",
        "colour": "green",
        "previous_version": "1",
        "previous_colour": "blue",
        "seconds": 900,
        "until": 2e9,
        "key": "k",
        "limits": LIMITS,
        "boards": [],
    }
    return Order(**told | change)


def looked(values: list[float | None], limit: float = 5, seconds: float = 3) -> list[bool]:
    streak = Streak(limit, seconds)
    return [streak.look(value, 1) for value in values]


def test_a_trigger_holds_when_it_was_over_its_limit_for_its_time_without_a_break() -> None:
    assert looked([6, 6, 6]) == [False, False, True]
    assert looked([6, 6, 5, 6, 6]) == [False] * 5, "the limit itself is good, and begins anew"


def test_what_is_unknown_is_no_trigger_and_does_not_count_for_one() -> None:
    assert looked([None] * 10) == [False] * 10
    assert looked([6, 6, None, 6]) == [False, False, False, True], "a moment without a measurement forgives nothing"
    assert looked([6, 6, None, None, None, None, 6]) == [False] * 7, "longer than its own time, it is forgotten"


def test_each_subject_has_a_streak_of_its_own() -> None:
    judge = Judge(LIMITS | {"cpu_seconds": 2})
    assert not judge.look({"cpu": {"a": 99, "b": 10}}, {}, 1)
    assert not judge.look({"cpu": {"a": 10, "b": 99}}, {}, 1)
    reason = judge.look({"cpu": {"a": 10, "b": 99}}, {}, 1)
    assert reason == "b uses 99 % of its processors, over 90 % for 2 s"


def test_system_a_is_the_default() -> None:
    judge = Judge(LIMITS)
    for second in range(1, 301):
        reason = judge.look({"error_rate": {"shop": 5.1}, "latency_p95": {"shop": 2.0}}, {}, 1)
        assert bool(reason) == (second == 300), second
    assert reason == "5.1 % of the requests to shop fail, over 5 % for 300 s"


def test_more_than_three_health_failures_in_a_row() -> None:
    judge = Judge(LIMITS)
    answers = [False, False, False, True, False, False, False, False]
    told = [judge.look({}, {"a1-1": well}, 1) for well in answers]
    assert told[:-1] == [""] * 7 and told[-1] == "a1-1 failed 4 health checks in a row, over 3"


def test_time_in_which_the_watcher_itself_was_asleep_counts_for_nothing() -> None:
    judge = Judge(LIMITS)
    judge.look({"error_rate": {"shop": 50}}, {}, 1)
    assert not judge.look({"error_rate": {"shop": 50}}, {}, 600)
    assert judge.watched == 1


def test_a_bake_that_saw_too_little_is_unknown() -> None:
    judge = Judge(LIMITS)
    for _ in range(900):
        judge.look({"error_rate": {"shop": None}, "latency_p95": {"shop": None}}, {}, 1)
    outcome = bake.ended(order(), judge.watched)
    result = bake.record(order(), outcome)
    assert (outcome.state, result.verdict) == ("unknown", "unknown") and "for 0 of 900 s" in str(result.reason)
    assert bake.record(order(), bake.ended(order(), 810)).verdict == "pass"


def test_a_rollback_that_took_long_is_a_failed_measurement() -> None:
    assert bake.record_rollback(order(), 0.3).verdict == "pass"
    assert bake.record_rollback(order(), 10.1).verdict == "fail"


def test_what_a_host_was_told_outlives_it_and_only_root_reads_the_key(tmp_path: Path) -> None:
    told = order()
    bake.begin(told, tmp_path)
    assert bake.read_order("shop", tmp_path) == told
    assert (tmp_path / "shop.order.json").stat().st_mode & 0o777 == 0o600
    begun = bake.read_standing("shop", tmp_path)
    assert begun and begun.state == "baking" and "k" not in json.loads((tmp_path / "shop.standing.json").read_text())
    bake.end(told, bake.standing(told, "rolled_back", "it is bad"), tmp_path)
    outcome = bake.read_standing("shop", tmp_path)
    assert outcome and outcome.sentence() == "2 was rolled back to 1 by its bake: it is bad"
    assert bake.read_order("shop", tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}'])
def test_a_torn_order_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.order.json").write_text(text)
    assert bake.read_order("shop", tmp_path) is None


def test_the_rate_of_errors_is_of_the_last_seconds_and_of_enough_requests() -> None:
    rate = Rate(3)
    assert rate.add(0, 1000, 900) is None, "what was before the bake is not its release's"
    assert rate.add(1, 1009, 909) is None, "too few to say"
    assert rate.add(2, 1100, 910) == 10
    assert rate.add(6, 1200, 910) == 0
    assert rate.add(7, 5, 0) is None, "HAProxy was started anew"
    assert rate.add(8, 25, 10) == 50


def test_only_the_release_s_own_requests_count() -> None:
    text = "# pxname,svname,req_tot,hrsp_5xx\nshop-blue,BACKEND,9,9\nshop-green,a1-1,5,1\nshop-green,BACKEND,10,2\n"
    assert counts(text, "shop-green") == (10, 2) and counts(text, "shop-red") == (0, 0)


def test_memory_is_without_what_is_only_cached_and_unknown_without_numbers() -> None:
    assert memory({"memory_stats": {"usage": 100, "limit": 200, "stats": {"inactive_file": 50}}}) == 25
    assert memory({}) is None and memory({"memory_stats": {"usage": 5, "limit": 0}}) is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def board() -> Iterator[tuple[Board, str]]:
    address = f"127.0.0.1:{free_port()}"
    made = Board(address, "k", "r1")
    yield made, address
    made.shutdown()
    made.server_close()


def test_what_one_edge_says_the_other_hears_and_a_dead_board_keeps_nobody(board: tuple[Board, str]) -> None:
    boards = [f"127.0.0.1:{free_port()}", board[1]]
    one, two = Said("r1", "it is bad", "edge1"), Said("r1")
    exchange(boards, "k", one)
    exchange(boards, "k", two)
    assert (two.reason, two.by) == ("it is bad", "edge1")
    two.edges["edge2"] = "back"
    exchange(boards, "k", two)
    late = Said("r1", "another reason", "edge3")
    exchange(boards, "k", late)
    assert late.edges == {"edge2": "back"}
    exchange(boards, "k", Said("r1", "it is bad", "edge2", {"edge2": "was not up", "edge3": "is not up"}))
    exchange(boards, "k", late)
    assert late.edges == {"edge2": "back", "edge3": "is not up"}
    exchange(boards, "k", Said("r1", edges={"edge3": "back"}))
    exchange(boards, "k", late)
    assert late.edges == {"edge2": "back", "edge3": "back"}
    assert board[0].exchange(Said("r1")).reason == "it is bad"


def test_a_board_hears_nobody_without_the_key_and_nothing_of_another_release(board: tuple[Board, str]) -> None:
    exchange([board[1]], "wrong", Said("r1", "it is bad", "mallory"))
    exchange([board[1]], "k", Said("r0", "it was bad", "edge1"))
    for headers in (
        {},
        {SIGNATURE: "é".encode("latin-1")},
        {"Content-Length": str(LARGEST + 1)},
        {"Content-Length": "-1"},
    ):
        connection = http.client.HTTPConnection(board[1], timeout=5)
        connection.request("POST", "/", encode(Said("r1", "it is bad", "mallory")), headers)
        assert connection.getresponse().status in (403, 413)
        connection.close()
    assert board[0].exchange(Said("r1")) == Said("r1")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"run":"r1","reason":"","by":"","edges":3}', b"\xff"])
def test_nonsense_is_nothing_said(body: bytes) -> None:
    assert decode("k", body, bake.sign("k", body)) is None


def baking(version: str = "2") -> dict[str, Any]:
    return {"a1": {"bake": {"version": version, "previous_version": "1", "until": 1.0}}, "a2": {"bake": {}}}


@pytest.mark.parametrize(
    ("plan", "override", "refused"),
    [
        ({"action": "deploy", "nothing": False, "target": {"version": "3"}}, "", True),
        ({"action": "deploy", "nothing": False, "target": {"version": "3"}}, "it burns", False),
        ({"action": "deploy", "nothing": False, "target": {"version": "2"}}, "", False),
        ({"action": "deploy", "nothing": False, "target": {"version": "2"}, "switch": False}, "", False),
        ({"action": "deploy", "nothing": False, "target": {"version": "2"}, "switch": True}, "", True),
        ({"action": "deploy", "nothing": False, "target": {"version": "2"}, "switch": True}, "it burns", False),
        ({"action": "rollback", "nothing": False, "target": {"version": "1"}}, "", False),
    ],
    ids=[
        "another release",
        "with a reason",
        "the same again",
        "where it is",
        "forced",
        "forced, a reason",
        "a rollback",
    ],
)
def test_a_bake_is_not_robbed_of_its_way_back(plan: dict[str, Any], override: str, refused: bool) -> None:
    found = bake_problems(baking(), plan, override)
    assert bool(found) == refused and (not found or "2 bakes until 00:00:01 UTC" in found[0])
    assert bake_problems({"a1": {}}, plan, "") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bake": {"seconds": 60}}, ".bake.port"),
        ({"bake": {"seconds": 60, "port": 9000}, "strategy": "recreate"}, "keeps no release warm"),
        ({"bake": {"seconds": 20000, "port": 9000}}, ".bake.seconds"),
        ({"bake": {"error_rate": 101}}, ".bake.error_rate"),
        ({"bake": {"eror_rate": 1}}, "did you mean error_rate"),
    ],
)
def test_a_bake_that_cannot_be_meant_is_refused(change: dict[str, Any], told: str) -> None:
    shop = {"name": "shop", "image": "i", "port": 80, "ports": {"blue": 8000, "green": 8100}}
    with pytest.raises(ServiceError, match=told.replace(".", r"\.")):
        parse_service(shop | change)


class Senses:
    """What an edge would measure."""

    def __init__(self, value: float | None) -> None:
        self.value, self.closed = value, False

    def read(self) -> dict[str, dict[str, float | None]]:
        return {"error_rate": {"shop": self.value}}

    def health(self) -> dict[str, bool]:
        return {}

    def close(self) -> None:
        self.closed = True


class Pools:
    """An edge whose release before has servers that are up, or not."""

    def __init__(self, *status: str) -> None:
        servers = [Server(f"a{n}-1", "?", one, "L7OK", "200", "", 1, 100, 0, 0) for n, one in enumerate(status, 1)]
        self.found = Pool("shop", {"blue": servers, "green": []}, [], {}, {})
        self.switched: list[tuple[str, str, str]] = []

    def pool(self, name: str, having: str | None = None) -> Pool:
        return self.found


def watched_edge(monkeypatch: pytest.MonkeyPatch, edge: Pools, value: float | None, **change: Any) -> bake.Standing:
    senses = Senses(value)
    left: list[str] = []
    monkeypatch.setattr(bake_watch.Edge, "at", lambda *paths: edge)
    monkeypatch.setattr(bake_watch, "EdgeSenses", lambda order, edge: senses)
    monkeypatch.setattr(bake_watch, "switch", lambda edge, pool, to, expect: edge.switched.append((pool, to, expect)))
    monkeypatch.setattr(bake_watch.Spool, "leave", lambda spool, records, name: left.append(records[0]["id"]))
    monkeypatch.setattr(bake, "LOOK", 0.01)
    limits = LIMITS | {"error_rate_seconds": 0.2}
    outcome = bake_watch.watch_edge(order(limits=limits, seconds=3, until=time.time() + 3, **change))
    assert senses.closed, "no prober is left behind"
    assert left == (["delivery.bake.rollback"] if outcome.state == "rolled_back" else [])
    return outcome


@pytest.mark.parametrize(
    ("value", "status", "state"),
    [
        (50, ["UP", "DOWN"], "rolled_back"),
        (50, ["DOWN", "DOWN"], "stuck"),
        (1, ["UP"], "passed"),
        (None, ["UP"], "unknown"),
    ],
)
def test_what_an_edge_does(monkeypatch: pytest.MonkeyPatch, value: float, status: list[str], state: str) -> None:
    edge = Pools(*status)
    outcome = watched_edge(monkeypatch, edge, value)
    assert outcome.state == state, outcome
    assert edge.switched == ([("shop", "blue", "green")] if state == "rolled_back" else [])
    assert state != "stuck" or ("fail, over 5 %" in outcome.reason and "0 of 2 servers are up" in outcome.reason)


def test_an_edge_that_sees_nothing_wrong_follows_what_a_board_says(
    monkeypatch: pytest.MonkeyPatch, board: tuple[Board, str]
) -> None:
    board[0].exchange(Said("r1", "app1 is full", "app1"))
    edge = Pools("UP")
    outcome = watched_edge(monkeypatch, edge, 0, boards=[board[1]])
    assert (outcome.state, outcome.reason) == ("rolled_back", "app1 is full")
    assert board[0].exchange(Said("r1")).edges == {"edge1": "back"}


def test_a_host_that_is_edge_and_app_host_is_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own board hears its edge, and its history what the edge did."""
    address = f"127.0.0.1:{free_port()}"
    both = order(edge=True, board=address, boards=[address], root=str(tmp_path), until=time.time() + 5, seconds=5)
    edge, handed = Pools("UP"), []
    monkeypatch.setattr(bake_watch.Edge, "at", lambda *paths: edge)
    monkeypatch.setattr(bake_watch, "EdgeSenses", lambda order, edge: Senses(0))
    full = Senses(0)
    full.health = lambda: {"a1-1": False}  # type: ignore[method-assign]
    monkeypatch.setattr(bake_watch, "AppSenses", lambda order: full)
    monkeypatch.setattr(bake_watch, "switch", lambda edge, pool, to, expect: edge.switched.append((pool, to, expect)))
    monkeypatch.setattr(bake_watch.Spool, "leave", lambda spool, records, name: None)
    monkeypatch.setattr(bake_watch.Host, "hand_over_workers", lambda host, *release: handed.append(release[:2]))
    monkeypatch.setattr(bake, "LOOK", 0.01)
    outcome = bake_watch.watch(both)
    assert outcome.state == "rolled_back" and "health checks in a row" in outcome.reason
    assert edge.switched == [("shop", "blue", "green")] and handed == [("1", "blue")]
    last = history.read(tmp_path / "shop" / "history.jsonl")[-1]
    assert (last["event"], last["action"], last["version"], last["by"]) == ("done", "rollback", "1", "bake on edge1")


@pytest.mark.parametrize("state", ["stuck", "passed"])
def test_how_a_bake_ended_is_published_when_it_is_written_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    told, published = order(root="/srv/elsewhere"), []
    ended = bake.standing(told, state, "it is bad")
    written = bake.end
    monkeypatch.setattr(bake, "read_order", lambda service: told)
    monkeypatch.setattr(bake, "end", lambda order, outcome: written(order, outcome, tmp_path))
    monkeypatch.setattr(bake_watch, "watch", lambda order: ended)
    monkeypatch.setattr(bake_watch.Spool, "leave", lambda spool, records, name: None)
    monkeypatch.setattr(
        bake_watch.metrics, "publish", lambda root: published.append((root, bake.standings(tmp_path)["shop"].state))
    )
    assert bake_watch.main(["", "shop"]) == 0
    assert published == [(Path("/srv/elsewhere"), state)]


def test_a_server_in_maintenance_is_nobodys_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Pools("UP", "MAINT", "DOWN", "MAINT (via shop/a1-1)", "MAINT (resolution)")
    senses = bake_senses.EdgeSenses(order(colour="blue"), edge)  # type: ignore[arg-type]
    assert senses.health() == {"a1-1": True, "a3-1": False, "a5-1": False}


def test_what_failed_before_a_maintenance_is_not_counted_after_it() -> None:
    judge = Judge(LIMITS)
    for _ in range(3):
        assert not judge.look({}, {"a1-1": False, "a2-1": True}, 1)
    assert not judge.look({}, {"a2-1": True}, 1)
    assert not judge.look({}, {"a1-1": False, "a2-1": True}, 1)


def test_a_service_without_a_limit_of_processors_uses_no_share_of_it() -> None:
    senses = bake_senses.AppSenses(order(cpus=0))
    stats = [{"cpu_stats": {"cpu_usage": {"total_usage": used}}} for used in (1, 1_000_000)]
    assert [senses._cpu("shop-1", one) for one in stats] == [None, None]


def test_an_app_host_that_was_away_hears_of_it_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    address, heard = f"127.0.0.1:{free_port()}", []
    monkeypatch.setattr(bake, "LOOK", 0.01)
    away = order(edge=True, boards=[address], until=time.time() + 30)

    def back() -> None:
        time.sleep(0.3)
        heard.append(Board(address, away.key, away.run))

    thread = threading.Thread(target=back)
    thread.start()
    bake_watch.tell_the_rest(away, bake.standing(away, "rolled_back", "app1 is full"))
    thread.join()
    said = heard[0].exchange(Said(away.run))
    assert (said.reason, said.edges) == ("app1 is full", {away.host: "back"})


def test_a_way_back_is_written_when_whoever_has_the_service_lets_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken = iter([ReleaseError("somebody works on it")])
    held = bake_watch.Host.held

    def busy(host: Any) -> Any:
        for error in taken:
            raise error
        return held(host)

    monkeypatch.setattr(bake_watch.Host, "held", busy)
    monkeypatch.setattr(bake_watch.Host, "hand_over_workers", lambda host, *release: None)
    bake_watch._record_rollback(order(root=str(tmp_path)), Said("r1", "app1 is full", "edge1"))
    assert history.read(tmp_path / "shop" / "history.jsonl")[-1]["action"] == "rollback"
