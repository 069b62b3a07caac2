from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.maintain import prune
from ansible_collections.slipway.ops.plugins.module_utils.evidence.metrics import exposition, publish
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Reading, Store
from ansible_collections.slipway.ops.plugins.plugin_utils.program import PACKAGE, files

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.timezone.utc)
SOURCES = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


def record(subject="sample", at="2026-11-20T11:40:00.000Z", **changes):
    return {
        "id": "data.restore.duration",
        "area": "data",
        "subject": subject,
        "claim": "The backup was restored",
        "verdict": "pass",
        "at": at,
        "source": "test",
        "run": "run",
        **changes,
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def write(store, month, *records):
    store.records.mkdir(parents=True, exist_ok=True)
    (store.records / f"{month}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))


def kept(store):
    return [(one["subject"], one["at"][:10]) for one in store.history().records]


def test_old_months_go_and_the_last_word_on_each_subject_stays(store):
    write(store, "2025-08", record("a", "2025-08-01T00:00:00Z"), record("once", "2025-08-01T00:00:00Z"))
    write(store, "2025-09", record("a", "2025-09-01T00:00:00Z"))
    write(store, "2026-11", record("a"))
    assert prune(store, 400, NOW).records == 2
    assert kept(store) == [("once", "2025-08-01"), ("a", "2026-11-20")]
    assert [path.stem for path in store.months()] == ["2025-08", "2026-11"]
    assert prune(store, 400, NOW).records == 0


def test_a_month_counts_from_its_end(store):
    write(store, "2026-10", record("a", "2026-10-01T00:00:00Z"))
    write(store, "2026-11", record("a"))
    assert prune(store, 21, NOW).records == 0
    assert prune(store, 20, NOW).records == 1


def test_december_ends_with_the_year(store):
    write(store, "2025-12", record("a", "2025-12-31T00:00:00Z"))
    write(store, "2026-11", record("a"))
    assert prune(store, 1, datetime.datetime(2026, 1, 1, 23, tzinfo=datetime.timezone.utc)).records == 0
    assert prune(store, 1, datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)).records == 1


def test_what_was_retired_with_a_skip_is_forgotten(store):
    write(store, "2020-01", record("gone", "2020-01-02T00:00:00Z", verdict="skip", reason="decommissioned"))
    assert prune(store, 400, NOW).records == 1
    assert kept(store) == []


def test_damaged_lines_go_with_their_month(store):
    write(store, "2020-01", record("once", "2020-01-02T00:00:00Z"))
    path = store.records / "2020-01.jsonl"
    path.write_text('{"torn\n' + path.read_text().rstrip("\n"))
    assert prune(store, 400, NOW).records == 1
    assert path.read_text().count("\n") == 1


def test_artifacts_go_when_no_record_names_them(store):
    store.append([{**record("a"), "artifacts": []}], "run", [{"name": "kept.txt", "content": "x"}])
    orphan = store.artifacts / "old" / "orphan.txt"
    orphan.parent.mkdir()
    orphan.write_text("x")
    for path in (orphan, store.artifacts / "run" / "kept.txt"):
        os.utime(path, (0, 0))
    (store.artifacts / "old" / "just-written.txt").write_text("x")
    assert prune(store, 400).artifacts == 1
    assert sorted(path.name for path in store.artifacts.rglob("*.txt")) == ["just-written.txt", "kept.txt"]


def test_the_snapshot_follows(store):
    write(store, "2020-01", record("a", "2020-01-02T00:00:00Z", verdict="skip", reason="gone"))
    write(store, "2026-11", record("b"))
    assert {one["subject"] for one in store.keep_latest().records} == {"a", "b"}
    prune(store, 400, NOW)
    assert [one["subject"] for one in store.latest().records] == ["b"]


def test_metrics_say_verdict_time_and_number():
    reading = Reading(
        [record("a", verdict="fail", measured=7.5, unit="s"), record('b"\\\n', verdict="skip")],
        damaged=[{"file": "x", "offset": 0, "bytes": 3}],
    )
    text = exposition(reading)
    assert 'slipway_evidence_verdict{id="data.restore.duration",subject="a",area="data"} 2\n' in text
    assert 'slipway_evidence_verdict{id="data.restore.duration",subject="b\\"\\\\\\n",area="data"} -1\n' in text
    assert (
        'slipway_evidence_timestamp_seconds{id="data.restore.duration",subject="a",area="data"} 1795174800.0\n' in text
    )
    assert 'slipway_evidence_measured{id="data.restore.duration",subject="a",area="data",unit="s"} 7.5\n' in text
    assert text.count("slipway_evidence_measured{") == 1
    assert "slipway_evidence_damaged_lines 1\n" in text


def test_publishing_says_what_could_not_be_written(store):
    store.append([record()], "run")
    store.metrics.rmdir()
    with pytest.raises(EvidenceError, match=r"recorded, but .*slipway_evidence.prom.* could not be written"):
        publish(store)


def test_it_runs_as_the_role_installs_it(store, tmp_path):
    """Outside the collection, with nothing but its neighbours and the standard library."""
    lib = str(tmp_path / "lib")
    for file in files(SOURCES, ["evidence.maintain"], lib):
        path = Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Path(file["src"]).read_text() if "src" in file else file["content"])
    store.append([record()], "run")
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {lib!r});"]
    command[-1] += f"sys.argv = ['x', {str(store.root)!r}, '--keep-days', '400'];"
    command[-1] += f"from {PACKAGE}.evidence.maintain import main; sys.exit(main())"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 are current, 0 lines are damaged" in done.stdout
    assert "slipway_evidence_verdict" in (store.metrics / "slipway_evidence.prom").read_text()
