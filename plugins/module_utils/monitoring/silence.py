# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Silences of Alertmanager that Slipway opens for what it does itself, and closes: each is known by its comment."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import Alertmanager, DeliveryError

AUTHOR = "slipway"
Labels = Mapping[str, Sequence[str]]  # by label the values that are meant
Matchers = list[dict[str, Any]]


def opened(alertmanager: Alertmanager, comment: str, labels: Labels, seconds: float, look_only: bool = False) -> bool:
    """Whether one had to be opened or prolonged; one that lasts for half the time or longer is left alone."""
    now, wanted = _now(), _matchers(labels)
    same = [one for one in active(alertmanager, comment) if _sorted(one["matchers"]) == wanted]
    if any(_left(one, now) >= seconds / 2 for one in same):
        return False
    if not look_only:
        new = {"createdBy": AUTHOR, "comment": comment, "startsAt": now.isoformat(), "matchers": wanted}
        alertmanager.silence(_ends(same[0] if same else new, now, seconds))
    return True


def closed(alertmanager: Alertmanager, comment: str, grace: float = 0.0, look_only: bool = False) -> bool:
    """Whether there was one that lasts for longer than ``grace`` seconds: by then the alerts have seen the end, too."""
    now = _now()
    found = [one for one in active(alertmanager, comment) if _left(one, now) > grace]
    for one in found if not look_only else ():
        if grace:
            alertmanager.silence(_ends(one, now, grace))
        else:
            alertmanager.unsilence(one["id"])
    return bool(found)


def active(alertmanager: Alertmanager, comment: str) -> list[dict[str, Any]]:
    """Those of ours with this comment that are in force."""
    try:
        return [
            one
            for one in alertmanager.silences()
            if one["status"]["state"] != "expired" and (one["createdBy"], one["comment"]) == (AUTHOR, comment)
        ]
    except (KeyError, TypeError) as error:
        raise DeliveryError(f"{alertmanager.url} answers with silences of another form: {error!r}") from error


def _matchers(labels: Labels) -> Matchers:
    """One value is compared, several are a regular expression of Go's."""
    return _sorted(
        {
            "name": name,
            "value": values[0] if len(values) == 1 else "|".join(map(re.escape, values)),
            "isRegex": len(values) > 1,
            "isEqual": True,
        }
        for name, values in labels.items()
    )


def _sorted(matchers: Iterable[Mapping[str, Any]]) -> Matchers:
    keys = ("name", "value", "isRegex", "isEqual")
    return sorted(({key: one[key] for key in keys} for one in matchers), key=lambda one: str(one["name"]))


def _ends(silence: Mapping[str, Any], now: datetime.datetime, seconds: float) -> dict[str, Any]:
    """The silence with another end, as it is sent."""
    kept = {key: silence[key] for key in ("id", "createdBy", "comment", "startsAt", "matchers") if key in silence}
    return {**kept, "endsAt": (now + datetime.timedelta(seconds=seconds)).isoformat()}


def _left(silence: Mapping[str, Any], now: datetime.datetime) -> float:
    """Seconds for which it lasts."""
    ends = datetime.datetime.fromisoformat(str(silence["endsAt"]).replace("Z", "+00:00"))
    return (ends - now).total_seconds()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
