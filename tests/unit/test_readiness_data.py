"""The report's section on data: what it shows of backups and drills, and what it makes of what is missing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import readiness_sample as sample
import readiness_sample_data
from ansible_collections.slipway.ops.plugins.filter.readiness import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.course import Phase
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Report, results
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import PACKAGE
from ansible_collections.slipway.ops.plugins.module_utils.data.engine import names as engines
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness import data, pictures
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, brief

FILTERS = FilterModule().filters()
NOW = sample.NOW
GIB = 2**30
REASON = "WAL segment 0000000100000042000000A1 is missing in the repository"


def known():
    return readiness_sample_data.evidence(sample.record, NOW)


def past():
    return readiness_sample_data.history(sample.record, NOW)


def only(records, history=(), **more):
    (one,) = data.stored(records, history, **more)
    return one


def page(records, history=(), language="en"):
    evidence = {"records": list(records), "history": list(history)}
    verdict = FILTERS["readiness"](sample.policy(), evidence["records"], [], language, "2026-11-21T12:00:00Z")
    about = {"system": "demo", "command": "c", "data_file": "f"}
    return FILTERS["readiness_report"](verdict, evidence, about, language)


def drilled(hours: float, reason: str | None) -> list[dict[str, Any]]:
    return readiness_sample_data.drill(sample.record, NOW, hours, 268.4, 2.7, 23.5, reason)


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        (
            "en",
            ["main · PostgreSQL", "RTO at 200GiB", "4m55s", "31m14s", "limit 24h", "Fits into the RTO", "Incremental"],
        ),
        (
            "ko",
            [
                "main · PostgreSQL",
                "RTO(200GiB 예상)",
                "4m55s",
                "31m14s",
                "기준 24h",
                "RTO 내 복구 가능 크기",
                "증분 백업",
            ],
        ),
    ],
)
def test_it_shows_what_drills_and_backups_measured(language, shown):
    text = page(known(), past(), language)
    assert [words for words in shown if words not in text] == []


def test_there_is_no_such_section_without_such_evidence():
    assert 'id="data"' not in page([sample.record("application.x.y", "s", "c")])


def test_the_parts_of_the_rto_are_the_rto():
    (rto, later, rpo) = data.bars(only(known()), Words("en"))
    assert [span["kind"] for span in rto["spans"]] == ["restore", "start", "replay"]
    assert rto["spans"][-1]["to"] == pytest.approx(294.6)
    assert later["spans"][0]["to"] == pytest.approx((268.4 + 23.5) * 200 / 31.2 + 2.7, abs=0.1)
    assert (rto["limit"], later["limit"], rpo["limit"]) == (4 * 3600.0, 4 * 3600.0, 24 * 3600.0)


@pytest.mark.parametrize("engine", engines())
def test_every_engine_has_a_name_and_its_parts_are_the_rto(engine):
    """A part that the report does not know would be a gap in the bar: fetching from a store may be most of it."""
    module = "postgresql.drill.rehearsal" if engine == "postgresql" else f"{engine}.rehearsal"
    rehearsal = importlib.import_module(f"{PACKAGE}.{module}")
    parts = rehearsal.RTO_PHASES if engine == "postgresql" else rehearsal.PARTS
    at = timestamp(NOW)
    phases = [Phase(name, name, 10.0 + number) for number, name in enumerate(parts)]
    rto = sum(phase.seconds for phase in phases)
    made = Report(engine, "one", "r", at, took=100.0, phases=phases, parts=parts, rto=rto, rpo=60.0, size=GIB)
    one = only([result.as_dict() for result in results(made)])
    bar = data.bars(one, Words("ko"))[0]
    assert [span["kind"] for span in bar["spans"]] == list(parts)
    assert bar["spans"][-1]["to"] == pytest.approx(rto)
    assert f"one · {data.ENGINES[engine]}" in page([result.as_dict() for result in results(made)])
    styles = (Path(data.__file__).parent / "report.css").read_text(encoding="utf-8")
    assert [part for part in parts if f".rc-{part}" not in styles] == []


def test_of_two_limits_the_stricter_is_drawn():
    limits = {"data.drill.postgresql.rto": "<= 2 h", "data.drill.postgresql.rpo": "<= 30 d"}
    assert [bar["limit"] for bar in data.bars(only(known(), limits=limits), Words("en"))] == [7200, 14400, 86400]


def test_what_is_backed_up_is_neither_a_host_nor_what_was_skipped():
    standby = sample.record("data.drill.postgresql.result", "main on db2", "c", verdict="skip", reason="a standby")
    assert [one.name for one in data.stored([*known(), standby])] == ["main"]


def test_a_drill_that_failed_shows_its_reason_and_the_time_of_the_last_that_measured():
    failed = drilled(1.0, REASON)
    newest = {one["id"]: one for one in [*drilled(53.0, None), *failed]}
    one = only(newest.values())
    assert next(bar["value"] for bar in data.bars(one, Words("en"))) == "4m55s"
    text = page(newest.values(), drilled(53.0, None))
    assert REASON in text and "an earlier one measured them 2 days ago" in text
    assert [drill["verdict"] for drill in data.drills(one, NOW)] == ["pass", "fail"]


def test_a_drill_that_was_too_slow_has_not_passed():
    slow = [one | ({"verdict": "fail"} if one["id"].endswith(".rto") else {}) for one in drilled(24.0, None)]
    (drill,) = data.drills(only(slow), NOW)
    assert drill == {"ago": 86400.0, "verdict": "fail", "label": "2026-11-20: fail, RTO 4m55s"}


def test_what_is_extrapolated_fails_no_drill():
    large = [one | ({"verdict": "fail"} if one["id"].endswith("_at_size") else {}) for one in drilled(24.0, None)]
    assert [drill["verdict"] for drill in data.drills(only(large), NOW)] == ["pass"]


def test_backups_without_a_drill_are_shown_as_that():
    text = page([one for one in known() if ".drill." not in one["id"]])
    assert "no restore drill yet" in text and "Incremental" in text
    assert 'class="timeline recovery"' not in text


def test_the_last_backup_is_one_that_was_made():
    skipped = sample.record("data.backup.incr", "main", "c", verdict="skip", hours=0.1)
    one = only([*(one for one in known() if one["id"] != "data.backup.incr"), skipped], [*past(), skipped])
    last = one.last("incr")
    assert last and last["verdict"] == "pass"
    assert one.runs("incr")[-1] == "skip"


@pytest.mark.parametrize(
    "changes", [{"measured": "soon"}, {"measured": None}, {"unit": "By"}, {"at": "soon"}, {"limit": "nonsense"}]
)
def test_records_that_say_nothing_are_left_out(changes):
    text = page(
        [one | changes if one["id"] == "data.drill.postgresql.rpo" else one for one in known() if "at" not in changes]
    )
    assert "4m55s" in text or "at" in changes
    shown = data.stored([one | changes for one in known()])
    assert shown == [] or all(bar["value"] for bar in data.bars(shown[0], Words("en")))


def test_hostile_names_stay_text():
    attack = "<script>x</script>"
    text = page([one | {"subject": attack, "claim": attack} for one in known()])
    assert "<script" not in text and "&lt;script&gt;" in text


def test_a_bar_beyond_its_limit_and_one_of_nothing_are_drawn():
    bars: list[dict[str, Any]] = [
        {
            "name": "RTO",
            "spans": [{"from": 0, "to": 90000, "label": "", "kind": "x"}],
            "value": "25h",
            "limit": 60,
            "limit_text": "1m",
        },
        {
            "name": "RPO",
            "spans": [{"from": 0, "to": 0.0, "label": "", "kind": "x"}],
            "value": "0s",
            "limit": None,
            "limit_text": "",
        },
    ]
    wide, drawn = pictures.recovery(bars, "label").split("narrow", 1)
    assert wide.count("rc-over") == 1
    assert (
        drawn.count("rc-over") == 1
        and drawn.count("<rect") == 2
        and drawn.count("rc-limit-text") == 1
        and "nan" not in drawn
    )


def test_the_summary_tells_it_in_two_lines():
    verdict = FILTERS["readiness"](sample.policy(), known(), [], "en", "2026-11-21T12:00:00Z")
    told = " ".join(line.strip() for line in FILTERS["readiness_summary"](verdict, "en"))
    assert "main: RTO 4m55s (limit 4h), RTO at 200GiB 31m14s, RPO 43s (limit 24h)" in told
    assert "main: Restore drill 2 days ago, Full 10 hours ago, Incremental 36 minutes ago" in told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (4.24, "4.2s"),
        (43.2, "43s"),
        (205, "3m25s"),
        (3599.7, "1h"),
        (86400, "24h"),
        (4321, "1h12m"),
        (273900, "3d4h"),
    ],
)
def test_durations_are_brief(seconds, text):
    assert brief(seconds) == text
