"""pgBouncer: settings that wait for a restart, pauses that end in one state or the other, and the health check."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import (
    PgbouncerError,
    dead_man,
    server_side,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer import pause as pausing
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.admin import quoted
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbouncer.server import waiting, written
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, worst
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import pgbouncer as kind

DB1: dict[str, Any] = {"host": "db1", "port": 5432}
OWN = {"name": "pgbouncer", "paused": 0, "pool_size": 2, "host": None, "port": 6432}
LOOKUPS = ("lookup.db1.5432", "lookup.db2.5432")


class Pooler:
    """A pooler with two databases of one server, of which some have a transaction that does not end."""

    def __init__(self, paused=(), busy=(), pools=()):
        self.state = {name: name in paused for name in ("shop", "stock", *LOOKUPS)}
        self.busy, self.pools, self.commands = busy, list(pools), []

    def __call__(self, socket, port):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def show(self, what):
        if what == "POOLS":
            return self.pools
        if what == "CONFIG":
            return [{"key": key, "value": value} for key, value in CONFIG.items()]
        servers = {name: DB1 | {"host": "db2"} if ".db2." in name else DB1 for name in self.state}
        shared = {"pool_size": 4, "database": "postgres"}
        return [OWN, *({"name": name, "paused": int(self.state[name])} | shared | servers[name] for name in self.state)]

    def command(self, words, timeout=10.0):
        self.commands.append(words)
        verb, name = words.replace('"', "").split()
        self.state[name] = verb == "PAUSE"
        if name in self.busy and verb == "PAUSE":
            raise TimeoutError(f"no answer within {timeout:g} s")


CONFIG = {"auth_user": "pgbouncer", "server_tls_sslmode": "verify-full"} | {
    f"server_tls_{part}_file": f"/run/pgbouncer/tls/{part}.pem" for part in ("ca", "cert", "key")
}


@pytest.fixture
def pooler(monkeypatch):
    def make(**options):
        made = Pooler(**options)
        monkeypatch.setattr(pausing, "Admin", made)
        monkeypatch.setattr(kind, "Admin", made)
        return made

    return make


WHERE = ("/run/pgbouncer", 6432)


def test_what_is_not_paused_yet_is_paused_and_what_is_resumed(pooler):
    """With the lookups on the same server, so that who comes meanwhile waits as well."""
    made = pooler(paused=["stock"])
    assert pausing.pause(WHERE, [], 5, check_mode=False) == ["shop"]
    assert pausing.pause(WHERE, [], 5, check_mode=False) == []
    assert pausing.resume(WHERE, ["stock"], check_mode=False) == (["stock"], [])
    assert made.commands == ['PAUSE "shop"', 'PAUSE "lookup.db1.5432"', 'RESUME "lookup.db1.5432"', 'RESUME "stock"']


def test_a_look_changes_nothing(pooler):
    made = pooler(paused=["stock"])
    assert pausing.pause(WHERE, [], 5, check_mode=True) == ["shop"]
    assert pausing.resume(WHERE, [], check_mode=True) == (["stock"], [])
    assert made.commands == []


@pytest.mark.parametrize("busy", ["stock", "lookup.db1.5432"])
def test_a_pause_that_fails_is_undone(pooler, busy):
    made = pooler(busy=[busy])
    with pytest.raises(PgbouncerError, match=f"{busy} could not be paused within 5 s"):
        pausing.pause(WHERE, [], 5, check_mode=False)
    assert not any(made.state.values())


def test_what_nobody_resumes_gets_on_with_its_lookups(pooler, capsys):
    made = pooler(paused=["shop", "lookup.db1.5432"])
    assert dead_man.main(["/run/pgbouncer", "6432"]) == 0
    assert not any(made.state.values()) and "nobody resumed them: shop" in capsys.readouterr().out


def test_nothing_is_paused_where_nothing_would_end_the_pause(monkeypatch, tmp_path):
    monkeypatch.setattr(dead_man, "PROGRAM", tmp_path / "not-there")
    with pytest.raises(PgbouncerError, match="nothing was paused"):
        dead_man.arm(WHERE, 60)


class Servers:
    """What connections to servers come to, one after the other, and then always the last."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.ways: list[dict[str, Any]] = []

    def __call__(self, **way):
        self.ways.append(way)
        if told := self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
            raise ConnectionError(told)
        return self

    def close(self):
        pass


