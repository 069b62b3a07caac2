# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report of a period: one HTML page that needs nothing else, from Prometheus' answers and the evidence."""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.limit import parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import parse_time
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import SECTIONS
from ansible_collections.slipway.ops.plugins.plugin_utils.period import chart
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, brief, quantity
from markupsafe import Markup

HERE = Path(__file__).parent
READINESS = HERE.with_name("readiness")  # both reports look alike
IN_SIGHT = 10 * 365 * 86400.0  # seconds; a trend says nothing beyond
KINDS = {"releases": ("delivery.",), "backups": ("data.backup.", "data.drill.")}

Measure = Mapping[str, Any]


@functools.cache
def strings() -> dict[str, dict[str, Any]]:
    """All texts, by language."""
    return yaml.safe_load((HERE / "strings.yml").read_text(encoding="utf-8"))


def data(
    history: Mapping[str, Any], evidence: Mapping[str, Any], costs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All that the page tells, as it goes into the data file."""
    recorded = {name: _recorded(history, evidence, ids) for name, ids in KINDS.items()}
    return {**history, "evidence": recorded, "costs": costs}


def render(told: Mapping[str, Any], about: Mapping[str, str], language: str) -> str:
    """The page. ``about`` has ``system``, ``command``, ``data_file`` and ``store``, shown as they are."""
    if language not in strings():
        raise ValueError(f"the report has no language {language!r}; it has {', '.join(strings())}")
    # Everything is escaped unless it is Markup, and only chart.py and the style sheets make that.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=moment, number=number, brief=brief)
    css = [READINESS / "report.css", HERE / "page.css"]
    return environment.get_template("page.html.j2").render(
        told=told,
        about=about,
        page=Page(told, strings()[language], language),
        t=strings()[language],
        language=language,
        chart=chart,
        style=Markup("\n".join(path.read_text(encoding="utf-8") for path in css)),  # noqa: S704 (our own files)
    )


class Page:
    """What is told, as the template goes through it."""

    RECORDS = 40  # of one kind that the page shows

    def __init__(self, told: Mapping[str, Any], texts: Mapping[str, Any], language: str) -> None:
        self.told, self.texts, self.language = told, texts, language
        known = told["measures"]
        by_section = [(name, [one for one in known if one["section"] == name]) for name in SECTIONS]
        self.sections = [(name, measures) for name, measures in by_section if measures]
        self.alerts = sorted(
            told["alerts"]["fired"], key=lambda one: (list(texts["severities"]).index(one["severity"]), one["alert"])
        )

    def title(self, measure: Measure) -> str:
        return str(measure["title"].get(self.language) or measure["title"]["en"])

    def limit(self, measure: Measure) -> float | None:
        return float(parse_limit(measure["limit"]).value) if measure["limit"] else None

    def bound(self, measure: Measure) -> str:
        return f"{measure['limit']} {measure['unit']}" if measure["limit"] else ""

    def worst(self, measure: Measure) -> Mapping[str, Any] | None:
        """The row that the measure's tile shows."""
        known = [row for row in measure["rows"] if row["value"] is not None]
        upward = not str(measure["limit"] or "").startswith(">")
        return max(known, key=lambda row: row["value"] if upward else -row["value"], default=None)

    def colour(self, measure: Measure, row: Mapping[str, Any]) -> int | None:
        """The number of the row's line, where it has one."""
        names = [one["name"] for one in chart.drawn(measure, self.limit(measure))]
        return names.index(row["name"]) if row["name"] in names else None

    def runs_out(self, row: Mapping[str, Any]) -> str:
        left = row["runs_out"]
        if left is None or left > IN_SIGHT:
            return str(self.texts["never"])
        day = moment(self.told["to"] + left)[:10]
        return str(self.texts["runs_out"]).format(day=day, left=Words(self.language).span(left))

    def money(self, amount: float) -> str:
        return f"{amount:,.2f} {self.told['costs']['currency']}".strip()

    def text(self, key: str, **facts: Any) -> str:
        return str(self.texts[key]).format(**facts)

    @property
    def asked(self) -> str:
        facts = {"from": moment(self.told["from"]), "to": moment(self.told["to"]), "step": brief(self.told["step"])}
        return self.text("asked", **facts)


def number(value: Any, unit: str) -> str:
    """As ``quantity``, but nothing short of 100 % is told as 100 %."""
    if unit == "%" and isinstance(value, float) and 99 < value < 100:
        return f"{math.floor(value * 1000) / 1000:g} %"
    return quantity(value, unit)


def moment(at: float | str) -> str:
    """A time as people read it, to the second."""
    when = parse_time(at) if isinstance(at, str) else datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _recorded(history: Mapping[str, Any], evidence: Mapping[str, Any], ids: Sequence[str]) -> list[Mapping[str, Any]]:
    """Records of the period, the newest first."""
    records = {
        (one["id"], one["subject"], one["at"]): one
        for one in [*(evidence.get("history") or []), *(evidence.get("records") or [])]
        if one["id"].startswith(tuple(ids)) and history["from"] <= parse_time(one["at"]).timestamp() <= history["to"]
    }
    return sorted(records.values(), key=lambda one: one["at"], reverse=True)
