"""Backups of files: what restic says, which snapshots count, what is removed, what a restore refuses and puts back."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Limits as DrillLimits
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import results as drilled
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import Refused, Restore
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import DAY
from ansible_collections.slipway.ops.plugins.module_utils.engines.files import (
    FilesError,
    backup,
    keeper,
    rehearsal,
    restore,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.compare import compare
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.keeper import Arrived, expired
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.plan import (
    Kept,
    Plan,
    Source,
    less,
    newest,
    rewritten,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.rehearsal import escaped
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository import (
    Repository,
    Snapshot,
    gist,
    nanoseconds,
    snapshot,
    summary,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.files.settings import clients_of, sources_of

NOW = 1_800_000_000.0


def one(id: str, files: int = 100, at: float = NOW, touched: int = 0, source: str = "uploads") -> Snapshot:
    return Snapshot(id, source, ("/srv/uploads",), at - 5, at, files, files * 10, touched, files * 10)


@pytest.fixture
def restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A restic that notes how it is called, and does as its script says."""
    program = tmp_path / "bin/restic"
    program.parent.mkdir()
    place = f"{program.parent}:/usr/bin:/bin"
    monkeypatch.setenv("PATH", place)
    monkeypatch.setattr(
        "ansible_collections.slipway.ops.plugins.module_utils.engines.files.repository.environment",
        lambda: {"PATH": place},
    )
    return program


def script(program: Path, body: str) -> None:
    program.write_text(f'#!/bin/sh\necho "$*" >> {program.parent}/calls\n{body}\n')
    program.chmod(0o755)


def repository(tmp_path: Path) -> Repository:
    (tmp_path / "key").write_text("opens it\n")
    return Repository("rest:https://backup1/app1/", tmp_path / "key", tmp_path, patience=0.3)


def test_a_snapshot_is_read_as_restic_writes_it() -> None:
    told = {
        "id": "fc304d4c11",
        "time": "2026-11-29T17:13:52.178861112+09:00",
        "tags": ["uploads"],
        "paths": ["/srv/uploads"],
        "summary": {
            "backup_end": "2026-11-29T08:13:53Z",
            "files_new": 2,
            "files_changed": 1,
            "total_files_processed": 9,
            "total_bytes_processed": 50,
            "data_added_packed": 4,
        },
    }
    found = snapshot(told)
    assert (found.label, found.source, found.files, found.bytes, found.touched, found.added) == (
        "fc304d4c",
        "uploads",
        9,
        50,
        3,
        4,
    )
    assert 0 < found.ended - found.began < 1
    assert snapshot({key: told[key] for key in ("id", "time")}).files == 0
    with pytest.raises(FilesError, match="no moment"):
        nanoseconds("yesterday")


def test_nanoseconds_are_kept() -> None:
    assert nanoseconds("1970-01-01T00:00:01.000000007Z") == 1_000_000_007
    assert nanoseconds("1970-01-01T09:00:00+09:00") == 0


def test_the_last_messages_are_told_once_and_without_their_frame() -> None:
    said = '{"message_type":"error","error":{"message":"permission denied"},"item":"/srv/x"}\nplain\nplain\n'
    assert gist(said) == "/srv/x permission denied; plain"
    assert gist("") == "it said nothing"
    with pytest.raises(FilesError, match="without its summary"):
        summary('{"message_type":"status"}\nnothing')


def test_the_key_goes_by_standard_input_alone(tmp_path: Path, restic: Path) -> None:
    script(restic, f"cat > {tmp_path}/given; env > {tmp_path}/environment; echo '[]'")
    assert repository(tmp_path).snapshots() == []
    assert (tmp_path / "given").read_text() == "opens it\n"
    assert "opens it" not in (tmp_path / "bin/calls").read_text() + (tmp_path / "environment").read_text()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (10, "there is no repository at rest:https://backup1/app1/"),
        (11, "is locked by another run that goes on"),
        (12, "does not open with the key in"),
        (1, "listing its snapshots failed .*401"),
    ],
)
def test_what_restic_ends_with_is_named(tmp_path: Path, restic: Path, code: int, reason: str) -> None:
    script(restic, f"echo 'unexpected HTTP response (401)' >&2; exit {code}")
    with pytest.raises(FilesError, match=reason):
        repository(tmp_path).snapshots()


