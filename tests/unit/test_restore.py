"""Restores: which points make sense, from which backup they can be reached, and what a killed one left."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.keeper import has_server
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest import status
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import Backup
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore import RestoreError, journal
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.cluster import Cluster, _is_written
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.postgresql import (
    Plan,
    Wanted,
    _stanza,
    discard,
    discard_plan,
    perform,
    refuse_unfinished_undo,
    undo,
    undo_plan,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.restore.target import (
    History,
    Target,
    choose,
    history,
    target,
)

NOON = 1795262400.0  # 2026-11-21 12:00:00 UTC


def backup(label, stopped, lsn, timeline=1, error=False):
    segment = f"{timeline:08X}0000000000000001"
    return Backup(label, "full", 1, stopped - 10, stopped, 1, 1, error, 1, segment, segment, lsn)


OLD = backup("old", NOON, "0/3000120")
NEW = backup("new", NOON + 3600, "0/9000000")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("2026-11-21 21:00:00+09:00", "2026-11-21 12:00:00.000000+00:00"),
        ("2026-11-21T12:00:00.5Z", "2026-11-21 12:00:00.500000+00:00"),
        ("2026-11-21 12:00:00.123456789+00", "2026-11-21 12:00:00.123456+00:00"),
        ("2026-11-21 06:30:00-0530", "2026-11-21 12:00:00.000000+00:00"),
    ],
)
def test_a_time_is_said_in_utc(given, value):
    assert target("time", given, now=NOON + 86400).value == value


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("time", "2026-11-21 12:00:00", "does not say its offset from UTC"),
        ("time", "yesterday", "is no time such as"),
        ("time", "2026-11-21", "does not say its offset from UTC"),
        ("time", "2027-11-21 12:00:00Z", "is in the future"),
        ("time", "", "needs a target"),
        ("latest", "0/1", "needs no target"),
        ("lsn", "12", "is no LSN"),
        ("xid", "0", "is no transaction id"),
        ("xid", "1; drop", "is no transaction id"),
        ("name", "it's", "is no name"),
        ("point", "x", "is none of latest, time"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused(kind, value, words):
    with pytest.raises(RestoreError, match=words):
        target(kind, value, now=NOON)


def test_just_before_and_timelines_are_checked():
    with pytest.raises(RestoreError, match="just before is possible"):
        target("name", "a", exclusive=True)
    with pytest.raises(RestoreError, match="neither latest nor current"):
        target("latest", "", "newest")
    assert target("xid", "7", "2", True).options() == [
        "--type=xid",
        "--target=7",
        "--target-action=promote",
        "--target-exclusive",
        "--target-timeline=2",
    ]
    assert Target().options() == ["--type=default", "--target-timeline=latest"]


@pytest.mark.parametrize(
    ("wanted", "label"),
    [
        (Target(), "new"),
        (Target("time", "2026-11-21 12:30:00+00:00"), "old"),
        (Target("time", "2026-11-21 13:00:01+00:00"), "new"),
        (Target("lsn", "0/8FFFFFF"), "old"),
        (Target("lsn", "0/9000000"), "new"),
        (Target("name", "before the release"), "new"),
    ],
)
def test_the_newest_backup_before_the_point_is_taken(wanted, label):
    assert choose([OLD, NEW], wanted, None).label == label


@pytest.mark.parametrize("wanted", [Target("time", "2026-11-21 12:00:00+00:00"), Target("lsn", "0/3000119")])
def test_a_point_before_the_oldest_backup_is_refused(wanted):
    with pytest.raises(
        RestoreError, match=r"is before the end of the oldest backup that leads there, old .*Nothing was"
    ):
        choose([OLD, NEW], wanted, None)


def test_a_named_backup_must_lead_there():
    wanted = Target("time", "2026-11-21 12:30:00+00:00")
    assert choose([OLD, NEW], Target(), None, "old").label == "old"
    with pytest.raises(RestoreError, match="cannot be reached from new; from old it can"):
        choose([OLD, NEW], wanted, None, "new")
    with pytest.raises(RestoreError, match="there is no backup other; there are old, new"):
        choose([OLD, NEW], wanted, None, "other")


def test_a_damaged_backup_is_none():
    assert choose([OLD, backup("bad", NOON + 9, "0/5", error=True)], Target(), None).label == "old"
    with pytest.raises(RestoreError, match="no backup to restore"):
        choose([], Target(), None)


def test_a_backup_of_an_abandoned_branch_is_passed_over():
    """Timeline 2 left timeline 1 at 0/5000000, after a restore to a point; NEW went on on timeline 1."""
    way = history(2, "1\t0/5000000\tbefore 2026-11-21 12:30:00+00\n\n")
    assert way == History(2, {1: 0x5000000})
    assert choose([OLD, NEW], Target(), way).label == "old"
    assert choose([OLD, NEW, backup("third", NOON + 7200, "0/B000000", 2)], Target(), way).label == "third"
    with pytest.raises(RestoreError, match="no backup lies on the way to timeline 2"):
        choose([NEW], Target(), way)


def test_what_was_begun_is_known_to_the_next_run(tmp_path):
    place = tmp_path / "17-main.restore.json"
    assert journal.load(place) is None
    begun = journal.Journal("r", "/data", "/data.before-r", "old", "the latest state")
    assert journal.keep(place, begun, "moved") == journal.load(place) != begun
    assert journal.keep(place, begun, "done").finished and not begun.finished
    place.write_text("{")
    with pytest.raises(RestoreError, match="is damaged"):
        journal.load(place)


@pytest.mark.parametrize(
    ("timeline", "address", "written"), [(1, 0x4000000, True), (1, 0x1000000, False), (2, 0x4000000, False)]
)
def test_a_recycled_segment_is_not_taken_for_wal(tmp_path, timeline, address, written):
    segment = tmp_path / "000000010000000000000004"
    head = b"\x16\xd1\x06\x00" + timeline.to_bytes(4, "little") + address.to_bytes(8, "little")
    with segment.open("wb") as file:
        file.write(head)
        file.truncate(16 * 2**20)
    assert _is_written(segment) is written


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """A finished restore that kept the former data, of a cluster whose server is nobody's business here."""
    monkeypatch.setattr(journal, "STATE", tmp_path)
    data, aside = tmp_path / "main", tmp_path / "main.before-r"
    for directory, content in ((data, "restored"), (aside, "former")):
        directory.mkdir()
        (directory / "what").write_text(content)
    for step in ("stop", "leave_timeline", "recover"):
        monkeypatch.setattr(Cluster, step, lambda _: None)
    asked = Wanted(Cluster(17, "main", data, 5432, "main", 1), Target(), "db1", "r", confirm="db1/main")
    journal.keep(asked.place, journal.Journal("r", str(data), str(aside), "old", "the latest state"), "done")
    return asked


