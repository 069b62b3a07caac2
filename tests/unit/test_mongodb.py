"""MongoDB's dumps: archives are read as they are, tools are not believed, and the last good dump stays."""

from __future__ import annotations

import gzip
import io
import json
import stat
import struct
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits as DrillLimits
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import results as drilled
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import DAY, digest
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Limits, judge
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import (
    MongodbError,
    backup,
    rehearsal,
    restore,
    store,
    tools,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection, read
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.backup import (
    dump_argv,
    refuse_lacking,
    verify,
    with_oplog,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import Server, is_data, scratch_names
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.restore import of
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.store import (
    Dump,
    Plan,
    Store,
    plan,
    shrunk,
)

END = b"\xff\xff\xff\xff"
NOW = 1_800_000_000.0


def bson(**values: str | int | bool) -> bytes:
    """A document."""
    body = b""
    for name, value in values.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + key + bytes([value])
        elif isinstance(value, int):
            body += b"\x12" + key + struct.pack("<q", value)
        else:
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def block(collection: str, *documents: bytes, end: bool = False) -> bytes:
    return bson(db="app", collection=collection, EOF=end, CRC=0) + b"".join(documents) + END


INDEXES = [
    {"v": {"$numberInt": "2"}, "key": {"name": {"$numberInt": "-1"}}, "name": "by_name", "ns": "app.models"},
    {"v": 2, "key": {"_id": 1.0}, "name": "_id_"},
]
PRELUDE = (
    b"\x6d\xe2\x99\x81"
    + bson(version="0.1", concurrent_collections=4)
    + bson(db="app", collection="models", metadata=json.dumps({"indexes": INDEXES}))
    + bson(db="app", collection="empty", metadata="")
    + END
)
ONE, TWO, THREE = (bson(_id=number, name="model") for number in (1, 2, 3))
WHOLE = (
    PRELUDE + block("models", ONE, TWO) + block("empty", end=True) + block("models", THREE) + block("models", end=True)
)


def test_an_archive_tells_documents_hashes_and_indexes() -> None:
    found = read(io.BytesIO(WHOLE))
    assert {name: one.documents for name, one in found.items()} == {"app.models": 3, "app.empty": 0}
    assert found["app.models"].size == len(ONE + TWO + THREE)
    assert found["app.models"].indexes == [
        {"key": {"_id": 1}, "name": "_id_"},
        {"key": {"name": -1}, "name": "by_name"},
    ]


def test_a_hash_knows_content_and_no_order() -> None:
    def hashed(*documents: bytes) -> str:
        archive = PRELUDE + block("models", *documents) + block("models", end=True) + block("empty", end=True)
        return read(io.BytesIO(archive))["app.models"].hash

    assert hashed(ONE, TWO) == hashed(TWO, ONE) != hashed(ONE, THREE)
    assert hashed(ONE, ONE) != hashed(TWO, TWO)


def test_a_time_series_is_its_buckets_and_stored_functions_are_data(wanted: Plan) -> None:
    """mongodump announces a series by its name, and writes its documents beneath that of its buckets."""
    archive = (
        b"\x6d\xe2\x99\x81"
        + bson(version="0.1", concurrent_collections=4)
        + bson(db="app", collection="weather", type="timeseries", metadata=json.dumps({"indexes": []}))
        + bson(db="app", collection="system.js", type="", metadata="")
        + END
        + block("system.buckets.weather", ONE, TWO)
        + block("system.js", THREE)
        + block("system.buckets.weather", end=True)
        + block("system.js", end=True)
    )
    found = read(io.BytesIO(archive))
    assert {name: one.documents for name, one in found.items()} == {"app.weather": 2, "app.system.js": 1}
    with pytest.raises(MongodbError, match=r"before app\.weather does"):
        read(io.BytesIO(archive.replace(block("system.buckets.weather", end=True), b"")))
    dump = replace(made(wanted, 1), collections=found)
    assert dump.documents == 3, "what mongorestore counts"
    assert {name: one.documents for name, one in of(dump, {"app": "beside"}).items()} == {
        "beside.weather": 2,
        "beside.system.js": 1,
    }


class _Listing:
    """A database whose collections are listed."""

    def __getitem__(self, _: str) -> _Listing:
        return self

    def list_collections(self) -> list[dict[str, str]]:
        kinds = {"weather": "timeseries", "system.buckets.weather": "collection", "runs": "collection", "all": "view"}
        return [{"name": name, "type": kind} for name, kind in kinds.items()]


class _Views:
    """A server on which what is called a view is one."""

    def indexes(self, name: str) -> list[dict[str, object]]:
        if name.endswith("_view"):
            raise MongodbError("the server cannot be asked: Namespace is a view, not a collection")
        return [{"key": {"_id": 1}, "name": "_id_"}]


def test_a_dump_with_a_view_is_compared_and_other_indexes_are_seen(
    wanted: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Collection(3, 300, "aa", [{"key": {"_id": 1}, "name": "_id_"}])
    odd = replace(plain, indexes=[*plain.indexes, {"key": {"name": 1}, "name": "by_name"}])
    found = {"app.models": plain, "app.odd": odd, "app.all_view": Collection()}
    monkeypatch.setattr(restore, "contents", lambda *_, **__: found)
    dump = replace(made(wanted, 1), collections=found)
    compared, unlike = restore.compare(dump, "/c", {"app": "app"}, _Views())  # type: ignore[arg-type]
    assert sorted(one.name for one in compared if one.same) == sorted(found)
    assert unlike == ["app.odd"]


def test_a_dump_must_have_collections_and_time_series_and_no_view() -> None:
    assert Server(_Listing()).collections("app") == ["app.runs", "app.weather"]


def test_an_archive_that_is_cut_anywhere_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(MongodbError):
            read(io.BytesIO(WHOLE[:length]))
    with pytest.raises(MongodbError, match=r"before app\.models does: it is truncated"):
        read(io.BytesIO(PRELUDE + block("empty", end=True) + block("models", ONE)))
    with pytest.raises(MongodbError, match="impossible length"):
        read(io.BytesIO(PRELUDE + struct.pack("<i", 2**30) + WHOLE))


MANAGED = "mongodb://u:p@one:27017,two:27017/?tls=true&tlsCAFile=/etc/ca.pem&retryWrites=false"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("mongodb://u:p@db:27017", "mongodb://u:p@db:27017/?authSource=admin"),
        ("mongodb://u:p@db:27017/app?tls=true", "mongodb://u:p@db:27017/?tls=true&authSource=app"),
        ("mongodb://u:p@db/app?authSource=users", "mongodb://u:p@db/?authSource=users"),
        ("mongodb://u@db/?authMechanism=MONGODB-X509", "mongodb://u@db/?authMechanism=MONGODB-X509"),
        ("mongodb://db", "mongodb://db/"),
        (MANAGED, f"{MANAGED}&authSource=admin"),
    ],
)
def test_the_tools_look_for_a_user_where_drivers_do(given: str, wanted: str) -> None:
    assert tools.for_tools(given) == wanted


def test_the_uri_is_in_a_file_of_root_alone_while_it_is_needed() -> None:
    with tools.tool_config("mongodb://u:secret@db/") as name:
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
        assert "secret" in Path(name).read_text()
        argv = dump_argv(Plan("x", Path("/d"), Path("/s"), Path("/k"), database="app"), name, oplog=True)
        assert "secret" not in " ".join(argv) and {"--oplog", "--db=app", "--gzip"} <= set(argv)
    assert not Path(name).exists()


def test_what_a_killed_dump_left_makes_room_for_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Plan("x", tmp_path, tmp_path / "uri", tmp_path / "key")
    left = Store(wanted).partial("20261101T000000Z")
    left.write_bytes(b"fills the disk")

    def full(*_: object) -> Dump:
        assert not left.exists()
        raise MongodbError("the disk is full")

    monkeypatch.setattr(backup, "dump", full)
    (told,) = backup.back_up(wanted, lambda _: None)
    assert told.reason == "x: the disk is full"


LIED = "2026-11-29T07:00:00.000+0000\t12 document(s) restored successfully. 3 document(s) failed to restore.\n"


def test_documents_that_failed_are_a_failure_whatever_the_exit_status() -> None:
    with pytest.raises(MongodbError, match=r"mongorestore ended as if all were well; it says: 12 document.*3 document"):
        tools.judge([["age"], ["mongorestore"]], [0, 0], ["", LIED])
    assert (tools.restored(LIED), tools.failed(LIED)) == (12, 3)
    tools.judge([["mongorestore"]], [0], [LIED.replace("3 document", "0 document")])


def test_the_cause_is_told_and_not_whom_it_took_along() -> None:
    said = ["Failed: write |1: broken pipe", "age: error: no identity matched any of the recipients"]
    with pytest.raises(MongodbError, match=r"^age ended with status 1; it says: age: error: no identity matched"):
        tools.judge([["mongodump"], ["age"]], [1, 1], said)
    with pytest.raises(MongodbError) as caught:
        tools.judge([["mongodump"]], [1], ["Failed: cannot reach mongodb://u:hunter2@db/"])
    assert "hunter2" not in str(caught.value) and "u:***@db" in str(caught.value)


def test_pipes_fail_with_what_failed_in_them(tmp_path: Path) -> None:
    with pytest.raises(MongodbError, match="sh ended with status 3; it says: no luck"):
        tools.run_pipe([["sh", "-c", "echo no luck >&2; exit 3"], ["cat"]], sink=tmp_path / "made")
    with pytest.raises(MongodbError, match="slipway-nothing is not installed"):
        tools.run_pipe([["cat"], ["slipway-nothing"]])


class Open(Store):
    """Archives as they are, unencrypted."""

    def decrypt(self) -> list[str]:
        return ["cat"]


@pytest.fixture
def wanted(tmp_path: Path) -> Plan:
    given = {"name": "modelops", "directory": tmp_path, "secrets": "/s", "key": "/k", "required": ["app.models"]}
    return plan({"plan": given})


def made(wanted: Plan, day: float, number: int = 3) -> Dump:
    """A dump that is kept, so many days ago."""
    store, label = Open(wanted), f"2026{1000 - int(day):04d}T000000Z"
    store.partial(label).write_bytes(gzip.compress(WHOLE))
    moment, size = NOW - day * DAY, store.partial(label).stat().st_size
    found = {**read(io.BytesIO(WHOLE)), "admin.system.users": Collection(1, 10)}
    found["app.models"] = replace(found["app.models"], documents=number, size=100 * number)
    dump = Dump(label, moment - 5, moment, "7.0", "collection", digest(store.partial(label)), size, found)
    store.keep(dump)
    return dump


def test_the_last_good_dump_stays_however_old_it_is(wanted: Plan) -> None:
    store = Open(wanted)
    old, young, broken = made(wanted, 30), made(wanted, 20), made(wanted, 8)
    store.sealed(broken.label).write_bytes(b"cut")
    store.partial("killed").touch()
    assert store.expire(NOW) == [old.label, broken.label]
    assert [dump.label for dump in store.all()] == [young.label]
    assert sorted(path.name for path in wanted.directory.iterdir()) == [
        f"{young.label}.archive.age",
        f"{young.label}.json",
    ]


def test_a_dump_within_its_days_stays_and_nothing_goes_without_a_good_one(wanted: Plan) -> None:
    young = made(wanted, 6)
    assert Open(wanted).expire(NOW) == []
    Open(wanted).sealed(young.label).unlink()
    assert Open(wanted).expire(NOW + 30 * DAY) == []


def test_the_state_tells_age_and_what_is_missing(wanted: Plan) -> None:
    assert Store(wanted).statuses("mongodb", NOW)[0].age is None
    old, last = made(wanted, 2), made(wanted, 1)
    (state,) = Store(wanted).statuses("mongodb", NOW)
    assert (state.backups, state.size, state.stored, state.age) == (2, 300, last.stored, DAY + 5)
    assert judge(state, Limits(age=DAY)).verdict == "fail" and judge(state, Limits(age=2 * DAY)).verdict == "pass"
    Open(wanted).sealed(last.label).unlink()
    assert Store(wanted).statuses("mongodb", NOW)[0].age == 2 * DAY + 5
    Open(wanted).sealed(old.label).write_bytes(b"")
    assert "it is truncated" in (Store(wanted).statuses("mongodb", NOW)[0].trouble or "")


def test_damage_is_told_in_one_sentence(wanted: Plan) -> None:
    store, dump = Open(wanted), made(wanted, 1)
    with pytest.raises(MongodbError, match="holds other documents than it was made with"):
        store.check(dump)  # the description has one more collection
    honest = replace(dump, collections=read(io.BytesIO(WHOLE)))
    assert store.check(honest) == honest.collections
    path = store.sealed(dump.label)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    with pytest.raises(MongodbError, match="its checksum is another, so it is corrupted"):
        store.check(honest)
    cut = gzip.compress(WHOLE)[:-20]
    path.write_bytes(cut)
    with pytest.raises(MongodbError, match=r"cannot be unpacked .* damaged or truncated"):
        store.check(replace(honest, stored=len(cut), sha256=digest(path)))
    path.unlink()
    with pytest.raises(MongodbError, match="is missing"):
        store.check(honest)
    (result,) = verify(wanted, print)
    assert result.verdict == "fail" and "is missing" in (result.reason or "")


def test_a_dump_lacks_what_was_listed_or_was_there() -> None:
    found = {"app.models": Collection()}
    refuse_lacking(found, ["app.models"], ["app.models"])
    with pytest.raises(MongodbError, match=r"lacks app\.users, so it was not kept"):
        refuse_lacking(found, ["app.models"], ["app.users"])
    with pytest.raises(MongodbError, match=r"lacks app\.runs"):
        refuse_lacking(found, ["app.runs"], [])


def test_what_shrinks_is_told(wanted: Plan) -> None:
    before = [made(wanted, day, 100) for day in range(9, 3, -1)]
    assert shrunk(made(wanted, 1, 60), before) == [] == shrunk(before[0], [])
    assert shrunk(made(wanted, 1, 40), before) == [
        "it has 40 documents, and the 5 before had about 100",
        "it has 4000 bytes, and the 5 before had about 10000",
    ]
    gone = replace(before[0], collections={"app.models": Collection(100, 10000)})
    assert shrunk(gone, before) == ["app.empty was in the last dump and is in this one no more"]


class _Member:
    def __init__(self, oplog: bool) -> None:
        self.oplog = oplog

    def has_oplog(self) -> bool:
        return self.oplog


@pytest.mark.parametrize(
    ("policy", "database", "has", "takes"),
    [
        ("auto", "", True, True),
        ("auto", "", False, False),
        ("never", "", True, False),
        ("always", "", False, True),
        ("always", "app", True, False),
    ],
)
def test_the_oplog_comes_along_where_there_is_one(
    wanted: Plan, policy: str, database: str, has: bool, takes: bool
) -> None:
    assert with_oplog(replace(wanted, oplog=policy, database=database), _Member(has)) is takes  # type: ignore[arg-type]


def test_databases_are_restored_under_other_names_and_nobody_elses(wanted: Plan) -> None:
    names = scratch_names(["app"])
    assert tools.renaming(names) == ["--nsInclude=app.*", "--nsFrom=app.*", "--nsTo=slipway_drill_app.*"]
    assert tools.renaming({"app": "app"}) == ["--nsInclude=app.*"]
    assert list(of(made(wanted, 1), names)) == ["slipway_drill_app.empty", "slipway_drill_app.models"]
    assert [name for name in ("admin", "local", "slipway_drill_app", "app") if is_data(name)] == ["app"]
    with pytest.raises(MongodbError, match="too long"):
        scratch_names(["a" * 60])


@pytest.mark.parametrize(("live", "dumped"), [(["app"], "app"), (["app", "shop"], "")])
def test_what_a_restore_replaces_is_dumped_and_no_other_database(
    wanted: Plan, monkeypatch: pytest.MonkeyPatch, live: list[str], dumped: str
) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(backup, "dump", lambda store, _: plans.append(store.plan))
    former = restore.Former(Store(replace(wanted, database="app")))
    former.keep(["app", "shop"], live, lambda _: None)
    assert [(one.database, one.directory) for one in plans] == [(dumped, wanted.directory / "former")]
    monkeypatch.setattr(Store, "newest", lambda _: "the dump")
    assert former.newest() == ("the dump", {"app": "app", "shop": "shop"})


def test_what_meets_a_backup_is_skipped_and_stands_in_for_nothing(wanted: Plan) -> None:
    with Store(wanted).alone():
        (told,) = backup.back_up(wanted, print)
        skipped = rehearsal.drill(wanted, DrillLimits(), "r", print)
        with pytest.raises(Busy, match="is under way"):
            rehearsal.sweep(wanted)
    assert (told.verdict, told.subject) == ("skip", "modelops beside another run")
    (result,) = drilled(skipped)
    assert (result.verdict, result.subject, skipped.reason) == ("skip", "modelops beside another run", None)


def test_a_verification_from_a_bucket_that_meets_a_backup_is_skipped(
    wanted: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "bucket", lambda _: {"not": "asked"})
    with Store(wanted).alone():
        (told,) = verify(wanted, print)
    assert (told.verdict, told.subject) == ("skip", "modelops beside another run")


def test_what_is_kept_is_read_again_as_it_was(wanted: Plan) -> None:
    dump = made(wanted, 1)
    assert asdict(Open(wanted).newest()) == asdict(dump)
    (wanted.directory / f"{dump.label}.json").write_text("{")
    with pytest.raises(MongodbError, match="cannot be read"):
        Open(wanted).all()


def test_an_archive_counts_only_with_its_description(wanted: Plan) -> None:
    dump = made(wanted, 1)
    store = Open(wanted)
    fresh = replace(dump, label="20990101T000000Z")
    store.partial(fresh.label).write_bytes(b"whole")
    (wanted.directory / f".{fresh.label}.json").mkdir()  # as if the disk were full
    with pytest.raises(OSError):
        store.keep(fresh)
    assert store.partial(fresh.label).exists() and not store.sealed(fresh.label).exists()
    (wanted.directory / f".{fresh.label}.json").rmdir()
    store.forget(fresh.label)
    assert {path.name for path in wanted.directory.iterdir()} == {f"{dump.label}.archive.age", f"{dump.label}.json"}
