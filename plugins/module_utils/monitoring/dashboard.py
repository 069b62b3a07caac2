# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The measures of the roles' cards as dashboards, in version 1 of Grafana's schema. No Grafana is among our tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import SECTIONS, Measure

SCHEMA = 39
WIDTH, HEIGHT, COLUMNS = 12, 8, 24  # of a panel, and of the grid
UNITS = {"%": "percent", "ms": "ms", "s": "s", "By": "bytes", "1/s": "reqps"}
SOURCE = {"type": "prometheus", "uid": "${source}"}
ALERTS = 'ALERTS{alertstate="firing"}'
RELEASES = "max by (service, version) (slipway_release_live_timestamp_seconds) * 1000"


@dataclass(frozen=True)
class Dashboard:
    """``name`` is its file's and its identity in Grafana."""

    name: str
    title: str
    measures: Sequence[Measure]

    def as_dict(self) -> dict[str, Any]:
        panels = [_panel(measure, number) for number, measure in enumerate(self.measures)]
        return {
            "uid": f"slipway-{self.name}",
            "title": f"Slipway: {self.title}",
            "tags": ["slipway"],
            "schemaVersion": SCHEMA,
            "editable": False,
            "refresh": "1m",
            "time": {"from": "now-24h", "to": "now"},
            "timezone": "utc",
            "templating": {
                "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
            },
            "annotations": {"list": [_alerts(), _releases()]},
            "panels": panels,
        }


def dashboards(measures: Sequence[Measure]) -> list[Dashboard]:
    """One for each section that has measures."""
    by_section = {name: [one for one in measures if one.section == name] for name in SECTIONS}
    return [Dashboard(name, name.capitalize(), found) for name, found in by_section.items() if found]


def _panel(measure: Measure, number: int) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": measure.title["en"],
        "datasource": SOURCE,
        "gridPos": {
            "h": HEIGHT,
            "w": WIDTH,
            "x": number % (COLUMNS // WIDTH) * WIDTH,
            "y": number // (COLUMNS // WIDTH) * HEIGHT,
        },
        "targets": [
            {
                "refId": "A",
                "datasource": SOURCE,
                "expr": _expression(measure.query),
                "legendFormat": " ".join(f"{{{{{label}}}}}" for label in measure.by),
            }
        ],
        "fieldConfig": {
            "defaults": {"unit": UNITS.get(measure.unit, "short"), **_thresholds(measure)},
            "overrides": [],
        },
    }


def _expression(query: str) -> str:
    """Grafana knows the window that its points need."""
    return re.sub(r"\s+", " ", query).replace("$window", "$__rate_interval").replace("$period", "$__range")


def _thresholds(measure: Measure) -> Mapping[str, Any]:
    if not measure.limit:
        return {}
    limit = parse_limit(measure.limit)
    colours = ("red", "green") if limit.operator.startswith(">") else ("green", "red")
    steps = [{"color": colours[0], "value": None}, {"color": colours[1], "value": float(limit.value)}]
    style = {"custom": {"thresholdsStyle": {"mode": "line"}}}
    return {"thresholds": {"mode": "absolute", "steps": steps}, **style}


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": SOURCE,
        "expr": ALERTS,
        "titleFormat": "{{alertname}}",
        "textFormat": "{{host}}",
    }


def _releases() -> dict[str, Any]:
    return {
        "name": "Releases",
        "enable": True,
        "iconColor": "blue",
        "datasource": SOURCE,
        "expr": RELEASES,
        "useValueForTime": True,  # in milliseconds
        "titleFormat": "{{service}} {{version}}",
    }