@pytest.mark.parametrize(
    ("answers", "looks"), [(["shuts down", "", "read-only", ""], 5), ([""], 2)], ids=["two know it", "one"]
)
def test_pools_get_on_when_their_server_takes_writes(pooler, monkeypatch, answers, looks):
    made, servers = pooler(paused=["shop", "stock"]), Servers(*answers)
    monkeypatch.setattr(server_side, "psycopg2", SimpleNamespace(connect=servers, Error=ConnectionError))
    assert pausing.resume(WHERE, [], check_mode=False, writable=30) == (["shop", "stock"], [])
    assert len(servers.ways) == looks
    assert servers.ways[0]["target_session_attrs"] == "read-write"
    assert (servers.ways[0]["user"], servers.ways[0]["sslmode"]) == ("pgbouncer", "verify-full")
    assert not any(made.state.values())


def test_pools_get_on_all_the_same_when_it_does_not(pooler, monkeypatch):
    made = pooler(paused=["shop"])
    refusing = SimpleNamespace(connect=Servers("session is read-only"), Error=ConnectionError)
    monkeypatch.setattr(server_side, "psycopg2", refusing)
    done, problems = pausing.resume(WHERE, [], check_mode=False, writable=0.1)
    assert done == ["shop"]
    assert problems == ["db1:5432 takes no writes: session is read-only (0.1 s)"]
    assert not any(made.state.values())


def test_a_pause_of_a_database_that_is_not_there_is_refused(pooler):
    pooler()
    with pytest.raises(PgbouncerError, match="no database shops; it has shop, stock"):
        pausing.resume(WHERE, ["shops"], check_mode=False)


def test_settings_that_only_a_restart_changes_wait(tmp_path):
    file = tmp_path / "pgbouncer.ini"
    file.write_text(
        "; head\n[databases]\nshop = host='db1' dbname='shop'\n\n"
        "[pgbouncer]\nlisten_addr = *\nlisten_port = 6433\nauth_query = SELECT f($1)\nmax_client_conn = 5\n"
    )
    shown: list[dict[str, Any]] = [
        {"key": "listen_addr", "value": "*", "changeable": "no"},
        {"key": "listen_port", "value": "6432", "changeable": "no"},
        {"key": "unix_socket_mode", "value": None, "changeable": "no"},
        {"key": "max_client_conn", "value": "1000", "changeable": "yes"},
    ]
    assert waiting(written(file), shown) == ["listen_port"]


def test_names_are_quoted():
    assert quoted('a"b') == '"a""b"'


def pool(database="shop", **values):
    still = {"cl_waiting": 0, "sv_active": 0, "maxwait": 0, "maxwait_us": 0}
    return {"database": database, "user": "web", **still, **values}


def measure(**options):
    (defined,) = define([{"kind": "pgbouncer", **options}], KINDS)
    return worst(asyncio.run(defined.measure(HttpClient())))


@pytest.mark.parametrize(
    ("options", "verdict", "measured"),
    [
        ({}, "pass", "answers"),
        ({"waiting": "= 0"}, "fail", 5),
        ({"waiting": "< 3", "database": "shop"}, "pass", 2),
        ({"waited": "< 2 s"}, "fail", 2.5),
        ({"pool_use": "<= 80 %"}, "fail", 100),
        ({"pool_use": "<= 80 %", "database": "stock"}, "pass", 25),
    ],
)
def test_clients_that_wait_and_pools_in_use_are_held_against_limits(pooler, options, verdict, measured):
    pooler(
        pools=[
            pool(cl_waiting=2, sv_active=4, maxwait=1, maxwait_us=500000),
            pool("stock", cl_waiting=3, sv_active=1, maxwait=2, maxwait_us=500000),
            pool("pgbouncer", cl_waiting=9),
        ]
    )
    found = measure(**options)
    assert (found.verdict, found.measured) == (verdict, measured)


def test_without_any_client_nothing_waits(pooler):
    pooler()
    found = measure(waiting="= 0", waited="< 1 s", pool_use="< 80 %")
    assert (found.verdict, found.measured) == ("pass", 0)


def test_a_pause_is_told_and_a_database_that_is_not_there_fails(pooler):
    pooler(paused=["shop"])
    found = measure()
    assert found.verdict == "warn" and found.reason == "shop is paused and clients wait; end the pause with RESUME"
    with pytest.raises(CheckFailed, match="pgBouncer has no database shops"):
        measure(database="shops")
