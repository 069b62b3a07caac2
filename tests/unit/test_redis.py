"""Backups of Redis: snapshots over the protocol, the shelf that keeps them, and what a restore refuses and leaves."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits as DrillLimits
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import results as drilled
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Refused, Restore
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import DAY, Kept, digest, shrinkage
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis import (
    RedisError,
    backup,
    engine,
    rehearsal,
    restore,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.backup import Plan, Snapshots
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.client import connected
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.rehearsal import compared
from ansible_collections.slipway.ops.plugins.module_utils.engines.redis.scratch import argv, gist

HOLDS = {"databases": {"db0": {"keys": 10, "expires": 2}, "db3": {"keys": 1, "expires": 0}}, "hash": "aa", "memory": 1}
Serve = Callable[[bytes], str]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """A server that says these words to whoever comes, and hangs up."""

    def run(words: bytes) -> str:
        path = str(tmp_path / "socket")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        return path

    return run


def test_a_snapshot_is_taken_whole_however_long_it_takes_to_make(serve: Serve) -> None:
    sink = BytesIO()
    with connected(serve(b"\n\n\n$9\r\nREDIS\n\r\n!*3\r\n$8\r\nREPLCONF\r\n")) as client:
        assert client.snapshot(sink) == 9
    assert sink.getvalue() == b"REDIS\n\r\n!"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"$900\r\nREDIS", "ended in the middle of its snapshot: 895 bytes of 900 are missing"),
        (b"-NOPERM no permissions to run 'sync'\r\n", "gives no snapshot: NOPERM"),
        (b"\n\n", "closed the connection"),
        (b"+OK\r\n", "instead of a snapshot"),
    ],
)
def test_a_snapshot_that_is_none_is_named(serve: Serve, said: bytes, reason: str) -> None:
    with pytest.raises(RedisError, match=reason), connected(serve(said)) as client:
        client.snapshot(BytesIO())


def test_answers_are_read_and_a_server_that_is_not_there_is_named(serve: Serve, tmp_path: Path) -> None:
    told = b"# Keyspace\r\ndb0:keys=10,expires=2,avg_ttl=0\r\ndb3:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n"
    with connected(serve(b"$%d\r\n%b\r\n" % (len(told), told))) as client:
        assert client.keyspace() == HOLDS["databases"]
    with pytest.raises(RedisError, match="is it running"), connected(str(tmp_path / "none")):
        pass


def replication(status: str) -> bytes:
    text = f"role:slave\r\nmaster_host:cache1\r\nmaster_link_status:{status}\r\n".encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


def test_a_replica_waits_for_its_primary_before_it_is_asked(serve: Serve) -> None:
    with connected(serve(replication("down") + replication("up") + b"+PONG\r\n")) as client:
        client.await_primary(30)
        assert client.call("PING") == "PONG"


def test_a_replica_without_its_primary_says_whom_it_misses(serve: Serve) -> None:
    with connected(serve(replication("down"))) as client, pytest.raises(RedisError, match="not followed cache1"):
        client.await_primary(0)


def test_a_server_that_follows_nobody_is_ready(serve: Serve) -> None:
    with connected(serve(b"$11\r\nrole:master\r\n")) as client:
        client.await_primary(0)


@pytest.fixture
def shelf(tmp_path: Path) -> Snapshots:
    (tmp_path / "shelf").mkdir()
    return Snapshots("cache", tmp_path / "shelf", tmp_path / "key", 7.0)


def put(shelf: Snapshots, label: str, ended: float) -> Kept:
    shelf.partial(label).write_bytes(b"sealed")
    kept = Kept(label, ended - 5, ended, digest(shelf.partial(label)), 6, 100, dict(HOLDS))
    shelf.keep(kept)
    return kept


def test_what_is_kept_is_told_and_damage_is_named(shelf: Snapshots) -> None:
    kept = put(shelf, "20261101T000000Z", 1000.0)
    assert shelf.all() == [kept]
    shelf.refuse_damage(kept)
    (status,) = shelf.statuses("redis", 1095.0)
    assert (status.age, status.backups, status.size, status.stored) == (100.0, 1, 100, 6)
    shelf.sealed(kept.label).write_bytes(b"Sealed")
    with pytest.raises(BackupError, match="corrupted"):
        shelf.refuse_damage(kept)
    shelf.sealed(kept.label).write_bytes(b"seal")
    with pytest.raises(BackupError, match="4 bytes instead of 6: it is truncated"):
        shelf.refuse_damage(kept)
    assert shelf.statuses("redis", 1095.0)[0].age is None
    shelf.sealed(kept.label).unlink()
    with pytest.raises(BackupError, match="is missing"):
        shelf.refuse_damage(kept)
    (shelf.directory / f"{kept.label}.json").write_text("{")
    with pytest.raises(BackupError, match="restore it from a copy, or remove it"):
        shelf.all()


def test_the_newest_that_can_be_restored_outlives_its_days(shelf: Snapshots) -> None:
    old, good, cut = (put(shelf, f"2026110{at}T000000Z", at * DAY) for at in (1, 2, 3))
    shelf.sealed(cut.label).write_bytes(b"")
    shelf.partial("20261104T000000Z").write_bytes(b"of a run that was killed")
    assert shelf.expire(100 * DAY) == [old.label, cut.label]
    assert [one.label for one in shelf.all()] == [good.label]
    assert not shelf.partial("20261104T000000Z").exists()


def test_two_do_not_work_on_a_shelf_at_once(shelf: Snapshots) -> None:
    with shelf.alone(), pytest.raises(Busy, match="another backup, drill or restore of cache"), shelf.alone():
        pass


def test_a_backup_with_much_less_is_told() -> None:
    before = [{"keys": count, "bytes": 100} for count in (1, 100, 100, 90, 100, 110)]
    assert shrinkage({"keys": 49, "bytes": 50}, before) == ["it has 49 keys, and the 5 before had about 100"]
    assert shrinkage({"keys": 50, "bytes": 50}, before) == [] == shrinkage({"keys": 0, "bytes": 0}, [])


@pytest.mark.skipif(not shutil.which("age"), reason="age is not here")
def test_what_is_sealed_comes_back_with_its_key_alone(shelf: Snapshots, tmp_path: Path) -> None:
    shelf.key.write_text("AGE-SECRET-KEY-1682CE72VAZT0NTP7XHKCKH08QG5CMPCYXGDGY6QFFK5GD6TWJQFS9E39AA\n")
    with shelf.seal(shelf.partial("a")) as sink:
        sink.write(b"secret")
    shelf.unseal(shelf.partial("a"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"secret" not in shelf.partial("a").read_bytes()
    shelf.partial("a").write_bytes(b"none of it")
    with pytest.raises(BackupError, match="age ended with status 1"):
        shelf.unseal(shelf.partial("a"), tmp_path / "back")


class InBucket(dict[str, bytes]):
    """A bucket that is a dictionary."""

    def __bool__(self) -> bool:
        return True  # also without objects

    def sizes(self) -> dict[str, int]:
        return {name: len(content) for name, content in self.items()}

    def called(self, name: str) -> str:
        return f"https://objects1/redis/{name}"

    def text(self, name: str) -> str:
        return self[name].decode()

    def write(self, name: str, text: str) -> None:
        self[name] = text.encode()

    def send(self, source: Path, name: str) -> None:
        self[name] = source.read_bytes()

    def fetch(self, name: str, _: int, target: Path) -> None:
        target.write_bytes(self[name])


@pytest.fixture
def far(shelf: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan whose only backup is in a bucket, and a server that loads it."""
    there = InBucket({})
    monkeypatch.setattr(backup, "bucket", lambda given: there if given else None)
    monkeypatch.setattr(backup, "load", lambda *_: dict(HOLDS))
    monkeypatch.setattr(backup, "refuse_little_memory", lambda _: None)
    wanted = Plan("cache", shelf.directory, shelf.key, tmp_path, tmp_path, "", tmp_path, bucket={"url": "https://…"})
    put(wanted.shelf, "20261101T000000Z", 1000.0)
    return wanted


