"""Results that wait on a host until a playbook takes them."""

from __future__ import annotations

import threading

from ansible_collections.slipway.ops.plugins.module_utils.evidence import spool as module
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool


def record(number=1, at="2026-11-21T11:40:00.123Z", identifier="data.backup.incr"):
    return {"id": identifier, "subject": "main", "at": at, "measured": number, "verdict": "pass"}


def test_what_is_left_is_read_in_order_and_removed(tmp_path):
    spool = Spool(str(tmp_path / "results"))
    assert spool.read().records == [] and spool.latest() == []
    spool.leave([record(2, "2026-11-21T12:00:00.000Z")], "b")
    spool.leave([record(1, "2026-11-21T11:00:00.000Z"), record(3, "2026-11-21T11:00:01.000Z", "data.backup.full")], "a")
    spool.leave([], "nothing")
    found = spool.read()
    assert [item["measured"] for item in found.records] == [1, 3, 2] and len(found.files) == 2
    assert spool.remove([*found.files, "gone.jsonl"]) == found.files
    assert spool.read().files == []
    assert {item["id"]: item["measured"] for item in spool.latest()} == {"data.backup.incr": 2, "data.backup.full": 3}
    assert (tmp_path / "results").stat().st_mode & 0o777 == 0o750


def test_only_what_was_read_is_removed(tmp_path):
    """Neither another run's results that came in between, nor a file elsewhere."""
    spool = Spool(str(tmp_path / "results"))
    spool.leave([record()], "a")
    found = spool.read()
    spool.leave([record(2, "2026-11-21T12:00:00.000Z")], "b")
    outside = tmp_path / "precious.jsonl"
    outside.write_text("x")
    spool.remove([*found.files, "../precious.jsonl"])
    assert [item["measured"] for item in spool.read().records] == [2] and outside.exists()


def test_results_from_elsewhere_are_remembered_and_not_spooled(tmp_path):
    spool = Spool(str(tmp_path))
    spool.leave([record(1)], "a")
    spool.remember([record(9, "2026-11-20T00:00:00.000Z"), record(4, identifier="data.drill.postgresql.rto")])
    assert {item["id"]: item["measured"] for item in spool.latest()} == {
        "data.backup.incr": 1,
        "data.drill.postgresql.rto": 4,
    }
    assert len(spool.read().files) == 1


def test_a_result_of_the_future_gives_way_to_the_next(tmp_path):
    spool = Spool(str(tmp_path))
    spool.remember([record(1, "2999-01-01T00:00:00.000Z")])
    spool.remember([record(2, "2026-11-20T00:00:00.000Z")])
    assert [item["measured"] for item in spool.latest()] == [2]


def test_a_damaged_file_is_named_and_stays(tmp_path):
    spool = Spool(str(tmp_path))
    spool.leave([record()], "a")
    (tmp_path / "torn.jsonl").write_text('{"id": ')
    found = spool.read()
    assert (len(found.records), found.damaged) == (1, ["torn.jsonl"]) and "torn.jsonl" not in found.files


def test_a_spool_that_nobody_empties_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_FILES", 3)
    for hour in range(6):
        Spool(str(tmp_path)).leave([record(hour, f"2026-11-21T0{hour}:00:00.000Z")], "a")
    assert [item["measured"] for item in Spool(str(tmp_path)).read().records] == [3, 4, 5]


def test_several_may_leave_at_once(tmp_path):
    def leave(number):
        Spool(str(tmp_path)).leave([record(number, identifier=f"data.backup.n{number}")], f"n{number}")

    threads = [threading.Thread(target=leave, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Spool(str(tmp_path)).read().records) == len(Spool(str(tmp_path)).latest()) == 20
