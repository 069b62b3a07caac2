# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What users are told of planned work: when it will be, that it goes on, that it is over."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOUR = 3600.0
DAY = 24 * HOUR
OPEN = ("planned", "begun")


class NoticeError(Exception):
    """What is asked for cannot be meant; one sentence."""


@dataclass(frozen=True)
class Notice:
    """Work on a service from ``at`` to ``until``, of which users were ``told``; times are seconds since the epoch.

    ``state`` is planned, begun, done, failed or cancelled.
    """

    at: float
    until: float
    text: str = ""
    told: float = 0.0
    state: str = "planned"
    changed: float = 0.0
    version: str = ""
    run: str = ""

    def is_now(self, now: float) -> bool:
        """Whether a moment is in its time."""
        return self.at <= now < self.until

    def meets(self, other: Notice) -> bool:
        """Whether the times of both overlap."""
        return self.at < other.until and other.at < self.until


def read(kept: Iterable[Mapping[str, Any]]) -> list[Notice]:
    """Notices as a file has them; what a later version may add is passed over."""
    names = {field.name for field in dataclasses.fields(Notice)}
    return [Notice(**{name: value for name, value in item.items() if name in names}) for item in kept]


def times(at: str, minutes: int, zone: str, now: float) -> tuple[float, float]:
    """Beginning and end of planned work, from a local time such as ``2026-12-03 02:00``."""
    try:
        moment = datetime.datetime.fromisoformat(at)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, OSError) as error:
        raise NoticeError(
            f"{zone!r} is no time zone that the controller knows; write one such as Asia/Seoul."
        ) from error
    except ValueError as error:
        raise NoticeError(f"at is a time such as '2026-12-03 02:00', not {at!r}.") from error
    if minutes <= 0:
        raise NoticeError(f"minutes is how long it may take, more than 0, not {minutes}.")
    if moment.timestamp() <= now:
        raise NoticeError(f"{at} {zone} is over: nobody can be told before.")
    return moment.timestamp(), moment.timestamp() + 60.0 * minutes


def planned(known: Sequence[Notice], new: Notice, now: float) -> list[Notice]:
    """With work that will be, instead of what was planned for an overlapping time. The same changes nothing."""
    for one in known:
        if one.state == "planned" and (one.at, one.until, one.text) == (new.at, new.until, new.text):
            return list(known)
    stays = [one for one in known if not (one.state == "planned" and one.meets(new))]
    return _in_order([*stays, dataclasses.replace(new, told=now, changed=now)])


def current(known: Iterable[Notice], now: float) -> list[Notice]:
    """As they are now: planned work whose time is over is over, whoever did it."""
    return [
        dataclasses.replace(one, state="done", changed=one.until)
        if one.state == "planned" and one.until <= now
        else one
        for one in known
    ]


def cancelled(known: Sequence[Notice], now: float) -> list[Notice]:
    """Without what is planned."""
    return [
        dataclasses.replace(one, state="cancelled", changed=now) if one.state == "planned" else one for one in known
    ]


def begun(known: Sequence[Notice], run: str, version: str, now: float) -> list[Notice]:
    """With the work of a run under way; what nobody was told of becomes a notice of its own."""
    here = next((one for one in known if one.state != "cancelled" and one.is_now(now)), None)
    rest = _ended([one for one in known if one is not here], now)
    here = here or Notice(at=now, until=now + HOUR)
    return _in_order([*rest, dataclasses.replace(here, state="begun", changed=now, run=run, version=version)])


def ended(known: Sequence[Notice], state: str, run: str, version: str, now: float) -> list[Notice]:
    """With the work of a run done or failed; a run that has begun nothing changes nothing."""
    return [
        dataclasses.replace(one, state=state, changed=now, version=version)
        if one.state == "begun" and one.run == run
        else one
        for one in known
    ]


def kept(known: Iterable[Notice], days: float, now: float) -> list[Notice]:
    """Without those that changed last so many days ago."""
    return [one for one in known if one.state in OPEN or now - one.changed < days * DAY]


def due_problem(known: Sequence[Notice], service: str, hours: float, now: float) -> str:
    """Why users have not been told early enough of work that begins now; empty when they have.

    What was called off, or done, in this time may be begun again in it.
    """
    here = [one for one in known if one.state != "cancelled" and one.is_now(now)]
    if not here:
        return f"Nobody was told of work on {service} at this time, and {hours:g} hours' notice is due (notices_hours)."
    early = max(one.at - one.told if one.told else 0.0 for one in here) / HOUR
    if early < hours:
        return f"Users of {service} were told {early:.1f} hours before, and {hours:g} are due (notices_hours)."
    return ""


def _ended(known: Iterable[Notice], now: float) -> list[Notice]:
    """What a killed run left under way is over when another begins."""
    return [dataclasses.replace(one, state="done", changed=now) if one.state == "begun" else one for one in known]


def _in_order(notices: Iterable[Notice]) -> list[Notice]:
    return sorted(notices, key=lambda one: one.at)
