"""The runtime API over a real Unix socket with a pretended HAProxy behind it; the map's crashes; what prepare sees."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy import pools
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.live import LiveMap
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.prepare import Prepared, Wanted, prepare
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import (
    HaproxyError,
    Stats,
    Worker,
    started_at,
)
from ansible_collections.slipway.ops.plugins.modules import release_watch

COLUMNS = "pxname,svname,qcur,scur,status,weight,check_status,check_code,check_duration,last_chk,addr,req_tot"


class FakeHaproxy:
    """Answers `show stat`, `show map`, `set map`, `add map`, `show info` as 3.0 does."""

    def __init__(self, path: Path, map_path: Path) -> None:
        self.map_path, self.live = map_path, {"sample": "blue", "other": "green"}
        self.servers = {
            ("sample-blue", "a"): ("UP", "L7OK", 0),
            ("sample-green", "a"): ("UP", "* L7OK", 0),
            ("sample-green", "b"): ("DOWN", "L7STS", 0),
            ("plain", "p"): ("no check", "", 0),
        }
        self.commands: list[str] = []
        self.sessions = ""
        self.returns = "UP"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection, _address = self.listener.accept()
            with connection:
                command = b"".join(iter(lambda c=connection: c.recv(4096), b"")).decode().strip()  # type: ignore[misc]
                self.commands.append(command)
                connection.sendall((self.answer(command) + "\n").encode())

    def answer(self, command: str) -> str:
        words = command.split()
        if command == "show stat":
            return self.stat()
        if command == "show sess":
            return self.sessions
        if words[:2] == ["set", "server"]:
            backend, name = words[2].split("/")
            status = {"maint": "MAINT", "ready": self.returns}[words[4]]
            self.servers[backend, name] = (status, *self.servers[backend, name][1:])
            return ""
        if command == "show info":
            return f"Name: HAProxy\nVersion: 3.0.11\nPid: {os.getpid()}\n"
        if words[1] != "map" or words[2] != str(self.map_path):
            return "Unknown map identifier. Please use #<id> or <file>.\n"
        if words[0] == "show":
            return "".join(f"0x{n:x} {key} {value}\n" for n, (key, value) in enumerate(self.live.items(), 1))
        if words[0] == "set" and words[3] not in self.live:
            return "entry not found.\n"
        self.live[words[3]] = words[4]
        return ""

    def stat(self) -> str:
        rows = [(proxy, "FRONTEND", "", "0", "OPEN", "", "", "", "", "", "", "7") for proxy in ("sample", "plain")]
        for (proxy, name), (status, check, sessions) in self.servers.items():
            rows.append((proxy, name, "0", str(sessions), status, "100", check, "200", "1", "said so", "app1:80", ""))
        for proxy in dict.fromkeys(proxy for proxy, _name in self.servers):
            total = sum(server[2] for (other, _name), server in self.servers.items() if other == proxy)
            rows.append((proxy, "BACKEND", "0", str(total), "UP", "100", "", "", "", "", "", "7"))
        return f"# {COLUMNS}\n" + "".join(",".join(row) + "\n" for row in rows)


@pytest.fixture
def fake(tmp_path):
    return FakeHaproxy(tmp_path / "admin.sock", tmp_path / "live.map")


@pytest.fixture
def edge(fake, tmp_path):
    (tmp_path / "live.map").write_text(LiveMap.render(fake.live), encoding="utf-8")
    return pools.Edge.at(str(tmp_path / "admin.sock"), str(tmp_path / "no-master.sock"), str(tmp_path / "live.map"))


def test_up_needs_a_check_that_passed(fake):
    backends = Stats.parse(fake.stat()).backends
    assert [server.up for server in backends["sample-green"]] == [True, False]
    assert backends["plain"][0].up
    for status, check in (("UP", "INI"), ("DRAIN", "L7OK"), ("MAINT", ""), ("UP", "L4TOUT"), ("DOWN", "L7OK")):
        fake.servers["sample-blue", "a"] = (status, check, 0)
        assert not Stats.parse(fake.stat()).backends["sample-blue"][0].up


def test_pools_are_read_off_the_proxies(edge):
    found = edge.pools()
    assert list(found["sample"].sets) == ["blue", "green"]
    assert found["plain"].sets == {}
    assert found["plain"].servers[0].name == "p"


def test_switch_commands_once_and_is_durable(edge, fake):
    done = pools.switch(edge, "sample", "green", expect="blue")
    assert (done.before, done.changed) == ("blue", True)
    assert done.at is not None
    assert done.at.endswith("Z")
    assert fake.live["sample"] == "green"
    assert edge.live_map.entries() == {"sample": "green", "other": "green"}
    assert sum(command.startswith("set map") for command in fake.commands) == 1
    assert not pools.switch(edge, "sample", "green", expect="blue").changed


def test_dry_run_says_and_does_nothing(edge, fake):
    assert pools.switch(edge, "sample", "green", dry_run=True).changed
    assert fake.live["sample"] == "blue"
    assert edge.live_map.entries()["sample"] == "blue"


def test_pool_that_the_map_lacks_is_added(edge, fake):
    del fake.live["sample"]
    assert pools.switch(edge, "sample", "green").before == "blue"
    assert fake.live["sample"] == "green"


def test_killed_after_the_command_the_next_run_writes_the_file(edge, fake, monkeypatch):
    def die(_self: LiveMap) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LiveMap, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            pools.switch(edge, "sample", "green")
    assert fake.live["sample"] == "green"
    assert edge.live_map.entries()["sample"] == "blue"
    again = pools.switch(edge, "sample", "green")
    assert (again.before, again.changed, again.at) == ("green", True, None)
    assert edge.live_map.entries()["sample"] == "green"


def test_full_disk_switches_nothing(edge, fake, monkeypatch):
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HaproxyError, match=r"No space left on device.*nothing was switched"):
        pools.switch(edge, "sample", "green")
    assert fake.live["sample"] == "blue"


def test_another_pools_line_comes_from_the_running_process(edge, fake):
    fake.live["other"] = "blue"  # switched by a run that was killed
    pools.switch(edge, "sample", "green")
    assert edge.live_map.entries() == {"sample": "green", "other": "blue"}


@pytest.mark.parametrize(
    ("pool", "to", "expect", "said"),
    [
        ("sampel", "green", None, "did you mean 'sample'"),
        ("sample", "grene", None, "did you mean 'green'"),
        ("plain", "green", None, "has no sets"),
        ("sample", "green", "green2", "serves 'blue', not 'green2'"),
    ],
)
def test_wrong_words(edge, fake, pool, to, expect, said):
    with pytest.raises(HaproxyError, match=said):
        if expect:
            fake.live["sample"] = "blue"
        pools.switch(edge, pool, to, expect)
    assert fake.live["sample"] == "blue"


def test_too_few_servers_are_named_with_their_check(edge, fake):
    servers = pools.wait_for_servers(edge, "sample", "green", None, 0)
    problem = pools.too_few_up("sample", "green", servers, None)
    assert problem is not None
    assert "1 of 2 servers are up and 2 must be. b (app1:80) is DOWN, check: L7STS" in problem
    assert pools.too_few_up("sample", "green", servers, 1) is None
    assert pools.too_few_up("sample", "green", [], None) is not None
    threading.Timer(0.2, lambda: fake.servers.update({("sample-green", "b"): ("UP", "L7OK", 0)})).start()
    waited = pools.wait_for_servers(edge, "sample", "green", None, 5)
    assert pools.too_few_up("sample", "green", waited, None) is None


def test_drain_says_how_many_are_left(edge, fake):
    fake.servers["sample-blue", "a"] = ("UP", "L7OK", 3)
    assert pools.drain(edge, "sample", "blue", 0.1).sessions == 3
    threading.Timer(0.2, lambda: fake.servers.update({("sample-blue", "a"): ("UP", "L7OK", 0)})).start()
    done = pools.drain(edge, "sample", "blue", 5)
    assert done.sessions == 0
    assert 0.1 < done.waited < 2


# As HAProxy 3.0.11 says it: a WebSocket, a POST whose body is not over, an answer that goes on, another pool's.
SESSIONS = """\
0x1: proto=tcpv4 src=127.0.0.1:1 fe=sample be=sample-blue srv=a ts=00 epoch=0 age=1s calls=3 rate=0 cpu=0 lat=0 \
rq[f=848000h,i=0,an=00h,ax=] rp[f=80048001h,i=0,an=00h,ax=] scf=[8,1400h,fd=20,rex=59m58s,wex=] exp=0s rc=0 c_exp=
0x2: proto=tcpv4 src=127.0.0.1:2 fe=sample be=sample-blue srv=a ts=00 epoch=0 age=1s calls=2 rate=0 cpu=0 lat=0 \
rq[f=840000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,400h,fd=22,rex=59s,wex=] exp=1s rc=0 c_exp=
0x3: proto=tcpv4 src=127.0.0.1:3 fe=sample be=sample-blue srv=a ts=00 epoch=0x1 age=1s calls=3 rate=0 cpu=0 lat=0 \
rq[f=1840000h,i=0,an=00h,ax=] rp[f=80040101h,i=0,an=4000000h,ax=] scf=[8,482h,fd=21,rex=,wex=] exp=0s rc=0 c_exp=
0x4: proto=tcpv4 src=127.0.0.1:4 fe=other be=other-blue srv=a ts=00 epoch=0 age=1s calls=3 rate=0 cpu=0 lat=0 \
rq[f=848000h,i=0,an=00h,ax=] rp[f=80048001h,i=0,an=00h,ax=] scf=[8,1400h,fd=20,rex=59m58s,wex=] exp=0s rc=0 c_exp=
"""


def test_a_websocket_need_not_be_waited_for(edge, fake):
    fake.servers["sample-blue", "a"] = ("UP", "L7OK", 3)
    fake.sessions = SESSIONS
    left = pools.drain(edge, "sample", "blue", 0.1, tunnels=False)
    assert (left.sessions, left.tunnels) == (3, 1), "requests and answers under way are waited for"
    fake.servers["sample-blue", "a"] = ("UP", "L7OK", 1)
    left = pools.drain(edge, "sample", "blue", 5, tunnels=False)
    assert (left.sessions, left.tunnels) == (1, 1) and left.waited < 2
    assert pools.drain(edge, "sample", "blue", 0.1).sessions == 1
    fake.sessions = "what no version says yet\n"
    assert pools.drain(edge, "sample", "blue", 0.1, tunnels=False).tunnels == 0, "unknown is waited for"


def test_a_socket_that_does_not_answer_is_explained(tmp_path):
    with pytest.raises(HaproxyError, match="There is no runtime socket"):
        Worker(str(tmp_path / "none")).info()
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        with pytest.raises(HaproxyError, match="HAProxy is down"):
            Worker(str(path)).info()
        dead.listen()
        with pytest.raises(HaproxyError, match=r"did not answer .* within 0.1 s"):
            Worker(str(path)).ask("show info", timeout=0.1)


def test_one_writer_at_a_time(edge):
    with (
        edge.live_map.locked(),
        pytest.raises(HaproxyError, match="Another task has held"),
        edge.live_map.locked(timeout=0.1),
    ):
        pass


def wanted(tmp_path: Path, **pool_sets: list[str]) -> Wanted:
    return Wanted(pool_sets, {}, tmp_path / "haproxy.cfg", tmp_path / "drop-in")


def test_prepare_makes_the_map_and_keeps_what_is_live(edge, fake, tmp_path):
    fake.live = {"sample": "green"}
    prepared = prepare(edge.worker, edge.live_map, wanted(tmp_path, sample=["blue", "green"], new=["one"]), False)
    assert prepared.live == {"sample": "green", "new": "one"}
    assert edge.live_map.entries() == prepared.live
    with pytest.raises(HaproxyError, match="would take away what is live: pool 'sample' serves set 'green'"):
        prepare(edge.worker, edge.live_map, wanted(tmp_path, sample=["blue"]), False)


def test_prepare_on_a_bare_host_in_check_mode_writes_nothing(tmp_path):
    live_map = LiveMap(tmp_path / "not" / "there" / "live.map")
    prepared = prepare(Worker(str(tmp_path / "none")), live_map, wanted(tmp_path, sample=["blue"]), True)
    assert prepared.before != prepared.after
    assert not live_map.path.parent.exists()


def test_prepare_sees_a_process_older_than_its_configuration(edge, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text("", encoding="utf-8")
    assert prepare(edge.worker, edge.live_map, wanted(tmp_path), True).stale
    os.utime(config, (1, 1))
    assert not prepare(edge.worker, edge.live_map, wanted(tmp_path), True).stale
    assert started_at(os.getpid()) is not None
    assert started_at(2**30) is None


class Change:
    """A pool that moves while nginx still sends requests to its former address."""

    def __init__(self, edge: pools.Edge, tmp_path: Path) -> None:
        self.edge, self.place = edge, tmp_path
        (tmp_path / "haproxy.cfg").write_text(
            "frontend a\n  bind 127.0.0.1:7001\n\nbackend a-blue\n  server one 127.0.0.1:1\n\n"
            "frontend b\n  bind 127.0.0.1:7002\n  bind 127.0.0.1:7009\n"
        )
        self.nginx("127.0.0.1:7001", "127.0.0.1:7002")

    def nginx(self, *servers: str) -> None:
        lines = "".join(f"upstream p {{\n    server {server} max_fails=0;\n}}\n" for server in servers)
        (self.place / "requests.conf").write_text(lines)

    def leaving(self, **binds: str) -> dict[str, list[str]]:
        return self.prepared(**binds).leaving

    def prepared(self, **binds: str) -> Prepared:
        clients = [self.place / "requests.conf", self.place / "not-there.conf"]
        asked = Wanted({}, binds, self.place / "haproxy.cfg", self.place / "drop-in", clients)
        return prepare(self.edge.worker, self.edge.live_map, asked, True)


def test_a_former_address_is_kept_until_nginx_has_left_it(edge, tmp_path):
    change = Change(edge, tmp_path)
    assert change.leaving(a="127.0.0.1:7011", b="127.0.0.1:7002", new="127.0.0.1:7003") == {"a": ["127.0.0.1:7001"]}
    change.nginx("127.0.0.1:7011", "127.0.0.1:7002")
    assert change.leaving(a="127.0.0.1:7011", b="127.0.0.1:7002") == {}
    assert change.leaving(b="127.0.0.1:7002") == {}


def test_an_address_that_nginx_uses_for_one_pool_is_not_anothers_at_once(edge, tmp_path):
    with pytest.raises(HaproxyError, match=r"127\.0\.0\.1:7001 is a's, .* would be b's: .* move a alone first"):
        Change(edge, tmp_path).leaving(a="127.0.0.1:7011", b="127.0.0.1:7001")


def test_a_pool_that_is_taken_away_is_served_until_nginx_has_left_it(edge, fake, tmp_path):
    change = Change(edge, tmp_path)
    fake.live = {"a": "blue"}
    first = change.prepared(b="127.0.0.1:7002")
    assert first.retiring == {"a": "frontend a\n  bind 127.0.0.1:7001\n\nbackend a-blue\n  server one 127.0.0.1:1"}
    assert "a blue" in first.after  # it serves what is live, not its first set
    change.nginx("127.0.0.1:7002")
    then = change.prepared(b="127.0.0.1:7002")
    assert then.retiring == {} and "a blue" not in then.after


def test_a_pool_whose_address_another_takes_goes_at_once(edge, tmp_path):
    assert Change(edge, tmp_path).prepared(new="127.0.0.1:7001", b="127.0.0.1:7002").retiring == {}


def test_a_pool_without_sets_is_watched_as_a_whole_but_for_hosts_that_are_away(edge, fake):
    fake.servers = {("plain", "n1-1"): ("UP", "L7OK", 3), ("plain", "n2-1"): ("DOWN", "L4CON", 0)}
    down, requests = release_watch.live_set(edge, "plain")
    assert [reason.split(" ")[0] for reason in down] == ["n2-1"] and requests == 7
    assert release_watch.live_set(edge, "plain", away=["n2"])[0] == []
    fake.servers["plain", "n2-1"] = ("MAINT", "", 0)
    assert release_watch.live_set(edge, "plain")[0] == [], "an operator took it out"
    with pytest.raises(HaproxyError, match="no pool 'plan'"):
        release_watch.live_set(edge, "plan")
