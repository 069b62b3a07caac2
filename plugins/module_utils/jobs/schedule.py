# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a job runs: a recurrence rule (RFC 5545) as AWX takes it, and the same as systemd's ``OnCalendar``.

Only what both runners understand alike is taken; the rest is refused, so that no job runs at other times on one.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass

DAYS = {"MO": "Mon", "TU": "Tue", "WE": "Wed", "TH": "Thu", "FR": "Fri", "SA": "Sat", "SU": "Sun"}
# The beginning of all schedules, the first midnight of a year: so that a second run has the same text.
BEGINNING = "20260101T000000"
PARTS = {
    "MINUTELY": ("INTERVAL",),
    "HOURLY": ("INTERVAL", "BYMINUTE"),
    "DAILY": ("INTERVAL", "BYHOUR", "BYMINUTE"),
    "WEEKLY": ("INTERVAL", "BYDAY", "BYHOUR", "BYMINUTE"),
    "MONTHLY": ("INTERVAL", "BYMONTHDAY", "BYHOUR", "BYMINUTE"),
}
NUMBERS = {"BYHOUR": (0, 23), "BYMINUTE": (0, 59), "BYMONTHDAY": (1, 28)}
EXAMPLES = "FREQ=MINUTELY;INTERVAL=5, FREQ=DAILY;BYHOUR=2 or FREQ=WEEKLY;BYDAY=SU;BYHOUR=7;BYMINUTE=30"


class ScheduleError(ValueError):
    """A schedule that the two runners would not keep alike; the message says why."""


@dataclass(frozen=True)
class Schedule:
    """Times in a time zone."""

    frequency: str
    interval: int
    days: tuple[str, ...]
    monthday: int
    hours: tuple[int, ...]
    minute: int
    timezone: str

    @property
    def rrule(self) -> str:
        """As AWX has it: with its beginning and an interval, both of which it demands."""
        parts = [f"FREQ={self.frequency}", f"INTERVAL={self.interval}"]
        if self.monthday:
            parts.append(f"BYMONTHDAY={self.monthday}")
        if self.days:
            parts.append(f"BYDAY={','.join(self.days)}")
        if self.hours:
            parts.append(f"BYHOUR={','.join(map(str, self.hours))}")
        if self.frequency != "MINUTELY":
            parts += [f"BYMINUTE={self.minute}"]
        return f"DTSTART;TZID={self.timezone}:{BEGINNING} RRULE:{';'.join([*parts, 'BYSECOND=0'])}"

    @property
    def calendar(self) -> str:
        """As systemd has it."""
        days = f"{','.join(DAYS[day] for day in self.days)} " if self.days else ""
        date = f"*-*-{self.monthday:02}" if self.monthday else "*-*-*"
        if self.frequency == "MINUTELY":
            time = f"*:00/{self.interval}:00"
        elif self.frequency == "HOURLY":
            time = f"00/{self.interval}:{self.minute:02}:00"
        else:
            time = f"{','.join(f'{hour:02}' for hour in self.hours)}:{self.minute:02}:00"
        return f"{days}{date} {time} {self.timezone}"

    @property
    def seconds(self) -> int:
        """The longest time between two runs, roughly: by it one that is missed can be told."""
        unit = {"MINUTELY": 60, "HOURLY": 3600, "DAILY": 86400, "WEEKLY": 7 * 86400, "MONTHLY": 31 * 86400}
        return unit[self.frequency] * self.interval

    def after(self, moment: datetime.datetime) -> datetime.datetime:
        """The next time that it runs, in its time zone. A time that a change of the clock leaves out is passed over."""
        zone = zoneinfo.ZoneInfo(self.timezone)
        day = moment.astimezone(zone).date()
        for date in (day + datetime.timedelta(days=number) for number in range(63)):
            for time in self._times(date):
                local = datetime.datetime.combine(date, time, zone)
                there = local.astimezone(datetime.timezone.utc)
                if there > moment and there.astimezone(zone).time() == time:
                    return local
        raise ScheduleError(f"{self.calendar} never comes")  # no rule that is taken waits for longer than a month

    def _times(self, date: datetime.date) -> Iterator[datetime.time]:
        """Of a day, in their order."""
        if (self.days and tuple(DAYS)[date.weekday()] not in self.days) or self.monthday not in (0, date.day):
            return
        every = self.frequency == "MINUTELY"
        hours = self.hours or range(0, 24, 1 if every else self.interval)
        for hour in hours:
            for minute in range(0, 60, self.interval) if every else (self.minute,):
                yield datetime.time(hour, minute)


