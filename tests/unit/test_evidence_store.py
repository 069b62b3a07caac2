from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence import store as evidence
from ansible_collections.slipway.ops.plugins.module_utils.evidence.metrics import FILE, publish
from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import Query, described, tail
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store, newest


def record(subject="sample", **changes):
    return {
        "id": "delivery.rollback.duration",
        "area": "delivery",
        "subject": subject,
        "claim": "It takes five seconds",
        "verdict": "pass",
        "at": "2026-11-20T11:40:00Z",
        "source": "test",
        **changes,
    }


def subjects(reading):
    return [one["subject"] for one in reading.records]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", lock_seconds=5)


def lines(store):
    (path,) = store.months()
    return path.read_bytes()


def test_a_store_that_is_not_there_is_empty(store):
    assert store.latest().records == []
    assert store.history().records == []
    assert not store.root.exists()


def test_what_was_appended_is_read_back(store):
    store.append([record("a"), record("b")], "run-1")
    store.append([record("c")], "run-2")
    assert subjects(store.history()) == ["a", "b", "c"]
    assert [one["run"] for one in store.history().records] == ["run-1", "run-1", "run-2"]


def test_nobody_else_may_read_it_whatever_the_umask(store):
    before = os.umask(0)
    try:
        store.append([record()], "run", [{"name": "raw.txt", "content": "x"}])
        store.keep_latest()
    finally:
        os.umask(before)
    for path in store.root.rglob("*"):
        if "metrics" not in path.parts and path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o640, path
    assert stat.S_IMODE(store.records.stat().st_mode) & 0o007 == 0


def test_a_batch_with_one_bad_record_writes_nothing(store):
    with pytest.raises(EvidenceError, match=r"record 2 of 3 \(delivery.rollback.duration\): verdict: 'good'"):
        store.append([record("a"), record("b", verdict="good"), record("c")], "run")
    assert not store.root.exists()


def test_checking_writes_nothing(store):
    assert store.check([record()], "run", [{"name": "raw.txt", "content": "x"}])[0]["artifacts"] == [
        "artifacts/run/raw.txt"
    ]
    assert not store.root.exists()


@pytest.mark.parametrize("run", ["", "..", "a/b", "a b", "x" * 200])
def test_a_run_is_a_plain_name(store, run):
    with pytest.raises(EvidenceError, match="run: "):
        store.append([record()], run)


def test_a_torn_last_line_is_reported_and_costs_only_itself(store):
    store.append([record("before")], "run")
    (path,) = store.months()
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[: len(whole) // 2])
    assert subjects(store.latest()) == ["before"]
    store.append([record("after")], "run")
    reading = store.history()
    assert subjects(reading) == ["before", "after"]
    assert reading.damaged == [
        {"file": f"records/{path.name}", "offset": len(whole), "bytes": len(whole) // 2 + 1},
    ]


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"[]\n", b"null\n", b'{"id": 1}\n', b'{"id": "x"}\n', b"\n\n"])
def test_garbage_lines_are_no_records(store, garbage):
    store.append([record("before")], "run")
    (path,) = store.months()
    path.write_bytes(path.read_bytes() + garbage)
    store.append([record("after")], "run")
    assert subjects(store.history()) == ["before", "after"]
    assert len(store.history().damaged) == (0 if garbage == b"\n\n" else 1)


@pytest.mark.parametrize("written", [0, 10])
def test_a_full_disk_leaves_nothing_half_written(store, monkeypatch, written):
    store.append([record("a")], "run")
    before = lines(store)

    def full(descriptor, data):
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:written])

    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(EvidenceError, match=r"No space left on device .*; free space on the file system"):
            store.append([record("b")], "run")
    assert lines(store) == before
    store.append([record("c")], "run")
    assert subjects(store.history()) == ["a", "c"]


def test_a_failed_sync_is_not_recorded(store, monkeypatch):
    store.append([record("a")], "run")
    before = lines(store)

    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(EvidenceError, match="Input/output error"):
            store.append([record("b")], "run")
    assert lines(store) == before


def write_many(root, name, count):
    store = Store(root)
    for number in range(count):
        store.append([record(f"{name}-{number}-{half}", claim="x" * 400) for half in "ab"], name)
        store.keep_latest()


