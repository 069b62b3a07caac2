"""The report of a period: numbers as Prometheus gives them, what was not measured told as such, in two languages."""

from __future__ import annotations

import math
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.period_report import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.history import (
    HistoryError,
    Prometheus,
    Series,
    Span,
    told,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import Measure, limited, read_measures
from ansible_collections.slipway.ops.plugins.plugin_utils.period import chart
from ansible_collections.slipway.ops.plugins.plugin_utils.period.page import number, strings
from pages import Reader

ROOT = Path(__file__).resolve().parents[2]
FILTERS = FilterModule().filters()
ABOUT = {"system": "shop <b>", "command": "ansible-playbook x", "data_file": "report.json", "store": "/store"}
END = 1_800_000_000.0
SPAN = Span.of("1h", END)
CPU = {
    "id": "cpu",
    "section": "resources",
    "title": {"en": "CPU", "ko": "프로세서"},
    "unit": "%",
    "query": "cpu[$window]",
}


class Pretended:
    """Answers by the beginning of a query."""

    def __init__(self, **answers: list[Series]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def over(self, query: str, span: Span) -> list[Series]:
        return self._answer(query)

    def once(self, query: str, at: float) -> list[Series]:
        return self._answer(query)

    def _answer(self, query: str) -> list[Series]:
        self.asked.append(query)
        return next((answer for start, answer in self.answers.items() if query.startswith(start)), [])


def series(host: str, *values: float | None, **labels: str) -> Series:
    known = [(SPAN.start + number * SPAN.step, value) for number, value in enumerate(values) if value is not None]
    return {"host": host, **labels}, known


def measure(**different: Any) -> Measure:
    return Measure(**{**CPU, **different})


def measured(*measures: Measure, **answers: list[Series]) -> dict[str, Any]:
    return told(Pretended(**answers), measures or [measure()], SPAN)


def test_a_period_is_so_many_steps_and_queries_say_them() -> None:
    assert (SPAN.start, SPAN.step, SPAN.points) == (END - 3600, 30, 121)
    assert Span.of("30d", END).points == 121
    assert SPAN.written("rate(x[$window])\n  / y[$period]") == "rate(x[60s]) / y[1h]"
    assert Span.of("7d", END).written("x[$window]") == "x[5040s]"


def test_numbers_are_those_of_the_points_that_there_are() -> None:
    (row,) = measured(cpu=[series("a", 10, None, 30, 20)])["measures"][0]["rows"]
    assert (row["name"], row["value"], row["min"], row["max"], row["last"], row["samples"]) == ("a", 20, 10, 30, 20, 3)
    assert row["verdict"] == ""


@pytest.mark.parametrize(("show", "value"), [("mean", 20), ("max", 30), ("min", 10), ("last", 20)])
def test_a_measure_says_which_number_stands_for_it(show: str, value: float) -> None:
    assert measured(measure(show=show), cpu=[series("a", 10, 30, 20)])["measures"][0]["rows"][0]["value"] == value


def test_a_total_is_asked_and_not_worked_out_from_points() -> None:
    asked = measure(total="whole[$period]", limit="< 15")
    found = measured(asked, cpu=[series("a", 10), series("b", 10)], whole=[series("a", 12.5)])["measures"][0]
    assert [(row["name"], row["value"], row["verdict"]) for row in found["rows"]] == [
        ("a", 12.5, "pass"),
        ("b", None, ""),
    ]
    assert (found["total"], found["query"]) == ("whole[1h]", "cpu[60s]")


def test_a_measure_of_whose_totals_none_is_a_number_has_no_total() -> None:
    """The mean of its points is another number, and is not judged in its place."""
    found = measured(measure(total="whole[$period]", limit="< 15"), cpu=[series("a", 10)], whole=[series("a", None)])
    assert [(row["value"], row["verdict"]) for row in found["measures"][0]["rows"]] == [(None, "")]


def test_what_is_beyond_its_limit_fails_and_what_has_no_data_is_neither() -> None:
    rows = measured(measure(limit="< 15"), cpu=[series("a", 10), series("b", 20), series("c")])["measures"][0]["rows"]
    assert [(row["name"], row["verdict"]) for row in rows] == [("a", "pass"), ("b", "fail")]
    assert measured(measure(limit="< 15"))["measures"][0]["rows"] == []


def test_alerts_are_counted_in_goes_and_the_dead_mans_is_none() -> None:
    fired = measured(max_over_time=[series("a", 1, 1, None, None, 1, alertname="Full", severity="critical")])["alerts"]
    (one,) = fired["fired"]
    assert (one["alert"], one["subject"], one["times"], one["seconds"]) == ("Full", "a", 2, 90)
    assert 'alertname!~"Watchdog|ChannelTest"' in fired["query"]


def test_measures_that_say_too_little_or_too_much_are_refused() -> None:
    assert read_measures("x", [CPU]) == [CPU | {"role": "x"}]
    wrong: list[tuple[Any, str]] = [
        ("x", "are no list"),
        ([{"id": "cpu"}], "needs id, section, title, unit, query"),
        ([CPU | {"colour": "red"}], "cpu has no colour; it may have by, show"),
        ([CPU | {"section": "misc"}], "has section misc"),
        ([CPU | {"title": {"ko": "x"}}], "en is needed"),
        ([CPU | {"limit": "many"}], "measures of role x: cpu: "),
    ]
    for data, said in wrong:
        with pytest.raises(CardError, match=said):
            read_measures("x", data)


def test_an_inventory_limits_measures_by_their_ids() -> None:
    assert [one.limit for one in limited([CPU | {"limit": "< 80"}], {"cpu": "< 70"})] == ["< 70"]
    with pytest.raises(CardError, match="there is no measure cup to limit; there are cpu"):
        limited([CPU], {"cup": "< 70"})


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/meta/measures.yml")), ids=lambda path: path.parents[1].name)
def test_every_role_says_its_measures_in_both_languages(path: Path) -> None:
    for one in read_measures(path.parents[1].name, yaml.safe_load(path.read_text())):
        assert set(one["title"]) == {"en", "ko"}


def test_an_unreachable_prometheus_is_named() -> None:
    with pytest.raises(HistoryError, match=r"does not answer at http://127\.0\.0\.1:1/api/v1/query"):
        Prometheus("http://127.0.0.1:1").once("up", END)


# The page


def record(**different: Any) -> dict[str, Any]:
    one = {"id": "data.backup.full", "subject": "db1", "claim": "A <full> backup", "verdict": "pass", "measured": 12.0}
    return {**one, "unit": "s", "run": "r1", "at": "2027-01-15T07:30:00.000Z", **different}


def page(
    language: str = "en", records: list[dict[str, Any]] | None = None, costs: Any = None, **answers: list[Series]
) -> str:
    disk = measure(id="disk", section="capacity", title={"en": "Disk <x>"}, query="disk", runs_out="left", limit="< 80")
    answers = {"max(": [series("", *[1.0] * 121)]} | answers
    history = told(Pretended(**answers), [measure(), disk], SPAN)
    return FILTERS["period_report"](FILTERS["period_data"](history, {"records": records or []}, costs), ABOUT, language)


FULL: dict[str, list[Series]] = {
    "cpu": [series("a", *[math.sin(number / 9) * 20 + 40 for number in range(121)]), series("b<script>", 5, None, 7)],
    "disk": [series("a", *[70 + number / 5 for number in range(121)])],
    "left": [({"host": "a"}, [(END, 86400.0 * 20)])],
    "max_over_time": [series("a", 1, 1, alertname="Full", severity="critical")],
}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_is_whole_needs_nothing_else_and_escapes_everything(language: str) -> None:
    text = page(language, [record()], **FULL)
    read = Reader(text)
    assert read.open == [] and len(read.ids) == len(set(read.ids))
    assert "script" not in read.tags and all(link[1:] in read.ids for link in read.links)
    assert "<b>" not in text.split("<title>")[1].split("</title>")[0] and "b&lt;script&gt;" in text
    assert "shop &lt;b&gt;" in text and "A &lt;full&gt; backup" in text
    assert f'<html lang="{language}">' in text


def test_the_page_tells_numbers_their_query_and_samples_and_when_it_runs_out() -> None:
    text = page("en", [record()], **FULL)
    assert "<code>cpu[60s]</code>" in text and "121/121" in text and "2/121" in text
    assert "2027-02-04 (in 20 days)" in text
    assert '<td class="n beyond">82 %<small>beyond</small></td>' in text
    assert "every 30s" in text


def test_what_was_not_measured_is_told_as_such_and_not_as_zero() -> None:
    empty = page("en", **{"max(": []})
    assert empty.count("not measured") >= 5 and "None fired" not in empty
    assert "None fired" in page("en")


@pytest.mark.parametrize(
    ("value", "said"), [(99.9996, "99.999 %"), (99.95, "99.95 %"), (100.0, "100 %"), (0.0412, "0.0412 %")]
)
def test_almost_always_is_not_always(value: float, said: str) -> None:
    assert number(value, "%") == said


def test_costs_are_the_inventorys_prices_and_hosts_without_one_are_named() -> None:
    prices = {"app1": 42.5, "app2": "42.50", "db1": 0, "new<1>": ""}
    found = FILTERS["period_costs"](prices, {"Object store": 0.1}, "USD")
    assert (found["month"], found["without"]) == (85.1, ["new<1>"])
    assert [(row["name"], row["count"], row["month"]) for row in found["rows"]] == [
        ("app1, app2", 2, 85.0),
        ("Object store", 1, 0.1),
        ("db1", 1, 0.0),
    ]
    for language, said in (("en", "hosts without a price: 1"), ("ko", "단가 없는 호스트: 1")):
        text = page(language, costs=found)
        assert "85.10 USD" in text and said in text and "new&lt;1&gt;" in text and Reader(text).open == []


def test_without_prices_nothing_is_told_of_costs() -> None:
    assert FILTERS["period_costs"]({"app1": ""}, {}) is None
    assert "Cost a month" not in page()


@pytest.mark.parametrize("price", ["much", -1, "nan", float("inf"), True, [1]])
def test_a_price_that_is_none_is_refused(price: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"the price of (app1|Object store) is .*, not a number of money"):
        FILTERS["period_costs"]({}, {"Object store": price})
    with pytest.raises(AnsibleFilterError, match="the price of app1"):
        FILTERS["period_costs"]({"app1": price}, {})


def test_records_of_other_times_and_kinds_are_left_out() -> None:
    records = [record(), record(at="2027-01-15T05:00:00.000Z"), record(id="infrastructure.disk.used")]
    told_of = FILTERS["period_data"](measured(), {"records": records, "history": [record()]})["evidence"]
    assert [len(told_of[kind]) for kind in ("releases", "backups")] == [0, 1]


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    def shape(value: Any, path: str = "") -> dict[str, set[str | None]]:
        if isinstance(value, dict):
            return {name: found for key, one in value.items() for name, found in shape(one, f"{path}.{key}").items()}
        return {path: {field for _, field, _, _ in string.Formatter().parse(value)} - {None}}

    assert shape(strings()["en"]) == shape(strings()["ko"])


def test_a_gap_is_a_gap_and_a_point_alone_can_be_seen() -> None:
    found = measured(cpu=[series("a", 1, 2, None, 3)])
    drawn = str(chart.chart(found["measures"][0], found, None, "x"))
    lines = re.findall(r'<polyline class="ch-line ch-0" points="([^"]*)"', drawn)
    assert [len(line.split()) for line in lines] == [2, 2]
    assert chart.chart(measured()["measures"][0], found, None, "x") == ""


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 0.03, [0, 0.01, 0.02, 0.03]),
        (-5, 5, [-6, -4, -2, 0, 2, 4, 6]),
    ],
)
def test_an_axis_has_round_marks_around_everything(low: float, high: float, marks: list[float]) -> None:
    assert chart.scale(low, high) == pytest.approx(marks)


def test_of_many_series_the_worst_are_drawn() -> None:
    many = [series(f"h{number}", float(number)) for number in range(9)]
    high = measured(cpu=many)["measures"][0]
    assert [row["name"] for row in chart.drawn(high, None)] == ["h5", "h6", "h7", "h8"]
    low = measured(measure(limit=">= 99"), cpu=many)["measures"][0]
    assert [row["name"] for row in chart.drawn(low, 99.0)] == ["h0", "h1", "h2", "h3"]
