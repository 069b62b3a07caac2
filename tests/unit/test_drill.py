"""Drills: what is measured and told, what a recovering server's log says, how little a drill may take."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import DrillError
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Course, Phase
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.growth import Growth
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import (
    Compared,
    Limits,
    Report,
    estimates,
    lines,
    metrics,
    results,
)
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.scope import Scope, Weight
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill import recovery, recovery_log
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill import rehearsal as postgresql
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.scratch import MARK, Scratch
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.drill.tables import Table
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated

GIB = 2**30
SAME = Compared("shop.public.orders", 10, "7", 10, "7")
OTHER = Compared("shop.public.items", 10, "7", 10, "8")


def report(**given):
    whole = {
        "engine": "postgresql",
        "subject": "main",
        "run": "r",
        "at": "2026-11-21T10:00:00.000Z",
        "took": 20.0,
        "size": GIB,
        "moving": 10.0,
        "rto": 12.0,
        "rpo": 70.0,
        "tables": [SAME],
        "pages_checked": True,
        "limits": Limits(rto=3600.0, rpo=600.0),
    }
    return Report(**{**whole, **given})


def measured(made):
    return {one.id.removeprefix("data.drill.postgresql."): (one.measured, one.unit, one.limit) for one in made}


def verdicts(made):
    return {result.id.removeprefix("data.drill.postgresql."): result.verdict for result in made}


def test_a_drill_that_passed_is_results_that_the_store_takes():
    made = results(report(phases=[Phase("look", "Look", 1.0), Phase("restore", "Restore", 9.04)], parts=("restore",)))
    names = ["result", "rto", "rpo", "restore", "size", "rto_at_size", "size_within", "rows", "checksums"]
    assert verdicts(made) == dict.fromkeys(names, "pass")
    assert measured(made)["restore"] == (9.0, "s", None)
    assert measured(made)["size"] == (GIB, "By", None)
    for result in made:
        validated(result.as_dict(), "r")
    assert [result.limit for result in made[1:3]] == ["<= 3600", "<= 600"]


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        (
            {"rto": 3601.0, "limits": Limits(rto=3600.0), "moving": 0.0},
            "rto",
            "the RTO of main is 1h1s, more than 3600 s",
        ),
        ({"rpo": 601.0}, "rpo", "the RPO of main is 10m1s, more than 600 s"),
        ({"tables": [SAME, OTHER]}, "rows", "1 tables differ from the source after the restore: shop.public.items has"),
        ({"reason": "no backup"}, "result", "no backup"),
    ],
)
def test_each_measure_fails_for_itself_with_its_reason(given, name, words):
    made = results(report(**given))
    assert {key for key, verdict in verdicts(made).items() if verdict != "pass"} == {name}
    assert words in next(result.reason or "" for result in made if result.verdict == "fail")


def test_without_checksums_a_pass_is_only_a_warning():
    assert verdicts(results(report(pages_checked=False)))["checksums"] == "warn"


def test_what_was_not_reached_is_not_measured():
    made = results(report(rto=None, rpo=None, tables=None, pages_checked=None, reason="the disk is full"))
    assert verdicts(made) == {"result": "fail"}
    assert verdicts(results(report(skipped="this server is a standby; its primary is drilled"))) == {"result": "skip"}


@pytest.mark.parametrize(
    ("rows", "value", "words"),
    [(None, None, "is missing"), (9, "7", "has 9 rows instead of 10"), (10, "8", "has other content")],
)
def test_a_difference_is_said_in_a_clause(rows, value, words):
    table = Compared("shop.public.orders", 10, "7", rows, value)
    assert not table.same and words in table.difference


def test_other_sizes_are_estimated_by_what_grows():
    told = estimates(report())
    assert told["seconds"]["10x"] == 102.0 and told["seconds"]["100GiB"] == 1002.0
    assert told["bytes_per_second"] == round(GIB / 10)
    assert told["bytes_within_limit"] == round((3600.0 - 2.0) / 10.0 * GIB)
    assert estimates(report(rto=None)) == {}
    assert estimates(report(moving=0.0))["bytes_within_limit"] is None


@pytest.mark.parametrize(
    ("size", "seconds"),
    [(GIB, 12.0), (2 * GIB, 22.0), (0, 2.0), (100 * GIB, 1002.0)],
)
def test_what_is_copied_and_replayed_grows_and_the_rest_stays(size, seconds):
    line = Growth(size=GIB, rto=12.0, moving=10.0)
    assert line.seconds(size) == pytest.approx(seconds)
    assert line.within(seconds) == pytest.approx(size)


def test_a_limit_that_is_shorter_than_a_start_lets_nothing_be_restored():
    assert Growth(size=GIB, rto=12.0, moving=10.0).within(1.0) == 0.0
    assert Growth(size=GIB, rto=12.0, moving=0.0).within(3600.0) is None


@pytest.mark.parametrize(
    ("expected", "verdict", "seconds", "size"),
    [(None, "pass", 22.0, 2 * GIB), (359 * GIB, "pass", 3592.0, 359 * GIB), (360 * GIB, "fail", 3602.0, 360 * GIB)],
)
def test_a_restore_must_be_in_time_at_the_size_to_come(expected, verdict, seconds, size):
    made = results(report(expected_size=expected))
    assert measured(made)["rto_at_size"] == (seconds, "s", "<= 3600")
    assert measured(made)["size_within"] == (round(359.8 * GIB), "By", f">= {size}")
    assert {verdicts(made)[name] for name in ("rto_at_size", "size_within")} == {verdict}
    told = [result.reason for result in made if result.reason]
    assert all("at 360GiB a restore of main would take 1h2s, more than 1h; 359.8GiB can" in reason for reason in told)
    assert len(told) == (2 if verdict == "fail" else 0)


def test_a_size_that_is_only_assumed_warns():
    made = verdicts(results(report(limits=Limits(rto=20.0))))
    assert (made["rto"], made["rto_at_size"], made["size_within"]) == ("pass", "warn", "warn")


def test_nothing_is_extrapolated_without_a_limit():
    assert not {"rto_at_size", "size_within"} & verdicts(results(report(limits=Limits(rto=None)))).keys()


def test_the_table_ends_with_the_verdict():
    told: list[str] = []
    course = Course(told.append)
    with course.phase("restore", "Restore") as phase:
        phase.note = "1GiB"
    with pytest.raises(DrillError), course.phase("start", "Start"):
        raise DrillError("it ended")
    shown = lines(report(phases=course.phases, reason="it ended"))
    assert told[0].endswith(" s  Restore") and shown[0].startswith("pass  Restore") and shown[0].endswith("1GiB")
    assert shown[1].startswith("fail  Start") and shown[-1] == "The drill of postgresql main FAILED: it ended"
    assert any("at this speed 100GiB take 16m42s" in line for line in shown)


def test_metrics_leave_out_what_is_not_known():
    text = "".join(metrics(report(rto=None, reason="no"), 5.0))
    assert 'slipway_drill_success{engine="postgresql",name="main"} 0\n' in text
    assert 'slipway_drill_timestamp_seconds{engine="postgresql",name="main"} 5.0\n' in text
    assert "slipway_drill_rto_seconds" not in text and "slipway_drill_rto_limit_seconds" in text


LOG = """\
LOG:  starting PostgreSQL 17.12
2026-11-21 15:33:00.300 P00   INFO: found 000000010000000000000003 in the repo1: 17-1 archive
LOG:  restored log file "000000010000000000000003" from archive
2026-11-21 15:33:00.300 P00   INFO: unable to find 00000002.history in the archive
2026-11-21 15:33:01.300 P00   INFO: unable to find 000000010000000000000004 in the archive
"""


def test_the_log_says_which_segment_recovery_waits_for():
    assert recovery_log.stuck(LOG).segment == "000000010000000000000004"
    found = LOG + "2026-11-21 15:33:02.300 P00   INFO: found 000000010000000000000004 in the repo1: 17-1 archive\n"
    assert recovery_log.stuck(found) == recovery_log.Stuck()
    assert recovery_log.given(LOG) == 2
    broken = LOG + "2026-11-21 15:33:03 P00  ERROR: [103]: unable to find a valid repository:\n             repo1: no\n"
    assert recovery_log.stuck(broken).error.startswith("[103]: unable to find a valid repository: repo1: no")


def test_the_last_words_of_a_server_are_its_own():
    text = (
        "FATAL:  the database system is starting up\n"
        "FATAL:  recovery aborted because of insufficient parameter settings\n"
        "DETAIL:  max_connections = 10 is a lower setting than on the primary server, where its value was 40.\n"
    )
    assert recovery_log.ending(text) == (
        "recovery aborted because of insufficient parameter settings; max_connections = 10 is a lower setting than on"
        " the primary server, where its value was 40."
    )
    assert recovery_log.ending("LOG: nothing") == "its log has no reason"


def test_segments_have_their_place_in_the_log():
    assert recovery_log.position("000000020000000100000002", 16 * 2**20) == (0x102000000, 0x103000000)
    assert recovery_log.lsn("1/2000028") == 0x102000028
    archives = [("17-2", "a", "000000010000000000000001"), ("17-10", "a", "b"), ("16-1", "a", "z")]
    assert recovery_log.newest(archives) == "b" and recovery_log.newest([]) == ""


def scratch_in(directory):
    return Scratch(directory, directory, "main", 1, Scope("postgresql", "postgres", Weight()))


@pytest.mark.parametrize(
    ("last", "words"),
    [("000000010000000000000006", "000000010000000000000004 is missing"), ("000000010000000000000003", "")],
)
def test_a_gap_is_told_from_the_end_of_the_archive(tmp_path, last, words):
    (tmp_path / "server.log").write_text(LOG)
    waits = recovery.Recovery(scratch_in(tmp_path), 5432, lambda: [("17-1", "", last)], 60.0, 60.0)
    if words:
        with pytest.raises(DrillError, match=words):
            waits._give_up_when_stuck(-1e9)
    else:
        waits._give_up_when_stuck(-1e9)


def test_a_program_gets_little_of_the_machine():
    argv = Scope("postgresql", "postgres", Weight(cpu=5, io=6, memory="")).argv("restore", ["pgbackrest", "restore"])
    assert "--unit=slipway-drill-postgresql-restore" in argv and argv[-3:] == ["--", "pgbackrest", "restore"]
    assert {"--property=CPUWeight=5", "--property=IOWeight=6", "--property=MemoryHigh=infinity"} <= set(argv)


def test_a_directory_that_no_drill_made_is_not_touched(tmp_path):
    (tmp_path / "precious").write_text("data")
    scratch = scratch_in(tmp_path)
    with pytest.raises(DrillError, match="is not empty and no drill made it"):
        scratch.prepare()
    assert (tmp_path / "precious").read_text() == "data" and not (tmp_path / MARK).exists()


def test_names_are_quoted_whatever_they_are():
    table = Table("shop", "public", 'odd "name')
    assert table.sql == '"public"."odd ""name"' and table.name == 'shop.public.odd "name'


def test_a_plan_is_what_the_role_wrote():
    data = {"stanza": "a", "repositories": [1, 2], "limits": {"rto": 1.0, "rpo": 2.0, "age": 3.0}, "weight": {"cpu": 9}}
    wanted = postgresql.plan(data)
    assert wanted.subject == "a/repo1" and wanted.limits.age == 3.0 and wanted.weight == Weight(cpu=9)
    with pytest.raises(TypeError):
        postgresql.plan(data | {"stansa": "typo"})


def test_a_drill_of_postgresql_that_meets_another_is_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(postgresql, "LOCK", tmp_path / "lock")
    wanted = postgresql.Plan()
    with postgresql._alone():
        (told,) = results(postgresql.drill(wanted, "r", print))
        with pytest.raises(Busy):
            postgresql.sweep(wanted)
    assert (told.verdict, told.subject) == ("skip", "main beside another run")
    assert "another drill of PostgreSQL is under way" in str(told.reason)
