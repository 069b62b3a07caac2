# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What evidence says; a line of which nothing was measured says that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import age
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.inventory import table
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import Block, Line, Paragraph, code, plain
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import Record, System
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.data import ENGINES, KINDS, Stored
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.releases import RELEASES, released
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.report import moment
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import bound, brief, quantity

SHOWN = 20
# By engine the variable with the limits of its drills.
LIMITS = {
    "postgresql": "drill_limits",
    "mongodb": "mongodump_limits",
    "redis": "redis_limits",
    "files": "restic_limits",
}
TARGETS = (95, 98, 99)  # percent of releases that succeed: at first, later, in the end
SHARES = (30, 90, 365)  # days


def missing(texts: Texts) -> Line:
    return plain(texts.words["states"]["missing"], state="missing")


def recovery(system: System, texts: Texts, subject: str) -> list[Block]:
    """RTO and RPO of each store that the inventory has, as drills measured them; one without a drill has a row, too."""
    known = system.stored
    rows = [_recovery(system, texts, one) for one in known]
    without = [engine for engine in system.engines if engine not in {one.engine for one in known}]
    rows += [_never(system, texts, engine) for engine in without]
    return table(texts, ["store", "rto", "rto_limit", "rpo", "rpo_limit", "drill"], rows)


def _never(system: System, texts: Texts, engine: str) -> list[Line]:
    """A store that no drill has restored: what is wanted of it is known, nothing else."""
    wanted: Mapping[str, Any] = next(
        filter(None, (host.values.get(LIMITS.get(engine, "")) for host in system.hosts.values())), {}
    )
    rto, rpo = (plain(wanted.get(name) or "—") for name in ("rto", "rpo"))
    return [plain(ENGINES.get(engine, engine)), missing(texts), rto, missing(texts), rpo, missing(texts)]


def _recovery(system: System, texts: Texts, one: Stored) -> list[Line]:
    drilled = one.drill.get("result")
    when = (
        plain(f"{moment(drilled['at'])} ({texts.words.ago(age(drilled, system.at))})", state=_state(drilled))
        if drilled
        else missing(texts)
    )
    spans = [line for name in ("rto", "rpo") for line in (_seconds(texts, one.seconds(name)), _limit(one.limit(name)))]
    return [plain(f"{one.name} ({ENGINES.get(one.engine, one.engine)})" if one.engine else one.name), *spans, when]


def _seconds(texts: Texts, seconds: float | None) -> Line:
    return missing(texts) if seconds is None else plain(brief(seconds))


def _limit(seconds: float | None) -> Line:
    return plain("—" if seconds is None else brief(seconds))


def backups(system: System, texts: Texts, subject: str) -> list[Block]:
    """The newest backup of each kind."""
    rows = []
    for one in system.stored:
        for kind in KINDS:
            last = one.last(kind)
            when = (
                plain(f"{moment(last['at'])} ({texts.words.ago(age(last, system.at))})", state=_state(last))
                if last
                else missing(texts)
            )
            rows.append([plain(one.name), plain(texts.words["store"][kind]), when])
    known = {one.engine for one in system.stored}
    rows += [[plain(ENGINES.get(one, one)), plain("—"), missing(texts)] for one in system.engines if one not in known]
    return table(texts, ["store", "kind", "last"], rows)


def _released(system: System, subject: str) -> list[Record]:
    """Releases and rollbacks, of a service or of all, the newest first."""
    made = reversed(released([*system.history, *system.records]))
    return [one for one in made if subject in ("", one["subject"])]


def releases(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [
            plain(moment(one["at"])),
            plain(one["subject"]),
            plain(texts["release_kinds"][one["id"].split(".")[1]]),
            plain(one["measured"] if one["measured"] is not None else "—"),
            plain(_verdict(texts, one) + (f": {one['reason']}" if one["reason"] else ""), state=_state(one)),
        ]
        for one in _released(system, subject)[:SHOWN]
    ]
    return table(texts, ["when", "service", "kind", "version", "result"], rows)


