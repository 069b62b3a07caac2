# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When and with whose word a release may begin: windows, freezes, a change number, an approval, and the way past them.

Only a deploy is guarded. A way back is open at any hour.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REASON = 10  # characters: what is shorter explains nothing to an auditor


class GuardError(Exception):
    """A guard that the inventory has cannot be meant; the message says what to write instead."""


@dataclass(frozen=True)
class Window:
    """Times of day between which a release may begin, on the days on which the window opens."""

    start: datetime.time
    end: datetime.time
    days: tuple[str, ...] = DAYS

    def opens(self, day: datetime.date) -> bool:
        """Whether it opens on a day."""
        return DAYS[day.weekday()] in self.days

    def has(self, moment: datetime.datetime) -> bool:
        """Whether a local moment is in it; one that ends before it begins ends on the next day."""
        day, time = moment.date(), moment.time().replace(tzinfo=None)
        if self.start < self.end:
            return self.opens(day) and self.start <= time < self.end
        yesterday = day - datetime.timedelta(days=1)
        return (self.opens(day) and time >= self.start) or (self.opens(yesterday) and time < self.end)

    def __str__(self) -> str:
        days = "" if self.days == DAYS else f"{', '.join(self.days)} "
        return f"{days}{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True)
class Freeze:
    """A time in which no release begins."""

    start: datetime.datetime
    end: datetime.datetime
    reason: str


@dataclass(frozen=True)
class Guards:
    """What an inventory asks for; nothing of all, unless it says so."""

    timezone: str = "UTC"
    windows: Sequence[Window] = ()
    freezes: Sequence[Freeze] = ()
    change_pattern: str = ""
    approvers: Sequence[str] = ()

    @property
    def any(self) -> bool:
        """Whether there is a guard at all."""
        return bool(self.windows or self.freezes or self.change_pattern or self.approvers)


@dataclass(frozen=True)
class Said:
    """What the operator says with a release; ``by`` is who runs it."""

    by: str
    change: str = ""
    approved_by: str = ""
    override: str = ""


@dataclass
class Passage:
    """``problem`` is why the release must not begin, ``overridden`` what was passed by, ``kept`` what was kept to."""

    problem: str = ""
    overridden: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def read_guards(variables: Mapping[str, Any]) -> Guards:
    """The guards in a host's variables; :class:`GuardError` in one sentence."""
    zone = str(variables.get("deploy_timezone") or "UTC")
    pattern = str(variables.get("deploy_change_pattern") or "")
    _zone(zone)
    try:
        re.compile(pattern)
    except re.error as error:
        raise GuardError(f"deploy_change_pattern {pattern!r} is no regular expression: {error}.") from error
    return Guards(
        timezone=zone,
        windows=[_window(item, where) for where, item in _items(variables, "deploy_windows", {"from", "to", "days"})],
        freezes=[
            _freeze(item, where, zone) for where, item in _items(variables, "deploy_freezes", {"from", "to", "reason"})
        ],
        change_pattern=pattern,
        approvers=[str(name) for name in _list(variables, "deploy_approvers")],
    )


def pass_guards(guards: Guards, said: Said, now: datetime.datetime) -> Passage:
    """Whether a release may begin at ``now``, a moment with a time zone."""
    found = Passage()
    refused = []
    for problem, kept in (
        _hour(guards, now),
        _thaw(guards, now),
        _change(guards, said.change),
        _approval(guards, said),
    ):
        refused += [problem] if problem else []
        found.kept += [kept] if kept and not problem else []
    if refused and not said.override:
        found.problem = f"{refused[0]} -e override='REASON' goes past it, and is recorded."
    elif refused and len(said.override.strip()) < REASON:
        found.problem = (
            f"{refused[0]} The override {said.override!r} is no reason: say why in {REASON} characters or more."
        )
    elif refused:
        found.overridden = refused
    return found


def _hour(guards: Guards, now: datetime.datetime) -> tuple[str, str]:
    local = now.astimezone(_zone(guards.timezone))
    for window in guards.windows:
        if window.has(local):
            return "", f"begun in the window {window} {guards.timezone}"
    if not guards.windows:
        return "", ""
    windows = " and ".join(map(str, guards.windows))
    opening = _next_opening(guards.windows, local)
    return (
        f"It is {local:%a %H:%M} {guards.timezone}, and releases begin in the window {windows} (deploy_windows); "
        f"it opens next on {opening:%Y-%m-%d at %H:%M}."
    ), ""