def test_former_data_is_put_back_once_confirmed(wanted):
    with pytest.raises(RestoreError, match=r"restore_confirm=db1/main[.] Nothing was changed"):
        undo(replace(wanted, confirm=""))
    assert "puts" in undo_plan(wanted) and (wanted.cluster.directory / "what").read_text() == "restored"
    undo(wanted)
    assert (wanted.cluster.directory / "what").read_text() == "former"
    with pytest.raises(RestoreError, match="no restore was made"):
        undo(wanted)


def test_a_killed_undo_is_gone_on_with_and_never_taken_for_a_restore(wanted, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Cluster, "recover", lambda _: _interrupt())
        undo(wanted)
    with pytest.raises(RestoreError, match="-e restore_undo=true"):
        refuse_unfinished_undo(wanted)
    undo(wanted)
    assert (wanted.cluster.directory / "what").read_text() == "former"


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("left", "completed"),
    [(["base", "global"], []), (["base", "backup.manifest"], ["backup.manifest", "base"])],
    ids=["directories alone", "with the manifest"],
)
def test_a_restore_that_was_killed_is_completed_or_begun_anew(tmp_path, monkeypatch, left, completed):
    """pgBackRest restores into directories that it has made itself only once its manifest is there too."""
    monkeypatch.setattr(journal, "STATE", tmp_path)
    data, found = tmp_path / "main", []
    for name in left:
        (data / name).mkdir(parents=True)
    for step in ("stop", "recover", "renew"):
        monkeypatch.setattr(Cluster, step, lambda _: None)
    monkeypatch.setattr(Cluster, "timeline", lambda _: 2)
    monkeypatch.setattr(
        Cluster, "restore", lambda self, *_: found.extend(sorted(it.name for it in self.directory.iterdir()))
    )
    asked = Wanted(Cluster(17, "main", data, 5432, "main", 1), Target(), "db1", "r")
    killed = journal.keep(asked.place, journal.Journal("r", str(data), "", "old", "the latest state"), "moved")
    perform(asked, Plan(backup("old", NOON, "0/1"), "", resumes=killed))
    ended = journal.load(asked.place)
    assert found == completed and ended and ended.finished


def test_former_data_is_removed_once_that_of_earlier_restores_too(wanted):
    earlier = wanted.cluster.directory.with_name("main.before-q")
    earlier.mkdir()
    told = discard_plan(wanted)
    assert str(earlier) in told and told == discard(wanted)
    assert sorted(path.name for path in wanted.cluster.directory.parent.iterdir() if path.is_dir()) == ["main"]
    assert discard(wanted) == "" and (wanted.cluster.directory / "what").read_text() == "restored"


def test_former_data_stays_while_a_restore_is_unfinished(wanted):
    data = wanted.cluster.directory
    journal.keep(wanted.place, journal.Journal("r", str(data), f"{data}.before-r", "old", "the latest state"), "moved")
    with pytest.raises(RestoreError, match=r"the restore r is not finished; .*main[.]before-r stays"):
        discard(wanted)
    assert wanted.cluster.kept()


def test_a_server_is_known_by_its_process(tmp_path):
    assert not has_server(tmp_path)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert not has_server(tmp_path)  # the number of another program


def test_a_host_asks_about_the_repository_that_it_restores_from_alone(monkeypatch, tmp_path):
    """pgBackRest 2.55 gets no key of a second repository from the host of both when it is asked about both."""

    def answer(argv, *_):
        code = 0 if "--repo=2" in argv else 99
        state = {"code": code, "message": "key/value found outside", "lock": {"backup": {"held": False}}}
        told = {"key": 2, "cipher": "aes-256-cbc", "status": state}
        return json.dumps([{"name": "main", "archive": [], "backup": [], "db": [], "repo": [told], "status": state}])

    monkeypatch.setattr(status, "succeed", answer)
    assert _stanza(Cluster(17, "main", tmp_path, 5432, "main", 2)).name == "main"
