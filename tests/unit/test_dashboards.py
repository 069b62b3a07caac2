"""Dashboards from the measures of the cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.filter.grafana import FilterModule

ROOT = Path(__file__).resolve().parents[2]
FILTERS = FilterModule().filters()
CPU = {"id": "cpu", "section": "resources", "title": {"en": "CPU"}, "unit": "%", "query": "a[$window]\n / b[$period]"}


def made(*measures: dict[str, Any], **limits: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: json.loads(one["content"]) for one in FILTERS["grafana_dashboards"](list(measures), limits)}


def test_a_section_with_measures_is_a_dashboard() -> None:
    found = made(CPU, CPU | {"id": "memory"}, CPU | {"id": "errors", "section": "errors"})
    assert {name: len(one["panels"]) for name, one in found.items()} == {"errors": 1, "resources": 2}
    assert [panel["gridPos"]["x"] for panel in found["resources"]["panels"]] == [0, 12]


def test_a_panel_asks_with_grafanas_own_windows() -> None:
    (panel,) = made(CPU | {"by": ["host", "mountpoint"]})["resources"]["panels"]
    (target,) = panel["targets"]
    assert target["expr"] == "a[$__rate_interval] / b[$__range]"
    assert target["legendFormat"] == "{{host}} {{mountpoint}}"
    assert panel["fieldConfig"]["defaults"] == {"unit": "percent"}


def test_a_limit_is_a_line_and_bad_is_red_on_either_side() -> None:
    def steps(limit: str) -> list[dict[str, Any]]:
        (panel,) = made(CPU, cpu=limit)["resources"]["panels"]
        return panel["fieldConfig"]["defaults"]["thresholds"]["steps"]

    assert steps("< 80") == [{"color": "green", "value": None}, {"color": "red", "value": 80.0}]
    assert steps(">= 99.9") == [{"color": "red", "value": None}, {"color": "green", "value": 99.9}]


def test_alerts_and_releases_are_drawn_on_each() -> None:
    alerts, releases = made(CPU)["resources"]["annotations"]["list"]
    assert alerts["expr"] == 'ALERTS{alertstate="firing"}'
    assert releases["useValueForTime"] and "slipway_release_live_timestamp_seconds" in releases["expr"]


def test_every_measure_of_every_role_has_its_panel_once() -> None:
    known = [one for path in ROOT.glob("roles/*/meta/measures.yml") for one in yaml.safe_load(path.read_text())]
    titles = [panel["title"] for one in made(*known).values() for panel in one["panels"]]
    assert sorted(titles) == sorted(one["title"]["en"] for one in known) and len(set(titles)) == len(titles)
    assert len({one["id"] for one in known}) == len(known)


def test_a_panel_without_data_is_named_unless_it_may_be_empty() -> None:
    measure = {"id": "cpu", "title": {"en": "CPU"}, "query": "cpux", "rows": [], "may_be_empty": False}
    assert FILTERS["empty_panels"](
        {"measures": [measure, measure | {"may_be_empty": True}, measure | {"rows": [1]}]}
    ) == ["CPU (cpu): Prometheus has no data for cpux"]