def test_many_writers_lose_nothing_and_mix_nothing(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(store.root, f"w{number}", 15)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    reading = store.history()
    assert reading.damaged == []
    assert sorted(subjects(reading)) == sorted(f"w{w}-{n}-{half}" for w in range(8) for n in range(15) for half in "ab")
    # A batch is never interleaved with another.
    pairs = zip(reading.records[::2], reading.records[1::2], strict=True)
    assert all(first["subject"][:-1] == second["subject"][:-1] for first, second in pairs)


def test_a_held_lock_is_waited_for_and_then_said(store):
    store.append([record()], "run")
    impatient = Store(store.root, lock_seconds=0.1)
    with store.locked(), pytest.raises(EvidenceError, match=r"held by another process for 0.1 s; see `fuser"):
        impatient.append([record()], "run")
    impatient.append([record()], "run")


def test_the_latest_is_by_time_of_measurement_not_of_writing(store):
    store.append([record(measured=2, at="2026-11-20T12:00:00Z")], "run")
    store.append([record(measured=1, at="2026-11-20T11:00:00Z")], "run")
    assert [one["measured"] for one in store.latest().records] == [2]
    store.append([record(measured=3, at="2026-11-20T12:00:00Z")], "run")
    assert [one["measured"] for one in store.latest().records] == [3]


def test_what_a_wrong_clock_left_gives_way_to_what_was_measured_after_it():
    ahead, then = record(measured=1, at="2999-01-01T00:00:00.000Z"), record(measured=2, at="2026-11-20T12:00:00.000Z")
    assert [one["measured"] for one in evidence.newest([ahead, then]).values()] == [2]
    assert [one["measured"] for one in evidence.newest([then, ahead]).values()] == [1]  # and is seen until then


def test_latest_reads_only_what_was_added(store, monkeypatch):
    store.append([record("a", measured=1)], "run")
    store.keep_latest()
    store.append([record("b")], "run")
    parsed = []

    def parse(line):
        parsed.append(line)
        return json.loads(line)

    monkeypatch.setattr(evidence, "parsed", parse)
    assert sorted(subjects(store.latest())) == ["a", "b"]
    assert len(parsed) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"what": 1}'])
def test_a_spoilt_snapshot_is_made_anew(store, content):
    store.append([record("a")], "run")
    (store.root / "latest.json").write_bytes(content)
    assert subjects(store.latest()) == ["a"]
    assert subjects(store.keep_latest()) == ["a"]


def test_a_shrunk_month_is_read_again(store):
    store.append([record("a")], "run")
    store.append([record("b")], "run")
    store.keep_latest()
    (path,) = store.months()
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert subjects(store.latest()) == ["a"]


def test_artifacts_are_kept_with_their_hash(store):
    given = [{"name": "a.txt", "content": "first"}, {"name": "deep/b.json", "content": {"n": 1}}]
    (one, two) = store.append([record("x", artifacts=["a.txt"]), record("y")], "run", given)
    assert one["artifacts"] == ["artifacts/run/a.txt", "artifacts/run/deep/b.json"]
    assert two["artifacts"] == ["artifacts/run/deep/b.json"]
    shown = described(store, [one], 1000)
    assert shown["artifacts/run/a.txt"] == {"bytes": 5, "intact": True, "content": "first"}
    (store.root / "artifacts/run/a.txt").write_text("edited")
    assert not described(store, [one], 1000)["artifacts/run/a.txt"]["intact"]
    (store.root / "artifacts/run/a.txt").unlink()
    assert described(store, [one], 1000)["artifacts/run/a.txt"] == {"bytes": 0, "intact": False, "content": None}


def test_an_artifact_is_never_overwritten(store):
    for content in ("first", "second", "first"):
        store.append([record()], "run", [{"name": "raw.txt", "content": content}])
    kept = sorted((store.artifacts / "run").iterdir())
    assert sorted(path.read_text() for path in kept) == ["first", "second"]
    assert [one["artifacts"][0] == "artifacts/run/raw.txt" for one in store.history().records] == [True, False, True]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "", ".hidden", "a//b", "a/", "x\ny"])
def test_an_artifact_stays_in_the_store(store, name):
    with pytest.raises(EvidenceError, match="plain relative path"):
        store.append([record()], "run", [{"name": name, "content": "x"}])
    assert not store.root.exists()


def test_an_artifact_that_is_nowhere_is_refused(store):
    with pytest.raises(EvidenceError, match=r"artifacts/run/no.txt' is not in the store"):
        store.append([record(artifacts=["artifacts/run/no.txt"])], "run")
    with pytest.raises(EvidenceError, match=r"'records/2026-11.jsonl' was not given"):
        store.append([record(artifacts=["records/2026-11.jsonl"])], "run")


def test_a_forged_artifact_path_is_not_read(store, tmp_path):
    (tmp_path / "secret").write_text("x")
    forged = record(sha256={"../secret": "0" * 64, "artifacts/../../secret": "0" * 64})
    assert all(one["content"] is None for one in described(store, [forged], 1000).values())