def parse_schedule(rule: str, timezone: str) -> Schedule:
    """A rule such as ``FREQ=DAILY;BYHOUR=2``; raises :class:`ScheduleError`."""
    if timezone not in zoneinfo.available_timezones():
        raise ScheduleError(f"{timezone!r} is no time zone, such as Asia/Seoul")
    parts = _parts(rule)
    frequency = parts.pop("FREQ", "")
    if frequency not in PARTS:
        raise ScheduleError(f"{rule!r} has no FREQ of {', '.join(PARTS)}; write such as {EXAMPLES}")
    if unknown := sorted(parts.keys() - {*PARTS[frequency]}):
        raise ScheduleError(f"{rule!r} has {', '.join(unknown)}, which FREQ={frequency} cannot have on both runners")
    schedule = Schedule(
        frequency=frequency,
        interval=_interval(rule, frequency, parts.get("INTERVAL", "1")),
        days=_days(rule, parts.get("BYDAY", "")),
        monthday=_numbers(rule, "BYMONTHDAY", parts.get("BYMONTHDAY", ""), 1)[0] if "BYMONTHDAY" in parts else 0,
        hours=_numbers(rule, "BYHOUR", parts.get("BYHOUR", "0"), 24) if frequency not in ("MINUTELY", "HOURLY") else (),
        minute=_numbers(rule, "BYMINUTE", parts.get("BYMINUTE", "0"), 1)[0],
        timezone=timezone,
    )
    if frequency == "WEEKLY" and not schedule.days:
        raise ScheduleError(f"{rule!r}: WEEKLY needs BYDAY, such as SU")
    if frequency == "MONTHLY" and not schedule.monthday:
        raise ScheduleError(f"{rule!r}: MONTHLY needs BYMONTHDAY, a day from 1 to 28")
    return schedule


def _parts(rule: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in str(rule).removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in found:
            raise ScheduleError(f"{rule!r} is no recurrence rule; write such as {EXAMPLES}")
        found[name] = value
    return found


def _interval(rule: str, frequency: str, text: str) -> int:
    """One that counts from each hour or day anew, as systemd does."""
    whole = {"MINUTELY": 60, "HOURLY": 24}.get(frequency, 1)
    if not text.isdecimal() or int(text) < 1 or int(text) > whole or whole % int(text):
        allowed = f"a divisor of {whole}" if whole > 1 else "1"
        raise ScheduleError(f"{rule!r} has INTERVAL={text}; for {frequency} it is {allowed}")
    return int(text)


def _days(rule: str, text: str) -> tuple[str, ...]:
    days = text.split(",") if text else []
    if not set(days) <= DAYS.keys():
        raise ScheduleError(f"{rule!r} has BYDAY={text}; it is of {', '.join(DAYS)}")
    return tuple(day for day in DAYS if day in days)


def _numbers(rule: str, name: str, text: str, most: int) -> tuple[int, ...]:
    low, high = NUMBERS[name]
    texts = text.split(",")
    if not all(re.fullmatch(r"\d{1,2}", one) and low <= int(one) <= high for one in texts) or len(texts) > most:
        several = "numbers" if most > 1 else "one number"
        raise ScheduleError(f"{rule!r} has {name}={text}; it is {several} from {low} to {high}")
    return tuple(sorted({int(one) for one in texts}))