def files(wanted: Plan) -> list[str]:
    return [path.name for path in wanted.directory.iterdir() if path.is_file() and path.name != ".lock"]


def test_a_backup_in_a_bucket_is_verified_from_there_and_leaves_nothing_here(far: Plan) -> None:
    assert files(far) == [] and [result.verdict for result in backup.verify(far, lambda _: None)] == ["pass"]
    bucket: InBucket = far.shelf.bucket  # type: ignore[assignment]
    bucket["20261101T000000Z.age"] = b"Sealed"
    (told,) = backup.verify(far, lambda _: None)
    assert told.verdict == "fail" and "https://objects1/redis/20261101T000000Z.age is not what was" in str(told.reason)
    assert files(far) == []


def test_what_meets_a_backup_is_skipped_and_stands_in_for_nothing(far: Plan) -> None:
    limits = DrillLimits()
    with far.shelf.alone():
        for (told,) in (backup.back_up(far, lambda _: None), backup.verify(far, lambda _: None)):
            assert (told.verdict, told.subject) == ("skip", "cache beside another run")
            assert "another backup, drill or restore of cache is under way" in str(told.reason)
        skipped = rehearsal.drill(far, limits, "r", lambda _: None)
        with pytest.raises(Busy):
            rehearsal.sweep(far)
    (told,) = drilled(skipped)
    assert (told.verdict, told.subject, skipped.reason) == ("skip", "cache beside another run", None)