def test_large_and_binary_artifacts_are_described_only(store):
    (one,) = store.append([record()], "run", [{"name": "big.txt", "content": "x" * 100}])
    assert described(store, [one], 99)["artifacts/run/big.txt"] == {"bytes": 100, "intact": True, "content": None}


def test_a_query_by_id_subject_area_and_age():
    now = evidence.datetime.datetime(2026, 11, 20, 12, 40, tzinfo=evidence.datetime.timezone.utc)
    records = [record("a"), record("b", at="2026-11-20T12:39:00Z"), record("c", id="data.x.y", area="data")]

    def found(**query):
        return [one["subject"] for one in Query(**query, now=now).matching(records)]

    assert found() == ["a", "b", "c"]
    assert found(ids=["delivery.*"]) == ["a", "b"]
    assert found(ids=["data.x.y", "nothing"]) == ["c"]
    assert found(subjects=["[ab]"]) == ["a", "b"]
    assert found(areas=["data"]) == ["c"]
    assert found(max_age=60) == ["b"]


def test_the_tail_of_a_history_is_per_subject():
    records = [record("a", measured=1), record("b", measured=2), record("a", measured=3), record("a", measured=4)]
    assert [one["measured"] for one in tail(records, 2)] == [3, 4, 2]


def test_newest_keeps_one_per_id_and_subject():
    assert len(newest([record("a"), record("a", id="delivery.x"), record("b"), record("a")])) == 3


def months(store, **texts):
    """A store of several months, with its snapshot written."""
    store.append([record("seed")], "run")
    (current,) = store.months()
    for name, subject in texts.items():
        (store.records / f"2026-{name[1:]}.jsonl").write_bytes(current.read_bytes().replace(b"seed", subject.encode()))
    store.keep_latest()
    return store


def overwritten(path, at=2):
    """Damage that keeps the file's size and time, as a failing disk does."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 0x15
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_damage_in_an_old_part_is_seen_though_a_snapshot_knows_better(store):
    months(store, m01="january", m02="february")
    overwritten(store.records / "2026-01.jsonl")
    reading = store.latest()
    assert "january" not in subjects(reading) and "february" in subjects(reading)
    assert [line["file"] for line in reading.damaged] == ["records/2026-01.jsonl"]
    assert [line["file"] for line in store.keep_latest().damaged] == ["records/2026-01.jsonl"]
    assert len(store.latest().damaged) == 1, "counted once"


def test_damage_before_what_was_appended_is_seen(store):
    months(store)
    (path,) = store.months()
    overwritten(path)
    store.append([record("later")], "run-2")
    reading = store.latest()
    assert subjects(reading) == ["later"] and len(reading.damaged) == 1


def test_a_record_that_was_edited_is_read_as_it_is_now(store):
    months(store, m01="january")
    path = store.records / "2026-01.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"fail"'))
    assert {one["subject"]: one["verdict"] for one in store.latest().records}["january"] == "fail"


@pytest.mark.parametrize("field", ["at", "verdict", "id", "subject"])
def test_a_record_without_time_or_verdict_is_a_damaged_line(store, field):
    months(store, m01="january")
    path = store.records / "2026-01.jsonl"
    spoilt = json.loads(path.read_bytes()) | {field: "yesterdax" if field in ("at", "verdict") else None}
    path.write_bytes(json.dumps(spoilt).encode() + b"\n")
    reading = store.latest()
    assert subjects(reading) == ["seed"] and len(reading.damaged) == 1
    publish(store)
    assert "slipway_evidence_damaged_lines 1\n" in (store.metrics / FILE).read_text()


def test_a_month_that_is_gone_takes_its_records_along(store):
    months(store, m01="january")
    (store.records / "2026-01.jsonl").unlink()
    assert subjects(store.latest()) == ["seed"]


@pytest.mark.parametrize("part", ["records", "offsets", "sums", "damaged"])
@pytest.mark.parametrize("content", [7, "x", ["x"], {"x": "y"}, None])
def test_a_snapshot_of_odd_shape_is_made_anew(store, part, content):
    months(store, m01="january")
    path = store.root / "latest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: content}))
    assert sorted(subjects(store.latest())) == ["january", "seed"]


def test_metrics_that_were_damaged_are_written_anew(store):
    months(store)
    publish(store)
    (store.metrics / FILE).write_text("nonsense")
    publish(store)
    assert "slipway_evidence_damaged_lines 0\n" in (store.metrics / FILE).read_text()


def test_a_lost_lock_file_loses_nothing(store):
    months(store)
    (store.root / "lock").unlink()
    assert subjects(store.latest()) == ["seed"]
    store.append([record("later")], "run-2")
    assert sorted(subjects(store.latest())) == ["later", "seed"]