def test_a_stale_lock_is_removed_by_restics_own_word_and_no_other(tmp_path: Path, restic: Path) -> None:
    script(restic, f'[ "$1" = unlock ] && touch {tmp_path}/free; [ -e {tmp_path}/free ] || exit 11; echo "[]"')
    assert repository(tmp_path).snapshots() == []
    calls = (tmp_path / "bin/calls").read_text()
    assert "\nunlock\n" in calls and "remove-all" not in calls


def test_a_repository_that_is_gone_or_another_is_not_made_anew(tmp_path: Path, restic: Path) -> None:
    made = repository(tmp_path)
    script(
        restic,
        f'[ "$1" = init ] && touch {tmp_path}/made; [ -e {tmp_path}/made ] || exit 10; echo \'{{"id": "aa11"}}\'',
    )
    with pytest.raises(FilesError, match="there is no repository"):
        made.identity("aa11", create=True)
    with pytest.raises(FilesError, match="there is no repository"):
        made.identity()
    assert made.identity(create=True) == "aa11"
    with pytest.raises(FilesError, match=r"not the one .* \(aa11 instead of bb22\)"):
        made.identity("bb22")


def test_a_snapshot_that_shrank_is_none_to_restore() -> None:
    history = [one("a"), one("b"), one("c", 49)]
    assert less(history)[0] == "it has 49 files, and the 2 before had about 100"
    assert newest("uploads", history) == history[1]
    assert newest("uploads", [one("a"), one("b", 50)]) == one("b", 50)
    assert less([one("a"), one("b", 0)]) == ["it has no files"]
    assert newest("uploads", [one("a"), one("b", 0)]) == one("a")
    assert newest("config", history) is None


def test_a_source_that_never_had_a_file_is_a_new_one() -> None:
    assert less([one("a", 0)]) == [] and newest("uploads", [one("a", 0)]) == one("a", 0)


def test_a_new_size_is_the_usual_one_after_some_backups() -> None:
    history = [one("a"), one("b"), *(one(f"n{number}", 20) for number in range(4))]
    assert newest("uploads", history[:4]) == history[1]
    assert newest("uploads", history) == history[-1]


def test_files_that_are_all_others_at_once_are_named() -> None:
    quiet = [one("first", touched=100), one("second", touched=3)]
    assert "95 of 100 files in third" in rewritten([*quiet, one("third", touched=95)])
    assert rewritten([*quiet, one("third", touched=79)]) == ""
    assert rewritten([one("first", touched=100)]) == "", "the first is new, and no anomaly"
    same = Snapshot("third", "uploads", ("/srv/uploads",), NOW, NOW, 100, 1000, 100, 40)
    assert rewritten([*quiet, same]) == "", "restored files are others to restic, and hold nothing new"
    usual = [one("first", touched=100), *(one(f"r{number}", touched=99) for number in range(4))]
    assert rewritten([*usual, one("last", touched=99)]) == "", "rotated logs are all others each time"
    assert rewritten([*quiet, one("few", files=9, touched=9)]) == ""


def test_only_what_came_long_ago_goes_whatever_its_date() -> None:
    old, made_up = one("old", at=NOW - 40 * DAY), one("lie", at=NOW + 3000 * DAY)
    all_of = [
        Arrived(old, NOW - 40 * DAY),
        Arrived(one("dated back", at=NOW - 900 * DAY), NOW - DAY),
        Arrived(made_up, NOW - DAY),
        Arrived(one("strange", at=NOW - 40 * DAY, source="gone"), NOW - 40 * DAY),
    ]
    assert expired(all_of, {"uploads": 30}, NOW) == [old]
    assert expired([Arrived(old, NOW - 40 * DAY)], {"uploads": 30}, NOW) == [], "the newest stays however old"
    assert "after it came" in all_of[2].trouble and "before it came" in all_of[1].trouble and not all_of[0].trouble


