# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The readiness report: one HTML page that needs nothing else, from an assessment and the evidence behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.slipway.ops.plugins.module_utils.core.limit import LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, convert
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import FIELDS, parse_time
from ansible_collections.slipway.ops.plugins.module_utils.readiness.verdict import SATISFIED, STATES
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness import data, pictures
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.attacks import attacks
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.attacks import records as attack_records
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.timelines import timelines
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, bound, quantity
from markupsafe import Markup

HERE = Path(__file__).parent
TREND_POINTS = 40

Record = Mapping[str, Any]


def render(assessment: Mapping[str, Any], evidence: Mapping[str, Any], words: Words, about: Mapping[str, Any]) -> str:
    """The page.

    ``evidence`` is what ``slipway.ops.evidence_info`` returned with history and artifacts; ``about`` has ``system``,
    ``command`` and ``data_file``, shown as they are.
    """
    # Everything is escaped unless it is Markup, and only pictures.py and the style sheet make that.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=moment, quantity=quantity, bound=bound, span=words.span, ago=words.ago, pretty=_pretty, told=words.reason
    )
    page = Page(assessment, evidence, words)
    return environment.get_template("report.html.j2").render(
        assessment=assessment,
        page=page,
        t=words,
        about=about,
        data=data,
        pictures=pictures,
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        store=evidence.get("store", ""),
        damaged=len(evidence.get("damaged", [])),
    )


class Page:
    """The assessment as the template goes through it."""

    def __init__(self, assessment: Mapping[str, Any], evidence: Mapping[str, Any], words: Words) -> None:
        self.words = words
        self.requirements = [_completed(one) for one in assessment["requirements"]]
        self.artifacts: Mapping[str, Any] = evidence.get("artifacts") or {}
        self.now = parse_time(assessment["at"])
        limits = {one["id"]: one["limit"] for one in self.requirements}
        known, past = evidence.get("records") or [], evidence.get("history") or []
        self.stored = data.stored(map(_whole, known), map(_whole, past), limits)
        attacked = attack_records(map(_whole, known))
        self.attacks = attacks(attacked, self.artifacts, words)
        self.records = _records(self.requirements, [*data.latest(self.stored), *attacked])
        self._history: dict[tuple[str, str], list[Record]] = {}
        for record in evidence.get("history") or []:
            self._history.setdefault((record["id"], record["subject"]), []).append(record)
        self._titles = {
            (finding["record"]["id"], finding["record"]["subject"]): words.title(one)
            for one in self.requirements
            for finding in one["evidence"]
            if finding["record"]
        }
        self.timelines = timelines(self.records, self.artifacts, words)
        self.areas = [(area, [one for one in self.requirements if one["area"] == area]) for area in assessment["areas"]]
        self.blocking = [one for one in self.requirements if one["blocking"]]
        self.waived = sum(one["tier"] == 1 and one["state"] == "waived" for one in self.requirements)
        self.policy_hash = fingerprint(self.requirements)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        must = sum(one["tier"] == 1 and one["state"] != "not_applicable" for one in self.requirements)
        if self.blocking:
            return self.words("no_go_sentence", n=len(self.blocking), of=must)
        return self.words("go_waived_sentence", n=self.waived) if self.waived else self.words["go_sentence"]

    def heading(self, record: Record) -> str:
        """What a record claims, behind its verdict where the claim does not hold.

        Claims are recorded in English; another language has the title of the requirement that the record counts for.
        """
        title = record["claim"]
        if self.words.language != "en":
            title = self._titles.get((record["id"], record["subject"]), title)
        denied = self.words["denied"].get(record["verdict"])
        return denied.format(claim=title) if denied else title

    def anchor(self, record: Record) -> str:
        """The fragment under which the report shows a record."""
        return "e-" + hashlib.sha256(f"{record['id']}\0{record['subject']}".encode()).hexdigest()[:10]

    def worst(self, requirement: Mapping[str, Any]) -> Mapping[str, Any]:
        """The finding that a requirement's line speaks of: that of its state, the oldest first."""
        alike = [one for one in requirement["evidence"] if one["state"] == requirement["state"]]
        measured = [one for one in alike if one["record"]] or alike or requirement["evidence"]
        nothing = {"subject": "", "state": requirement["state"], "reason": None, "age": None, "record": None}
        return max(measured, key=lambda one: one["age"] or 0, default=nothing)

    def trend(self, record: Record, own_limit: str | None) -> Markup:
        """A sparkline of what was measured lately, where that is numbers."""
        past = self._history.get((record["id"], record["subject"]), [])[-TREND_POINTS:]
        values = [one["measured"] for one in past if _is_number(one.get("measured"))]
        return pictures.sparkline(values, _threshold(record, own_limit), self.words["trend"])

    def order(self, requirements: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What needs attention first, then by tier."""
        return sorted(
            requirements, key=lambda one: (one["state"] in SATISFIED, one["tier"], STATES.index(one["state"]))
        )


def fingerprint(requirements: Sequence[Mapping[str, Any]]) -> str:
    """A short hash of the policy, without what it was found to be: the same policy has the same hash."""
    fields = ("id", "title", "area", "tier", "max_age", "limit", "subjects", "count")
    policy = [{name: requirement[name] for name in fields} for requirement in requirements]
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()[:12]


def moment(text: str) -> str:
    """An RFC 3339 time as people read it, to the second: ``2026-11-21 11:40:00 UTC``."""
    return parse_time(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def _completed(requirement: Mapping[str, Any]) -> dict[str, Any]:
    """A requirement whose records have every field, also those that were not written by the evidence module."""
    findings = [
        {**finding, "record": finding["record"] and _whole(finding["record"])} for finding in requirement["evidence"]
    ]
    return {**requirement, "evidence": findings}


def _whole(record: Record) -> dict[str, Any]:
    return {**dict.fromkeys(FIELDS), "took": 0.0, "claim": "—", "artifacts": [], "sha256": {}, **record}


def _records(requirements: Sequence[Mapping[str, Any]], others: Sequence[Record]) -> list[Record]:
    """Every record that the report speaks of, once: those of the requirements in their order, then the others."""
    spoken = [finding["record"] for one in requirements for finding in one["evidence"] if finding["record"]]
    found: dict[tuple[str, str], Record] = {}
    for record in [*spoken, *others]:
        found.setdefault((record["id"], record["subject"]), record)
    return list(found.values())


def _threshold(record: Record, own_limit: str | None) -> float | None:
    """The limit as a number in the record's unit: the policy's own, else the check's."""
    text = own_limit or record.get("limit")
    if not text:
        return None
    try:
        limit = parse_limit(text)
        if not _is_number(limit.value):
            return None
        return convert(float(limit.value), limit.unit, record.get("unit") or "") if limit.unit else float(limit.value)
    except (LimitError, UnitError):
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
