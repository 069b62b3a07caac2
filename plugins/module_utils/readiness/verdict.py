# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Readiness: a policy and the evidence there is make a verdict, GO or NO-GO, with a reason for every line.

Only fresh evidence counts. What was not measured is not a pass, and neither is what a tool skipped: a ``skip`` takes
its subject out, and a requirement with no subject left is unmeasured. The percentages count what is proven: a waiver
lets a release go, it proves nothing. Reasons are codes with facts here; who shows them has the words.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS, VERDICTS, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import age
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import CLOCK_SKEW, EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import newest
from ansible_collections.slipway.ops.plugins.module_utils.readiness.policy import (
    TIERS,
    Requirement,
    Waiver,
    load_policy,
)

# From what stops a release to what does not; a requirement is as good as its worst subject.
STATES = ("fail", "unknown", "missing", "stale", "waived", "warn", "pass", "not_applicable")
PROVEN = ("pass", "warn")
SATISFIED = (*PROVEN, "waived", "not_applicable")

KEY_FIELDS = ("id", "subject", "at")

Record = Mapping[str, Any]


@dataclass
class Reason:
    """Why a finding is not a plain pass: a code, and the facts that its sentence needs."""

    code: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Finding:
    """What one subject's newest evidence says about a requirement. ``age`` is seconds since it was measured."""

    subject: str
    state: str
    reason: Reason | None = None
    record: Record | None = None
    age: float | None = None


@dataclass
class Judgement:
    """A requirement, its state, and the findings that make it."""

    requirement: Requirement
    state: str
    reasons: list[tuple[str, Reason]]
    findings: list[Finding] = field(default_factory=list)

    @property
    def blocking(self) -> bool:
        """Whether this alone makes the verdict NO-GO."""
        return self.requirement.tier == 1 and self.state not in SATISFIED


def assess(
    policy: Sequence[Mapping[str, Any]],
    records: Iterable[Record],
    waivers: Sequence[Mapping[str, Any]] = (),
    now: datetime.datetime | None = None,
) -> dict[str, Any]:
    """The verdict as plain data; the filter's documentation describes it. Raises PolicyError for a faulty policy."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    requirements = load_policy(policy, waivers)
    assigned = _assigned(requirements, newest(_checked(records)).values())
    judgements = [judge(one, assigned[one.id], now) for one in requirements]
    blocking = [judgement.requirement.id for judgement in judgements if judgement.blocking]
    return {
        "verdict": "NO-GO" if blocking else "GO",
        "at": timestamp(now),
        "blocking": blocking,
        "overall": _score(judgements),
        "tiers": {str(tier): _score(one for one in judgements if one.requirement.tier == tier) for tier in TIERS},
        "areas": {
            area: _score(one for one in judgements if one.requirement.area == area)
            for area in AREAS
            if any(one.requirement.area == area for one in judgements)
        },
        "requirements": [_described(judgement) for judgement in judgements],
        "waivers": [_waiver_described(waiver, now) for one in judgements for waiver in one.requirement.waivers],
    }


def _checked(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records, start=1):
        if not (isinstance(record, Mapping) and all(isinstance(record.get(name), str) for name in KEY_FIELDS)):
            raise EvidenceError(f"record {number} is no evidence: it has no {', '.join(KEY_FIELDS)}")
        yield dict(record)


def _assigned(requirements: Sequence[Requirement], records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records by requirement. Each belongs to the most specific one: ``security.*`` leaves what others name."""
    by_specificity = sorted(requirements, key=lambda one: one.specificity, reverse=True)
    assigned: dict[str, list[Record]] = {requirement.id: [] for requirement in requirements}
    for record in records:
        owner = next((one for one in by_specificity if one.claims(record["id"], record["subject"])), None)
        if owner:
            assigned[owner.id].append(record)
    return assigned


def judge(requirement: Requirement, records: Sequence[Record], now: datetime.datetime) -> Judgement:
    """What its newest records say about one requirement."""
    if requirement.not_applicable:
        return Judgement(requirement, "not_applicable", [("", Reason("told", {"text": requirement.not_applicable}))])
    findings = _findings(requirement, records, now)
    for finding in findings:
        _waive(requirement, finding, now)
    findings.sort(key=lambda finding: (STATES.index(finding.state), finding.subject))
    counted = [finding for finding in findings if finding.state != "not_applicable"]
    state = _best(requirement, counted) if requirement.subjects == "any" else counted[0].state
    reasons = [(_named(requirement, one), one.reason) for one in counted if one.state == state and one.reason]
    return Judgement(requirement, state, reasons, findings)


def _named(requirement: Requirement, finding: Finding) -> str:
    """Whom a reason speaks of: the subject, and which evidence where the requirement is a pattern."""
    id = finding.record["id"] if finding.record else requirement.id
    return finding.subject if id == requirement.id else f"{finding.subject}, {id}"


def _findings(requirement: Requirement, records: Sequence[Record], now: datetime.datetime) -> list[Finding]:
    findings = [_finding(requirement, record, now) for record in records]
    measured = {finding.subject for finding in findings if finding.state != "not_applicable"}
    if isinstance(requirement.subjects, list):
        seen = {finding.subject for finding in findings}
        absent = [subject for subject in requirement.subjects if subject not in seen]
        findings += [Finding(subject, "missing", Reason("missing")) for subject in absent]
        # Everything listed was skipped: then the requirement itself is unmeasured.
        lacking = 0 if measured or absent else 1
    else:
        lacking = requirement.count - len(measured)
    if lacking > 0:
        reason = Reason("skipped" if findings else "missing")
        if measured:
            reason = Reason("too_few", {"found": len(measured), "wanted": requirement.count})
        findings.append(Finding("", "missing", reason))
    return findings