def test_removing_that_removed_nothing_is_a_failure(tmp_path: Path, restic: Path) -> None:
    """restic forget ends with 0 although the server refused every removal."""
    script(restic, 'case "$*" in *snapshots*) echo \'[{"id": "aa", "time": "2026-01-01T00:00:00Z"}]\';; esac')
    kept = keeper.Kept("app1", repository(tmp_path), tmp_path, {"uploads": 30})
    with pytest.raises(FilesError, match="left 1 of 1 snapshots of app1"):
        keeper.forget(kept, [one("aa")])


def plan(tmp_path: Path, *sources: Source) -> Plan:
    return Plan("app1", tmp_path, tmp_path, sources, repository(tmp_path), ())


def test_parts_are_read_in_turn_and_one_that_failed_again(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    found = []
    for _ in range(5):
        found.append(backup.next_part(wanted))
        (tmp_path / "part").write_text(f"{found[-1]}\n")
    assert found == [1, 2, 3, 4, 1]
    (tmp_path / "part").write_text("nonsense")
    assert backup.next_part(wanted) == 1


def test_a_source_that_is_not_there_fails_alone(tmp_path: Path, restic: Path) -> None:
    (tmp_path / "here").mkdir()
    listed = json.dumps(
        [{"id": "aa", "time": "2026-01-01T00:00:00Z", "tags": ["here"], "summary": {"total_files_processed": 3}}]
    )
    node = json.dumps({"message_type": "node", "path": str(tmp_path / "here")})
    script(
        restic,
        f"""case "$1" in cat) echo '{{"id": "r"}}';; snapshots) echo '{listed}';; ls) echo '{node}';;
        backup) echo '{{"message_type": "summary", "snapshot_id": "aa"}}';; esac""",
    )
    wanted = plan(tmp_path, Source("here", (f"{tmp_path}/here/",)), Source("gone", (f"{tmp_path}/gone",)))
    found = {
        result.subject: result for result in backup.back_up(wanted, "incr", None, print) if result.id.endswith("full")
    }
    assert found["app1/here"].verdict == "pass"
    assert found["app1/gone"].verdict == "fail" and "gone is not there" in str(found["app1/gone"].reason)
    script(restic, (restic.read_text().split("\n", 2)[2]).replace(str(tmp_path / "here"), "/elsewhere"))
    (failed,) = backup.back_up(wanted, "incr", "here", print)
    assert "vanished while it was backed up" in str(failed.reason)


def test_weekly_sources_wait_for_their_week(tmp_path: Path, restic: Path) -> None:
    script(restic, "exit 12")
    wanted = plan(tmp_path, Source("often", ("/a",)), Source("logs", ("/b",), weekly=True))
    assert [result.subject for result in backup.back_up(wanted, "incr", None, print)] == ["app1/often"]
    assert [result.subject for result in backup.back_up(wanted, "full", None, print)] == ["app1/often", "app1/logs"]
    snapshots = [one("a", at=NOW - 100, source="often"), one("b", at=NOW - 9 * DAY, source="logs")]
    status = backup.state("app1", lambda: snapshots, wanted.sources, NOW)
    assert (status.age, status.full_age, status.size) == (105.0, 9 * DAY + 5, 2000)
    assert "no backup of logs" in str(backup.state("app1", lambda: snapshots[:1], wanted.sources, NOW).trouble)


def test_a_host_that_backs_up_nothing_is_asked_in_vain_and_tells_no_failure(tmp_path: Path) -> None:
    """One order goes to all hosts, to the one that keeps the others' repositories too."""
    keeper, told = replace(plan(tmp_path), repository=None), list[str]()
    assert backup.back_up(keeper, "full", None, told.append) == told == []


def node(path: Path, kind: str = "file") -> dict[str, Any]:
    seen = path.lstat()
    moment = f"1970-01-01T00:00:00.{seen.st_mtime_ns:09d}Z"
    return {
        "path": str(path),
        "type": kind,
        "size": seen.st_size,
        "mtime": moment,
        "uid": seen.st_uid,
        "gid": seen.st_gid,
        "mode": seen.st_mode & 0o777,
    }


@pytest.fixture
def restored(tmp_path: Path) -> tuple[list[dict[str, Any]], Path, Path]:
    """Two live files, what a snapshot says of them, and its restore elsewhere."""

    live, place = tmp_path / "live", tmp_path / "scratch"
    live.mkdir()
    for name in ("a", "b"):
        (live / name).write_text(f"content of {name}")
        os.utime(live / name, ns=(0, 123_456_789))
    target = place / str(live).lstrip("/")
    shutil.copytree(live, target)
    return [node(live / name) for name in ("a", "b")], place, target


def test_a_restore_is_compared_whatever_the_order(
    restored: tuple[list[dict[str, Any]], Path, Path], tmp_path: Path
) -> None:
    nodes, place, target = restored
    found = compare(nodes, [str(tmp_path / "live")], place, live=True)
    assert found.compared("uploads").same and found.contents == 2
    assert found.said == compare(reversed(nodes), [str(tmp_path / "live")], place, live=True).said
    (target / "a").unlink()
    assert (
        "has 1 rows instead of 2"
        in compare(nodes, [str(tmp_path / "live")], place, True).compared("uploads").difference
    )


def test_other_content_under_the_same_size_and_time_is_found(
    restored: tuple[list[dict[str, Any]], Path, Path], tmp_path: Path
) -> None:

    nodes, place, target = restored
    (target / "a").write_text("CONTENT of a")
    os.utime(target / "a", ns=(0, 123_456_789))
    assert not compare(nodes, [str(tmp_path / "live")], place, live=True).compared("uploads").same
    (tmp_path / "live/a").write_text("changed since")
    changed = compare(nodes, [str(tmp_path / "live")], place, live=True)
    assert changed.contents == 1 and changed.compared("uploads").same, (
        "nothing to hold it against: restic's word counts"
    )


def test_a_restore_refuses_what_cannot_be_meant(tmp_path: Path) -> None:
    wanted = plan(tmp_path, Source("uploads", ("/srv/uploads",)), Source("config", ("/etc/shop",)))
    known = [one("aa"), one("ab"), one("cc", source="config")]
    assert [found.id for found in restore.choose(wanted, Restore(), known)] == ["ab", "cc"]
    assert [found.id for found in restore.choose(wanted, Restore(set="aa"), known)] == ["aa"]
    assert [found.id for found in restore.choose(wanted, Restore(into={"config": "config"}), known)] == ["cc"]
    for asked, reason in (
        (Restore(set="a"), "no backup a; the newest are"),
        (Restore(into={"other": "/x"}), "other is no source"),
        (Restore(set="zz"), "no backup zz"),
    ):
        with pytest.raises(Refused, match=reason):
            restore.choose(wanted, asked, known)
    with pytest.raises(Refused, match="no backup of config"):
        restore.choose(wanted, Restore(), known[:2])


def test_what_is_there_is_replaced_when_that_was_typed_and_never_by_a_recovery(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    empty = tmp_path / "empty"
    empty.mkdir()
    restore.refuse_over([empty, tmp_path / "none"], Restore("recover"), "app1/app1")
    restore.refuse_over([there], Restore(confirm="app1/app1"), "app1/app1")
    for asked in (Restore("recover", confirm="app1/app1"), Restore(), Restore(confirm="app1")):
        with pytest.raises(Refused, match="Nothing was changed"):
            restore.refuse_over([there], asked, "app1/app1")
    restore.former(there).write_text("kept")
    with pytest.raises(Refused, match="what the last restore replaced"):
        restore.refuse_over([there], Restore(confirm="app1/app1"), "app1/app1")
    with pytest.raises(Refused, match="mount"):
        restore.refuse_over([Path("/proc")], Restore(confirm="app1/app1"), "app1/app1")


def test_an_undo_puts_back_and_a_discard_removes(tmp_path: Path) -> None:
    there = tmp_path / "there"
    wanted = plan(tmp_path, Source("uploads", (str(there),)))
    with pytest.raises(Refused, match="keeps what it replaced"):
        restore.settle(wanted, Restore("undo"), "app1/app1", print)
    there.write_text("restored")
    restore.former(there).write_text("former")
    with pytest.raises(Refused, match="restore_confirm=app1/app1"):
        restore.settle(wanted, Restore("undo"), "app1/app1", print)
    restore.settle(wanted, Restore("undo", confirm="app1/app1"), "app1/app1", print)
    assert there.read_text() == "former" and sorted(path.name for path in tmp_path.iterdir()) == ["key", "there"]
    restore.former(there).mkdir()
    restore.settle(wanted, Restore("discard"), "app1/app1", print)
    assert not restore.former(there).exists()


@pytest.mark.parametrize("placed", [True, False])
def test_an_undo_works_after_a_restore_that_was_killed(tmp_path: Path, placed: bool) -> None:
    there = tmp_path / "uploads"
    wanted = plan(tmp_path, Source("uploads", (str(there),)))
    kept, left = restore.former(there), restore.fresh(there) / str(there).lstrip("/")
    left.parent.mkdir(parents=True)
    (there if placed else left).mkdir()
    kept.mkdir()
    (kept / "before").write_text("x")
    if not placed:
        with pytest.raises(Refused, match=r"is not there.*restore_undo=true"):
            restore.settle(wanted, Restore("discard"), "app1/app1", print)
    restore.settle(wanted, Restore("undo", confirm="app1/app1"), "app1/app1", print)
    assert (there / "before").exists() and not kept.exists() and not restore.fresh(there).exists()


def test_a_path_is_a_pattern_of_itself_alone() -> None:
    assert escaped("/srv/a[x]*?\\") == "/srv/a\\[x]\\*\\?\\\\".replace("x]", "x\\]")


def test_one_at_a_time(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    with wanted.alone(), pytest.raises(Busy, match="another backup, drill or restore of app1"), wanted.alone():
        pass
    with wanted.alone():
        pass


def test_what_meets_a_backup_is_skipped_and_stands_in_for_nothing(tmp_path: Path) -> None:
    wanted = plan(tmp_path, Source("often", ("/a",)))
    client = Kept("app2", repository(tmp_path), tmp_path, {})
    with wanted.alone():
        told = backup.back_up(wanted, "incr", None, print) + backup.verify(wanted, print)
        told += keeper.keep(replace(wanted, kept=(client,)), print)
        skipped = rehearsal.drill(wanted, DrillLimits(), "r", print)
        with pytest.raises(Busy):
            rehearsal.sweep(wanted)
    told += drilled(skipped)
    assert [(one.id.partition(".")[2], one.verdict, one.subject) for one in told] == [
        ("backup.full", "skip", "app1/often beside another run"),
        ("backup.verified", "skip", "app1 beside another run"),
        ("backup.verified", "skip", "app2/repository beside another run"),
        ("drill.files.result", "skip", "app1 beside another run"),
    ]
    assert all("another backup, drill or restore of app1 is under way" in str(one.reason) for one in told)
    assert skipped.reason is None


def test_sources_and_clients_are_read_from_the_inventory() -> None:
    (source,) = sources_of([{"name": "uploads", "paths": ["/srv"], "retention_days": "9"}])
    assert source == {
        "name": "uploads",
        "paths": ["/srv"],
        "exclude": [],
        "schedule": "daily",
        "retention": 9,
        "watch": [],
    }
    theirs = {"restic_sources": [{"name": "uploads", "paths": ["/srv"]}], "restic_password": "opens-it"}
    hosts = {
        "app1": theirs,
        "s3": theirs | {"restic_repository": "s3:x"},
        "bare": {},
        "app2": theirs | {"restic_name": "two"},
    }
    found = clients_of(hosts, hosts, "/var/lib/r", 9.0)
    assert [client["name"] for client in found] == ["app1", "two"]
    assert found[0]["kept"]["retention"] == {"uploads": 30} and "opens-it" not in json.dumps(found[0]["kept"])
    assert found[1]["kept"]["repository"]["where"] == "/var/lib/r/two"