def test_a_backup_in_a_bucket_is_at_hand_while_the_server_starts_on_it(
    far: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[list[str]] = []

    class Live:
        def info(self, _: str) -> dict[str, str]:
            return {"loading": "0"}

        def keyspace(self) -> dict[str, dict[str, int]]:
            return {"db0": {"keys": 10}, "db3": {"keys": 1}}

    monkeypatch.setattr(restore, "look", lambda _: 0)
    monkeypatch.setattr(restore, "put", lambda *_: found.append(files(far)))
    monkeypatch.setattr(Plan, "live", lambda _: nullcontext(Live()))
    restore.restore(far, "cache1", Restore("recover"), lambda _: None)
    assert found == [[".20261101T000000Z.age"]] and files(far) == []


def test_a_bucket_that_cannot_be_opened_is_told_and_nothing_is_touched(shelf: Snapshots, tmp_path: Path) -> None:
    plan = {name: str(tmp_path) for name in ("directory", "key", "secrets", "scratch", "data")}
    there = {"url": "https://objects1:7070/redis", "secrets": str(tmp_path / "bucket.json")}
    settings = {"host": "cache1", "plan": {**plan, "name": "cache", "socket": "", "bucket": there}}
    words = "bucket.json cannot be read"
    (state,) = engine.statuses(settings, 1000.0)
    assert words in str(state.trouble)
    for kind in ("full", "verify"):
        (told,) = engine.back_up(kind, settings, None, lambda _: None)
        assert told.verdict == "fail" and words in str(told.reason)
    with pytest.raises(Refused, match=f"{words}.* Nothing was changed"):
        engine.restore(settings, Restore(), lambda _: None)


def test_what_a_killed_backup_left_makes_room_for_the_next_one(
    shelf: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Plan("cache", shelf.directory, shelf.key, tmp_path, tmp_path, "", tmp_path, "valkey", False)
    shelf.partial("20261101T000000Z").write_bytes(b"fills the disk")

    def full(*_: object) -> Kept:
        assert files(wanted) == []
        raise RedisError("the disk is full")

    monkeypatch.setattr(backup, "make", full)
    (told,) = backup.back_up(wanted, lambda _: None)
    assert told.reason == "cache: the disk is full"


def kept_one(**different: object) -> Kept:
    return Kept(**{**asdict(Kept("20261101T000000Z", 1.0, 2.0, "", 6, 100, dict(HOLDS))), **different})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loaded", "expired", "wrong"),
    [(11, 0, None), (8, 3, None), (10, 0, "loaded 10 keys of 11"), (12, 0, "loaded 12"), (0, 0, "loaded 0 keys of 11")],
)
def test_a_restored_server_has_loaded_each_key_whatever_clients_write_meanwhile(
    loaded: int, expired: int, wrong: str | None
) -> None:
    said = {"rdb_last_load_keys_loaded": str(loaded), "rdb_last_load_keys_expired": str(expired)}
    with pytest.raises(RedisError, match=wrong) if wrong else nullcontext():
        restore.refuse_difference(kept_one(), said, lambda: {"db0": {"keys": 400}, "db9": {"keys": 1}})


@pytest.mark.parametrize(
    ("databases", "wrong"),
    [
        ({"db0": {"keys": 8}, "db3": {"keys": 1}}, None),
        ({"db0": {"keys": 7}, "db3": {"keys": 1}}, "db0 has 7 keys instead of 10"),
        ({"db0": {"keys": 10}}, "db3 has 0 keys instead of 1"),
        ({"db0": {"keys": 11}, "db3": {"keys": 1}, "db4": {"keys": 1}}, None),
    ],
)
def test_a_server_before_7_has_no_fewer_keys_than_stay_after_a_restore(
    databases: dict[str, dict[str, int]], wrong: str | None
) -> None:
    with pytest.raises(RedisError, match=wrong) if wrong else nullcontext():
        restore.refuse_difference(kept_one(), {"loading": "0"}, lambda: databases)


def test_a_drill_sees_other_keys_and_other_values() -> None:
    same = compared(kept_one(), {"db0": {"keys": 10}, "db3": {"keys": 1}}, "aa")
    assert [one.same for one in same] == [True, True] and sum(one.rows for one in same) == 11
    assert (
        compared(kept_one(), {"db0": {"keys": 10}, "db3": {"keys": 1}}, "bb")[0].difference == "db0 has other content"
    )
    assert [one.difference for one in compared(kept_one(), {"db0": {"keys": 9}}, "aa")] == [
        "db0 has 9 rows instead of 10",
        "db3 is missing",
    ]


def test_what_is_there_is_replaced_only_by_who_says_so() -> None:
    restore.refuse_unconfirmed(Restore(), 0, "cache1/cache")
    restore.refuse_unconfirmed(Restore(confirm="cache1/cache"), 5, "cache1/cache")
    for asked in (Restore(), Restore(confirm="cache2/cache"), Restore("undo")):
        with pytest.raises(Refused, match=r"5 keys that would be replaced: restore_confirm=cache1/cache .*Nothing was"):
            restore.refuse_unconfirmed(asked, 5, "cache1/cache")
    with pytest.raises(Refused, match="an empty server alone"):
        restore.refuse_unconfirmed(Restore("recover", confirm="cache1/cache"), 5, "cache1/cache")


def test_what_cannot_be_restored_is_refused(shelf: Snapshots) -> None:
    with pytest.raises(Refused, match="there is no backup of cache in"):
        restore.choose(shelf, Restore())
    first, last = put(shelf, "20261101T000000Z", 1.0), put(shelf, "20261102T000000Z", 2.0)
    assert restore.choose(shelf, Restore()) == last and restore.choose(shelf, Restore(set=first.label)) == first
    for asked in (Restore(set="20261103T000000Z"), Restore(into={"db0": "db1"})):
        with pytest.raises(Refused, match="Nothing was changed"):
            restore.choose(shelf, asked)
    with pytest.raises(Refused, match="keeps what it replaced"):
        restore.choose(replace(shelf, directory=shelf.directory / "former"), Restore("undo"))


@pytest.mark.parametrize("appendonly", [True, False])
def test_the_server_starts_on_the_snapshot_whatever_it_starts_from(
    shelf: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appendonly: bool
) -> None:
    data = tmp_path / "data"
    (data / "appendonlydir").mkdir(parents=True)
    (data / "appendonlydir" / "appendonly.aof.7.incr.aof").write_text("former")
    (data / "dump.rdb").write_text("former")
    stopped: list[str] = []
    monkeypatch.setattr(restore.shutil, "chown", lambda *_: None)
    monkeypatch.setattr(restore, "_systemctl", lambda verb, unit: stopped.append(f"{verb} {unit}"))
    monkeypatch.setattr(restore, "_until_loaded", lambda _: None)
    monkeypatch.setattr(Snapshots, "unseal", lambda _, path, target: target.write_text(f"of {path.name}"))
    wanted = Plan("cache", shelf.directory, shelf.key, tmp_path, tmp_path, "", data, "valkey", appendonly)
    restore.put(wanted, shelf, put(shelf, "20261101T000000Z", 1.0))
    found = {str(path.relative_to(data)): path.read_text() for path in data.rglob("*") if path.is_file()}
    if appendonly:
        assert found == {
            "appendonlydir/appendonly.aof.1.base.rdb": "of 20261101T000000Z.age",
            "appendonlydir/appendonly.aof.manifest": "file appendonly.aof.1.base.rdb seq 1 type b\n",
        }
    else:
        assert found == {"dump.rdb": "of 20261101T000000Z.age"}
    assert stopped == ["stop valkey-server.service", "start valkey-server.service"]


def test_a_scratch_server_is_on_no_network_and_drops_nothing(tmp_path: Path) -> None:
    words = " ".join(argv("redis-server", tmp_path))
    assert "--port 0" in words and "--replicaof 127.0.0.1 1" in words and "--appendonly no" in words
    at = "29 Nov 2026 11:00:00.000"
    log = f"17:C {at} * oO0OoO0 starting\n17:M {at} # Short read or OOM loading DB."
    assert gist(log) == "Short read or OOM loading DB."
    assert gist("") == "it said nothing"
