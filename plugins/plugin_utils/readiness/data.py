# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report's section on data: what the evidence says of each thing that is backed up, of its backups and drills."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, convert
from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import age
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, brief, quantity

Record = Mapping[str, Any]
Limits = Mapping[str, "str | None"]  # the policy's own limits, by evidence id

KINDS = ("full", "incr", "verified")  # of data.backup
PARTS = ("fetch", "restore", "indexes", "start", "replay")  # of the RTO of any engine, in their order
EXTRAPOLATED = ("rto_at_size", "size_within")
ENGINES = {"postgresql": "PostgreSQL", "mongodb": "MongoDB", "redis": "Redis", "files": "Files"}
RUNS = 30
DRILL_FRESH = 8 * 86400.0  # seconds


@dataclass
class Stored:
    """One thing that is backed up, such as a stanza. Records are the newest ones by the last word of their ids;
    ``past`` are all that are known, by the same."""

    name: str
    engine: str = ""
    backup: dict[str, Record] = field(default_factory=dict)
    drill: dict[str, Record] = field(default_factory=dict)
    past: dict[str, list[Record]] = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        return [*self.backup.values(), *self.drill.values()]

    def seconds(self, name: str) -> float | None:
        """What a drill measured."""
        return _in(self.drill.get(name), "s")

    def limit(self, name: str) -> float | None:
        """The strictest limit there is, the check's or the policy's, in seconds."""
        record = self.drill.get(name) or {}
        known = [_limit(record.get("limit"), "s"), _limit(self.limits.get(str(record.get("id"))), "s")]
        return min((limit for limit in known if limit is not None), default=None)

    @property
    def parts(self) -> list[str]:
        """The parts of the RTO that the drill of the newest RTO measured."""
        at = (self.drill.get("rto") or {}).get("at")
        return [part for part in PARTS if self.seconds(part) is not None and self.drill[part]["at"] == at]

    @property
    def earlier(self) -> Record | None:
        """The newest RTO, when a later drill did not come so far."""
        rto, result = self.drill.get("rto"), self.drill.get("result")
        return rto if rto and result and rto["at"] < result["at"] else None

    @property
    def size_to_come(self) -> float | None:
        """Bytes at which the RTO was extrapolated."""
        return _limit((self.drill.get("size_within") or {}).get("limit"), "By")

    def last(self, kind: str) -> Record | None:
        """The newest backup of a kind that was not skipped."""
        made = [record for record in self.past.get(kind, []) if record["verdict"] != "skip"]
        newest = self.backup.get(kind)
        if newest and newest["verdict"] != "skip":
            made.append(newest)
        return max(made, key=lambda record: record["at"], default=None)

    def runs(self, kind: str) -> list[str]:
        """The verdicts of the last runs of a kind, the newest last."""
        past = self.past.get(kind) or [record for record in (self.backup.get(kind),) if record]
        return [record["verdict"] for record in sorted(past, key=lambda record: record["at"])[-RUNS:]]


def stored(records: Iterable[Record], history: Iterable[Record] = (), limits: Limits | None = None) -> list[Stored]:
    """What there is, by its name, from records that have every field. A health check speaks of a host, and a standby's
    skip of nothing; neither makes a thing that is backed up."""
    found: dict[str, Stored] = {}

    def of(record: Record) -> tuple[Stored, str, str] | None:
        words = str(record["id"]).split(".")
        if words[0] != "data" or len(words) < 3 or words[1] not in ("backup", "drill") or not _has_time(record):
            return None
        one = found.setdefault(record["subject"], Stored(record["subject"], limits=limits or {}))
        return one, words[1], words[-1]

    for record in records:
        place = of(record)
        if place:
            one, what, name = place
            (one.backup if what == "backup" else one.drill)[name] = record
            if what == "drill":
                one.engine = record["id"].split(".")[2]
    for record in history:
        place = of(record)
        if place:
            one, what, name = place
            one.past.setdefault(name if what == "backup" else f"drill.{name}", []).append(record)
    return sorted((one for one in found.values() if _is_one(one)), key=lambda one: one.name)


def _is_one(one: Stored) -> bool:
    told = [one.backup.get(kind) for kind in KINDS] + [one.drill.get("result")]
    return any(record and record["verdict"] != "skip" for record in told)