def release_share(system: System, texts: Texts, subject: str) -> list[Block]:
    """The share of releases that went live and stayed it, against what is wanted at first, later, and in the end."""
    rows = []
    for days, wanted in zip(SHARES, TARGETS, strict=True):
        made = [
            one
            for one in _released(system, "")
            if one["id"] == RELEASES[0] and one["verdict"] != "skip" and age(one, system.at) <= days * 86400
        ]
        good = sum(one["verdict"] in ("pass", "warn") for one in made)
        share = missing(texts)
        if made:
            percent = good * 100 // len(made)
            share = plain(
                texts("share", percent=percent, good=good, made=len(made)),
                state="pass" if percent >= wanted else "fail",
            )
        rows.append([plain(texts("days", days=days)), share, plain(f"≥ {wanted} %")])
    return table(texts, ["period", "value", "limit"], rows)


def areas(system: System, texts: Texts, subject: str) -> list[Block]:
    """What is proven of each area and tier, in percent."""
    words = texts.words
    named = [(words["areas"][name], score) for name, score in system.assessment["areas"].items()]
    named += [(words["tiers"][name], score) for name, score in system.assessment["tiers"].items()]
    named.append((words["overall"], system.assessment["overall"]))
    rows = [
        [
            plain(name),
            plain("—" if score["percent"] is None else f"{score['percent']} %"),
            plain(words("proven_of", n=score["proven"], of=score["applicable"])),
        ]
        for name, score in named
    ]
    return table(texts, ["area", "percent", "value"], rows)


def risks(system: System, texts: Texts, subject: str) -> list[Block]:
    """What is not proven: high when it must be, medium when it should, low when it may."""
    opened = [
        one for one in system.assessment["requirements"] if one["state"] not in ("pass", "warn", "not_applicable")
    ]
    rows = [
        [
            plain(texts["risk_levels"][str(one["tier"])]),
            plain(texts.words.title(one)),
            plain(texts.words["states"][one["state"]], state=one["state"]),
            plain("; ".join(texts.words.reason(reason) for reason in one["reasons"][:2]) or "—"),
        ]
        for one in sorted(opened, key=lambda one: (one["tier"], one["id"]))
    ]
    return table(texts, ["risk", "requirement", "state", "why"], rows)


def limits(system: System, texts: Texts, subject: str) -> list[Block]:
    """What was measured beside its limit: all that has one."""
    rows = [
        [
            plain(one["claim"] or one["id"]),
            plain(one["subject"]),
            _measured(one),
            plain(bound(one["limit"], one["unit"])),
        ]
        for one in system.records
        if one["limit"] and one["verdict"] != "skip"
    ]
    return table(texts, ["claim", "subject", "value", "limit"], rows)


def _measured(one: Record) -> Line:
    return plain(quantity(one["measured"], one["unit"]), state=_state(one))


def host_health(system: System, texts: Texts, subject: str) -> list[Block]:
    return _health(system, texts, (one for one in system.records if one["subject"].rpartition(" on ")[2] == subject))


def service_health(system: System, texts: Texts, subject: str) -> list[Block]:
    ours = (one for one in system.records if subject in (one["subject"], one["subject"].partition(" on ")[0]))
    return _health(system, texts, ours)


def _health(system: System, texts: Texts, records: Iterable[Record]) -> list[Block]:
    rows: list[Sequence[Line]] = [
        [
            plain(one["claim"] or one["id"]),
            code(one["id"]),
            plain(_verdict(texts, one) + (f": {one['reason']}" if one["reason"] else ""), state=_state(one)),
            plain(texts.words.ago(age(one, system.at))),
        ]
        for one in records
    ]
    return table(texts, ["claim", "evidence", "result", "last"], rows)


def _verdict(texts: Texts, one: Record) -> str:
    return str(texts.words["verdicts"].get(one["verdict"], one["verdict"]))


def _state(one: Record) -> str:
    return one["verdict"] if one["verdict"] in ("pass", "warn", "fail") else "unknown"


def damage(system: System, texts: Texts) -> list[Block]:
    """That lines of the store could not be read."""
    return (
        [Paragraph(plain(texts("damaged", count=system.damaged, store=system.store), state="warn"))]
        if system.damaged
        else []
    )