def _next_opening(windows: Iterable[Window], local: datetime.datetime) -> datetime.datetime:
    days = [local.date() + datetime.timedelta(days=ahead) for ahead in range(8)]
    starts = [
        datetime.datetime.combine(day, window.start, local.tzinfo)
        for window in windows
        for day in days
        if window.opens(day)
    ]
    return min(start for start in starts if start > local)


def _thaw(guards: Guards, now: datetime.datetime) -> tuple[str, str]:
    for freeze in guards.freezes:
        if freeze.start <= now < freeze.end:
            return (
                f"Releases are frozen until {freeze.end:%Y-%m-%d %H:%M} {guards.timezone}: {freeze.reason} "
                "(deploy_freezes)."
            ), ""
    return "", ""


def _change(guards: Guards, change: str) -> tuple[str, str]:
    if not guards.change_pattern:
        return "", f"change {change}" if change else ""
    if not change:
        return "A release needs the number of its change: -e change=NUMBER (deploy_change_pattern).", ""
    if not re.fullmatch(guards.change_pattern, change):
        return f"{change!r} is no number of a change: deploy_change_pattern is {guards.change_pattern!r}.", ""
    return "", f"change {change}"


def _approval(guards: Guards, said: Said) -> tuple[str, str]:
    if not guards.approvers:
        return "", f"approved by {said.approved_by}" if said.approved_by else ""
    known = ", ".join(guards.approvers)
    if not said.approved_by:
        return f"A release needs the approval of one of {known}: -e approved_by=NAME (deploy_approvers).", ""
    if said.approved_by not in guards.approvers:
        return f"{said.approved_by} may not approve a release; {known} may (deploy_approvers).", ""
    if said.approved_by == said.by.partition("@")[0]:
        return f"{said.approved_by} runs this release: somebody else of {known} has to approve it.", ""
    return "", f"approved by {said.approved_by}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise GuardError(
            f"deploy_timezone {name!r} is no time zone that the controller knows; write one such as Asia/Seoul "
            "(package tzdata has them)."
        ) from error


def _list(variables: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = variables.get(name) or []
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise GuardError(f"{name} is a list.")
    return value


def _items(variables: Mapping[str, Any], name: str, known: set[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for number, item in enumerate(_list(variables, name)):
        where = f"{name}[{number}]"
        if not isinstance(item, Mapping) or {"from", "to"} - item.keys():
            raise GuardError(f"{where} is a mapping with from and to.")
        if unknown := sorted(set(item) - known):
            raise GuardError(f"{where} has no option {unknown[0]}; there are {', '.join(sorted(known))}.")
        yield where, item


def _window(item: Mapping[str, Any], where: str) -> Window:
    days = item.get("days") or DAYS
    if isinstance(days, str) or not set(days) <= set(DAYS):
        raise GuardError(f"{where}.days is a list of {', '.join(DAYS)}.")
    window = Window(_time(item["from"], f"{where}.from"), _time(item["to"], f"{where}.to"), tuple(map(str, days)))
    if window.start == window.end:
        raise GuardError(f"{where} begins and ends at the same time.")
    return window


def _time(value: Any, where: str) -> datetime.time:
    if isinstance(value, int):  # YAML reads 22:30 as a number of base 60
        value = f"{value // 60:02d}:{value % 60:02d}"
    try:
        hour, _colon, minute = str(value).partition(":")
        return datetime.time(int(hour), int(minute))
    except ValueError as error:
        raise GuardError(f"{where} is a time of day such as 02:00, not {value!r}.") from error


def _freeze(item: Mapping[str, Any], where: str, zone: str) -> Freeze:
    start, end = _moment(item["from"], f"{where}.from", zone), _moment(item["to"], f"{where}.to", zone)
    if len(str(item["to"])) == len("2026-12-31"):
        end += datetime.timedelta(days=1)  # to the end of that day
    if end <= start:
        raise GuardError(f"{where} ends before it begins.")
    return Freeze(start, end, str(item.get("reason") or "no reason is given"))


def _moment(value: Any, where: str, zone: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(str(value))
    except ValueError as error:
        raise GuardError(f"{where} is a day or a time such as 2026-12-20 18:00, not {str(value)!r}.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=_zone(zone))