def bars(one: Stored, words: Words) -> list[dict[str, Any]]:
    """The bars of the picture of a recovery: RTO with its parts, RTO at the size to come, RPO; seconds. What the last
    drill did not come to is shown as an earlier one measured it."""
    names = words["store"]
    size = "" if one.size_to_come is None else quantity(round(one.size_to_come), "By")
    known = (
        ("rto", names["rto"], _spans(one, names)),
        ("rto_at_size", words("store_at", size=size), _span(one, "rto_at_size", names["extrapolated"], "guess")),
        ("rpo", names["rpo"], _span(one, "rpo", names["lost"], "loss")),
    )
    drawn = []
    for id, name, spans in known:
        if spans:
            limit = one.limit(id)
            limit_text = "" if limit is None else f"{words['limit']} {brief(limit)}"
            value = brief(spans[-1]["to"])
            drawn.append({"name": name, "spans": spans, "value": value, "limit": limit, "limit_text": limit_text})
    return drawn


def _span(one: Stored, name: str, label: str, kind: str) -> list[dict[str, Any]]:
    seconds = one.seconds(name)
    return [] if seconds is None else [{"from": 0.0, "to": seconds, "label": label, "kind": kind}]


def _spans(one: Stored, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The RTO in its parts, where they are those of the same drill."""
    spans: list[dict[str, Any]] = []
    at = 0.0
    for part in one.parts:
        took = one.seconds(part) or 0.0
        spans.append({"from": at, "to": at + took, "label": f"{names[part]} {brief(took)}", "kind": part})
        at += took
    return spans or _span(one, "rto", names["rto"], "restore")


def facts(one: Stored) -> list[dict[str, Any]]:
    """Numbers beside the picture: ``name`` is a key of the texts ``store``."""
    shown = []
    for part in one.parts:
        shown.append({"name": part, "value": brief(one.seconds(part) or 0), "kind": part})
    for name, record in (
        ("size", one.backup.get("size") or one.drill.get("size")),
        ("size_within", one.drill.get("size_within")),
    ):
        if record and _number(record) is not None:
            shown.append({"name": name, "value": quantity(record["measured"], record["unit"]), "kind": ""})
    return shown


def drills(one: Stored, now: datetime.datetime) -> list[dict[str, Any]]:
    """The drills that are known, the oldest first: seconds ago, the worst of what they measured, and a label."""
    made: dict[str, list[Record]] = {}
    past = [record for name, records in one.past.items() if name.startswith("drill.") for record in records]
    for record in (*past, *one.drill.values()):
        if record["id"].rpartition(".")[2] not in EXTRAPOLATED:
            made.setdefault(record["at"], []).append(record)
    told = []
    for at, records in sorted(made.items()):
        verdicts = {record["verdict"] for record in records}
        worst = next((verdict for verdict in ("fail", "unknown", "warn", "pass") if verdict in verdicts), None)
        rto = next((_in(record, "s") for record in records if record["id"].endswith(".rto")), None)
        if worst:
            label = f"{at[:10]}: {worst}" + ("" if rto is None else f", RTO {brief(rto)}")
            told.append({"ago": max(0.0, age(records[0], now)), "verdict": worst, "label": label})
    return told


def sentences(one: Stored, now: datetime.datetime, words: Words) -> list[str]:
    """For a terminal: what a restore takes and loses, and when that and the backups were last seen."""
    told: list[str] = []
    for bar in bars(one, words):
        most = f" ({bar['limit_text']})" if bar["limit_text"] and bar["limit_text"] not in "".join(told) else ""
        told.append(f"{bar['name']} {bar['value']}{most}")
    when = [
        words("store_when", what=words["store"][kind], ago=words.ago(age(record, now)))
        for kind, record in [("drill", one.drill.get("result")), *((kind, one.last(kind)) for kind in KINDS)]
        if record
    ]
    return [f"{one.name}: {', '.join(part)}" for part in (told, when) if part]


def _has_time(record: Record) -> bool:
    try:
        return bool(parse_time(record["at"]))
    except EvidenceError:
        return False


def _number(record: Record | None) -> float | None:
    value = record.get("measured") if record else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _in(record: Record | None, unit: str) -> float | None:
    """What was measured, in a unit."""
    value = _number(record)
    if record is None or value is None:
        return None
    try:
        return convert(value, record.get("unit") or unit, unit)
    except UnitError:
        return None


def _limit(text: Any, unit: str) -> float | None:
    """The number of a limit, in a unit; one without a unit is in it already."""
    try:
        limit = parse_limit(text)
        value = float(limit.value)
        return convert(value, limit.unit, unit) if limit.unit else value
    except (LimitError, UnitError, ValueError):
        return None


def latest(found: Sequence[Stored]) -> list[Record]:
    """Every record that the section speaks of."""
    return [record for one in found for record in one.records]
