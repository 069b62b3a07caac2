# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The readiness policy: what must be proven, how freshly, and what was waived by whom until when."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit, LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS, Area
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, duration
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time

TIERS = (1, 2, 3)
DEFAULTS: dict[str, Any] = {"tier": 1, "limit": None, "subjects": "all", "count": 1, "not_applicable": None}
FIELDS = ("id", "title", "area", "max_age", *DEFAULTS)
WAIVER_FIELDS = ("id", "subject", "owner", "reason", "expires")


class PolicyError(ValueError):
    """A policy that cannot be judged by; the message names every fault."""


@dataclass
class Waiver:
    """Someone's decision to go without a requirement, for one subject or (``*``) all, until it expires."""

    id: str
    owner: str
    reason: str
    expires: datetime.datetime
    subject: str = "*"
    used: bool = False

    def covers(self, requirement: str, subject: str) -> bool:
        """Whether it speaks of this requirement and subject; no evidence at all has none, which ``*`` alone covers."""
        return self.id == requirement and fnmatchcase(subject, self.subject)


@dataclass
class Requirement:
    """A line of the policy.

    ``id`` is an evidence id or a pattern of ids; ``max_age`` seconds; ``subjects`` ``all`` (every subject with evidence
    passes, and there are ``count`` of them), ``any`` (``count`` of them pass), or the subjects that must have evidence;
    ``limit`` one that the measured value must keep to beside the check's own.
    """

    id: str
    title: dict[str, str]
    area: Area
    tier: Literal[1, 2, 3]
    max_age: float
    limit: Limit | None = None
    subjects: Literal["all", "any"] | list[str] = "all"
    count: int = 1
    not_applicable: str | None = None
    waivers: list[Waiver] = field(default_factory=list)

    @property
    def specificity(self) -> tuple[bool, int]:
        """Sorts exact ids after patterns, and patterns by how much of them is not a wildcard."""
        return not set("*?[") & set(self.id), len(self.id.replace("*", "").replace("?", ""))

    def claims(self, id: str, subject: str) -> bool:
        """Whether evidence with this id and subject speaks of this requirement."""
        return fnmatchcase(id, self.id) and (isinstance(self.subjects, str) or subject in self.subjects)


def load_policy(entries: Sequence[Mapping[str, Any]], waivers: Sequence[Mapping[str, Any]] = ()) -> list[Requirement]:
    """The policy's requirements. Of entries with the same id the later changes fields of the earlier."""
    merged: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for number, entry in enumerate(entries, start=1):
        if not (isinstance(entry, Mapping) and isinstance(entry.get("id"), str) and entry["id"]):
            problems.append(f"entry {number}: needs an id, such as delivery.rollback.duration or infrastructure.*")
        else:
            merged.setdefault(entry["id"], {}).update(entry)
    requirements = [_collect(problems, entry["id"], _requirement, entry) for entry in merged.values()]
    decided = [_collect(problems, f"waiver {number}", _waiver, entry) for number, entry in enumerate(waivers, start=1)]
    for waiver in filter(None, decided):
        if waiver.id not in merged:
            problems.append(f"waiver of {waiver.id!r}: the policy has no requirement with this id")
    if not problems and not any(requirement.tier == 1 for requirement in requirements if requirement):
        problems.append("no requirement has tier 1: such a policy would say GO whatever happens")
    if problems:
        raise PolicyError("the readiness policy has faults: " + "; ".join(problems))
    for requirement in filter(None, requirements):
        requirement.waivers = [waiver for waiver in decided if waiver and waiver.id == requirement.id]
    return [requirement for requirement in requirements if requirement]


def _collect(problems: list[str], name: str, build: Any, entry: Any) -> Any:
    try:
        return build(entry)
    except (PolicyError, LimitError, UnitError, EvidenceError) as error:
        problems.append(f"{name}: {error}")
        return None


def _requirement(entry: Mapping[str, Any]) -> Requirement:
    _refuse_unknown(entry, FIELDS)
    full = {**DEFAULTS, **entry}
    if "max_age" not in full:
        raise PolicyError("needs max_age, how old its evidence may be, such as 30d")
    area = full.get("area") or full["id"].split(".")[0]
    if area not in AREAS:
        raise PolicyError(f"area {area!r} is not one of {', '.join(AREAS)}")
    if full["tier"] not in TIERS or isinstance(full["tier"], bool):
        raise PolicyError(f"tier {full['tier']!r} is not 1 (must), 2 (should) or 3 (may)")
    count = full["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise PolicyError(f"count {count!r} is not a number from 1 on")
    if full["not_applicable"] is not None:
        _text(full, "not_applicable", "says why it does not apply")
    return Requirement(
        id=full["id"],
        title=_title(full.get("title") or full["id"]),
        area=area,
        tier=full["tier"],
        max_age=duration(full["max_age"]),
        limit=None if full["limit"] is None else parse_limit(full["limit"]),
        subjects=_subjects(full["subjects"]),
        count=count,
        not_applicable=full["not_applicable"],
    )


def _waiver(entry: Mapping[str, Any]) -> Waiver:
    _refuse_unknown(entry, WAIVER_FIELDS)
    return Waiver(
        id=_text(entry, "id", "names the requirement"),
        owner=_text(entry, "owner", "says who answers for it"),
        reason=_text(entry, "reason", "says why"),
        expires=_expiry(_text(entry, "expires", "says until when, such as 2026-12-31")),
        subject=str(entry.get("subject", "*")),
    )


def _expiry(text: str) -> datetime.datetime:
    """A moment; a bare date holds to its end in UTC."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        return parse_time(text)
    return datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc) + datetime.timedelta(days=1)


def _title(title: Any) -> dict[str, str]:
    if isinstance(title, str):
        return {"en": title}
    if not (isinstance(title, Mapping) and title.get("en") and all(isinstance(text, str) for text in title.values())):
        raise PolicyError("title must be a text, or texts by language with at least `en`")
    return dict(title)


def _subjects(subjects: Any) -> Literal["all", "any"] | list[str]:
    if subjects in ("all", "any"):
        return subjects
    if isinstance(subjects, Iterable) and not isinstance(subjects, (str, Mapping)):
        listed = [str(subject) for subject in subjects]
        if listed:
            return listed
    raise PolicyError(f"subjects {subjects!r} is neither all, any nor a list of names")


def _text(entry: Mapping[str, Any], name: str, purpose: str) -> str:
    value = entry.get(name)
    if isinstance(value, (datetime.date, datetime.datetime)):
        value = value.isoformat()
    if not isinstance(value, str) or not value.strip():
        raise PolicyError(f"needs {name}, a text that {purpose}")
    return value


def _refuse_unknown(entry: Any, allowed: Sequence[str]) -> None:
    if not isinstance(entry, Mapping):
        raise PolicyError(f"{entry!r} is not a dictionary")
    unknown = [str(name) for name in entry if name not in allowed]
    if unknown:
        raise PolicyError(f"no such field: {', '.join(unknown)}; allowed are {', '.join(allowed)}")
