# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one list of jobs: what runs, when, with which questions, after whose approval, and who hears of its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, duration
from ansible_collections.slipway.ops.plugins.module_utils.jobs.schedule import Schedule, ScheduleError, parse_schedule

OCCASIONS = ("failure", "success", "approval")  # of which somebody is told
TYPES = ("text", "integer", "choice", "password")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
_PLAYBOOK = re.compile(r"([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.ya?ml")


class JobsError(ValueError):
    """What is wrong in a list of jobs, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Question:
    """One of a survey: a variable that whoever starts the job gives."""

    variable: str
    question: str
    type: str = "text"
    choices: tuple[str, ...] = ()
    default: str = ""
    required: bool = True

    def problem(self, value: str) -> str:
        """Why a value is no answer; empty when it is one."""
        if not value:
            return f"{self.variable} is missing: {self.question}" if self.required else ""
        if self.type == "integer" and not re.fullmatch(r"-?\d+", value):
            return f"{self.variable} is {value!r}, wanted is a whole number"
        if self.type == "choice" and value not in self.choices:
            return f"{self.variable} is {value!r}, wanted is one of {', '.join(self.choices)}"
        return ""


@dataclass(frozen=True)
class Job:
    """One entry of the list."""

    name: str
    playbook: str
    description: str = ""
    schedule: Schedule | None = None
    survey: tuple[Question, ...] = ()
    limit: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    timeout: int = 0
    approval: int = 0  # seconds for which it waits for one; 0 for none
    notify: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


KEYS = {
    "name",
    "playbook",
    "description",
    "schedule",
    "timezone",
    "survey",
    "limit",
    "variables",
    "check",
    "timeout",
    "approval",
    "notify",
    "enabled",
}


def merged(
    standard: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]], notify: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The standard list with an inventory's: an entry of the same name changes what it names, others are added, and
    those with ``enabled: false`` are left out. ``notify`` is for those that name nobody."""
    found = {str(entry.get("name")): dict(entry) for entry in standard}
    for number, entry in enumerate(own):
        name = str(entry.get("name") or f"entry {number + 1}")
        found[name] = found.get(name, {}) | dict(entry)
    told = {"notify": notify} if notify else {}
    return [told | entry for entry in found.values() if entry.get("enabled", True)]


def read_jobs(entries: Sequence[Mapping[str, Any]], timezone: str, notices: Sequence[str] = ()) -> tuple[Job, ...]:
    """The jobs of a list; raises :class:`JobsError` with all that is wrong. ``notices`` are names."""
    problems: list[str] = []
    jobs = []
    for number, entry in enumerate(entries):
        named = str(entry.get("name") or f"entry {number + 1}")
        reader = _Reader(named, problems)
        jobs.append(_job(entry, timezone, frozenset(notices), reader))
    names = [job.name for job in jobs]
    problems += [
        f"job {name}: there are two of that name." for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise JobsError(problems)
    return tuple(jobs)


@dataclass
class _Reader:
    job: str
    problems: list[str]

    def refuse(self, problem: str) -> None:
        self.problems.append(f"job {self.job}: {problem}.")


def _job(entry: Mapping[str, Any], timezone: str, notices: frozenset[str], reader: _Reader) -> Job:
    if unknown := sorted(entry.keys() - KEYS):
        reader.refuse(f"has {', '.join(unknown)}, which no job has")
    name, playbook = str(entry.get("name") or ""), str(entry.get("playbook") or "")
    if not _NAME.fullmatch(name):
        reader.refuse("its name is of small letters, digits and hyphens")
    if not _PLAYBOOK.fullmatch(playbook):
        reader.refuse(f"its playbook is a file of the project, such as playbooks/health.yml, and not {playbook!r}")
    schedule = None
    if entry.get("schedule"):
        try:
            schedule = parse_schedule(str(entry["schedule"]), str(entry.get("timezone") or timezone))
        except ScheduleError as error:
            reader.refuse(str(error))
    survey = tuple(_question(one, reader) for one in entry.get("survey") or [])
    for question in survey:
        if schedule and question.required and not question.default:
            reader.refuse(f"it runs by the clock, and nobody is there to answer {question.variable}; give it a default")
    return Job(
        name=name,
        playbook=playbook,
        description=str(entry.get("description") or ""),
        schedule=schedule,
        survey=survey,
        limit=str(entry.get("limit") or ""),
        variables=dict(entry.get("variables") or {}),
        check=entry.get("check") is True,
        timeout=_seconds(entry, "timeout", reader),
        approval=_seconds(entry, "approval", reader),
        notify=_notify(entry, notices, reader),
    )


def _question(entry: Mapping[str, Any], reader: _Reader) -> Question:
    variable, kind = str(entry.get("variable") or ""), str(entry.get("type") or "text")
    choices = tuple(str(one) for one in entry.get("choices") or [])
    if not _VARIABLE.fullmatch(variable):
        reader.refuse(f"its survey asks for {variable!r}, which is no variable's name")
    if kind not in TYPES or (kind == "choice") != bool(choices):
        reader.refuse(
            f"{variable} is of type {kind!r}; it is one of {', '.join(TYPES)}, and choices are of choice alone"
        )
    question = Question(
        variable,
        str(entry.get("question") or variable),
        kind,
        choices,
        str(entry.get("default", "")),
        entry.get("required", True) is True,
    )
    if kind == "password" and question.default:
        reader.refuse(f"{variable} is a password, and a default is a password that everybody reads")
    elif question.default and (problem := question.problem(question.default)):
        reader.refuse(f"the default of {problem}")
    return question


def _seconds(entry: Mapping[str, Any], name: str, reader: _Reader) -> int:
    try:
        seconds = round(duration(entry.get(name) or 0))
    except UnitError as error:
        reader.refuse(f"its {name}: {error}")
        return 0
    return seconds


def _notify(entry: Mapping[str, Any], notices: frozenset[str], reader: _Reader) -> dict[str, tuple[str, ...]]:
    """Who hears of what. Who hears of a failure hears of an approval that is waited for, unless others are named."""
    given = dict(entry.get("notify") or {})
    if unknown := sorted(given.keys() - {*OCCASIONS}):
        reader.refuse(f"notify has {', '.join(unknown)}; it is {', '.join(OCCASIONS)}")
    given.setdefault("approval", given.get("failure"))
    found = {occasion: tuple(map(str, given.get(occasion) or [])) for occasion in OCCASIONS}
    if missing := sorted({name for names in found.values() for name in names} - notices):
        reader.refuse(f"nobody is told as {', '.join(missing)}; the notices are {', '.join(sorted(notices)) or 'none'}")
    return {
        occasion: names
        for occasion, names in found.items()
        if names and (occasion != "approval" or entry.get("approval"))
    }


def answered(job: Job, given: Mapping[str, str]) -> dict[str, Any]:
    """The job's variables with the survey's answers; raises :class:`JobsError`."""
    known = {question.variable: question for question in job.survey}
    problems = [
        f"{name} is asked by nobody; the survey asks {', '.join(known) or 'nothing'}"
        for name in sorted(given.keys() - known)
    ]
    found: dict[str, Any] = dict(job.variables)
    for question in job.survey:
        value = given.get(question.variable, "") or question.default
        if problem := question.problem(value):
            problems.append(problem)
        elif value:
            found[question.variable] = int(value) if question.type == "integer" else value
    if problems:
        raise JobsError([f"job {job.name}: {problem}." for problem in problems])
    return found