def _finding(requirement: Requirement, record: Record, now: datetime.datetime) -> Finding:
    seconds = age(record, now)
    state, reason = _state(requirement, record, seconds)
    return Finding(record["subject"], state, reason, record, seconds if math.isfinite(seconds) else None)


def _state(requirement: Requirement, record: Record, seconds: float) -> tuple[str, Reason | None]:
    verdict = record.get("verdict")
    told = Reason("told", {"text": record["reason"]}) if record.get("reason") else None
    if verdict == "skip":
        return "not_applicable", told
    if verdict not in VERDICTS or verdict in ("unknown", "fail"):
        state = "fail" if verdict == "fail" else "unknown"
        return state, told or Reason("bare_verdict", {"verdict": str(verdict)})
    return _beyond_limit(requirement, record) or _out_of_time(requirement, record, seconds) or (verdict, told)


def _beyond_limit(requirement: Requirement, record: Record) -> tuple[str, Reason] | None:
    """What is wrong when the measured value is held against the policy's own limit."""
    if requirement.limit is None:
        return None
    measured, unit = record.get("measured"), record.get("unit") or ""
    facts = {"measured": measured, "unit": unit, "limit": str(requirement.limit)}
    if measured is None:
        return "unknown", Reason("no_number", facts)
    try:
        return None if requirement.limit.satisfied(measured, unit) else ("fail", Reason("beyond", facts))
    except UnitError:
        return "unknown", Reason("incomparable", facts)


def _out_of_time(requirement: Requirement, record: Record, seconds: float) -> tuple[str, Reason] | None:
    """What is wrong with when it was measured."""
    if not math.isfinite(seconds):
        return "unknown", Reason("no_time", {"at": record.get("at")})
    if seconds > requirement.max_age:
        return "stale", Reason("stale", {"age": seconds, "max_age": requirement.max_age})
    if seconds < -CLOCK_SKEW.total_seconds():
        return "unknown", Reason("future", {"at": record.get("at")})
    return None


def _waive(requirement: Requirement, finding: Finding, now: datetime.datetime) -> None:
    """Let the waiver that holds longest excuse a finding; an expired one makes it a failure."""
    if finding.state in SATISFIED:
        return
    covering = [waiver for waiver in requirement.waivers if waiver.covers(requirement.id, finding.subject)]
    for waiver in sorted(covering, key=lambda one: one.expires, reverse=True)[:1]:
        waiver.used = True
        holds = waiver.expires > now
        facts = {"owner": waiver.owner, "until": _day(waiver), "why": waiver.reason, "under": _reason(finding.reason)}
        finding.state = "waived" if holds else "fail"
        finding.reason = Reason("waived" if holds else "waiver_expired", facts)


def _best(requirement: Requirement, findings: Sequence[Finding]) -> str:
    """The state under `any`: enough subjects are good, whatever the others are."""
    for state in ("pass", "warn", "waived"):
        good = [finding for finding in findings if STATES.index(finding.state) >= STATES.index(state)]
        if len(good) >= requirement.count:
            return state
    return findings[0].state


def _score(judgements: Iterable[Judgement]) -> dict[str, Any]:
    """How many requirements there are per state, and the percentage that is proven of those that apply."""
    states = [judgement.state for judgement in judgements]
    counts = {state: states.count(state) for state in STATES}
    applicable = len(states) - counts["not_applicable"]
    proven = sum(counts[state] for state in PROVEN)
    # Rounded down: 100 % is said only of all.
    return {
        "total": len(states),
        "applicable": applicable,
        "proven": proven,
        "percent": 100 * proven // applicable if applicable else None,
        "states": counts,
    }


def _described(judgement: Judgement) -> dict[str, Any]:
    requirement = judgement.requirement
    return {
        "id": requirement.id,
        "title": requirement.title,
        "area": requirement.area,
        "tier": requirement.tier,
        "state": judgement.state,
        "blocking": judgement.blocking,
        "reasons": [{"subject": subject, **_reason(reason)} for subject, reason in judgement.reasons],
        "max_age": requirement.max_age,
        "limit": None if requirement.limit is None else str(requirement.limit),
        "subjects": requirement.subjects,
        "count": requirement.count,
        "evidence": [
            {
                "subject": finding.subject,
                "state": finding.state,
                "reason": finding.reason and _reason(finding.reason),
                "age": finding.age,
                "record": None if finding.record is None else dict(finding.record),
            }
            for finding in judgement.findings
        ],
    }


def _reason(reason: Reason | None) -> dict[str, Any]:
    return {} if reason is None else {"code": reason.code, "facts": reason.facts}


def _waiver_described(waiver: Waiver, now: datetime.datetime) -> dict[str, Any]:
    return {
        "id": waiver.id,
        "subject": waiver.subject,
        "owner": waiver.owner,
        "reason": waiver.reason,
        "expires": timestamp(waiver.expires),
        "until": _day(waiver),
        "expired": waiver.expires <= now,
        "used": waiver.used,
    }


def _day(waiver: Waiver) -> str:
    """The last day on which the waiver holds."""
    return (waiver.expires - datetime.timedelta(seconds=1)).strftime("%Y-%m-%d")
