# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether alerts reach people: what Alertmanager has, and what each of its channels has taken or refused."""

from __future__ import annotations

import datetime
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.channels import TEST

ASK_TIMEOUT = 10.0  # seconds
PAUSE = 0.25  # seconds between two looks
TESTED_FOR = 60  # seconds for which a test alert is there, and is tried again where it is refused
_SAMPLE = re.compile(r'^alertmanager_notification_requests_(failed_)?total\{.*receiver_name="([^"]*)".*\} (\S+)$', re.M)
Counts = Mapping[str, "tuple[float, float]"]  # by channel: attempts, and those that failed


class DeliveryError(Exception):
    """Alertmanager does not answer, or not as it does."""


@dataclass(frozen=True)
class Alertmanager:
    """One that is asked over HTTP, past any proxy of the environment."""

    url: str
    opener: urllib.request.OpenerDirector = field(
        default_factory=lambda: urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )

    def counts(self) -> dict[str, tuple[float, float]]:
        """How often each channel was tried, and how often that failed, since Alertmanager was started."""
        return read_counts(self._ask("/metrics").decode())

    def alerts(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Those that have these labels."""
        return [one for one in self._json("/api/v2/alerts") if labels.items() <= one["labels"].items()]

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        self._ask("/api/v2/alerts", json.dumps(alerts).encode())

    def silences(self) -> list[dict[str, Any]]:
        """All that Alertmanager still knows, also those that are over."""
        return list(self._json("/api/v2/silences"))

    def silence(self, silence: Mapping[str, Any]) -> None:
        self._ask("/api/v2/silences", json.dumps(silence).encode())

    def unsilence(self, id: str) -> None:
        self._ask(f"/api/v2/silence/{id}", method="DELETE")

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._ask(path))
        except ValueError as error:
            raise DeliveryError(f"{self.url}{path} answers no JSON: is it Alertmanager?") from error

    def _ask(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, head, method=method)  # noqa: S310 (the role's own URL)
        try:
            with self.opener.open(request, timeout=ASK_TIMEOUT) as answer:
                return bytes(answer.read())
        except (OSError, http.client.HTTPException) as error:
            told = error.read().decode(errors="replace")[:300] if isinstance(error, urllib.error.HTTPError) else error
            raise DeliveryError(f"Alertmanager does not answer at {self.url}{path}: {told}") from error


def read_counts(metrics: str) -> dict[str, tuple[float, float]]:
    """From the text of ``/metrics``; a channel with several integrations has their sum."""
    found: dict[str, list[float]] = {}
    for failed, channel, value in _SAMPLE.findall(metrics):
        found.setdefault(channel, [0.0, 0.0])[bool(failed)] += float(value)
    return {channel: (tried, refused) for channel, (tried, refused) in found.items()}


def taken(before: Counts, now: Counts, channel: str) -> bool:
    """Whether the channel has taken something since. A restart in between starts the counts again."""
    tried, failed = now.get(channel, (0.0, 0.0))
    tried_before, failed_before = before.get(channel, (0.0, 0.0))
    if tried < tried_before:
        tried_before = failed_before = 0.0
    return tried - tried_before > failed - failed_before


@dataclass(frozen=True)
class Waited:
    """Seconds after which each channel had taken it, those that have not, and why nothing more came."""

    seconds: Mapping[str, float]
    missing: Sequence[str] = ()
    problem: str = ""


def test(alertmanager: Alertmanager, channels: Sequence[str], timeout: float) -> Waited:
    """Sends each channel a test alert and waits until it has taken it."""
    before = alertmanager.counts()
    unknown = [channel for channel in channels if channel not in before]
    if unknown:
        raise DeliveryError(f"Alertmanager has no channel {', '.join(unknown)}: has it loaded its configuration?")
    began = time.monotonic()
    alertmanager.post([_test_alert(channel) for channel in channels])
    return _wait(alertmanager, before, channels, began, timeout)


def delivered(alertmanager: Alertmanager, labels: Mapping[str, str], before: Counts, timeout: float) -> Waited:
    """Waits until an alert with these labels is there, and then until every channel that gets it has taken something.

    ``before`` are counts of when it was not there. What channels took until it came was of other alerts.
    """
    began = time.monotonic()
    now = alertmanager.counts()
    while not (found := alertmanager.alerts(labels)):
        before = now
        if time.monotonic() - began > timeout:
            return Waited({}, problem=f"Alertmanager heard of no alert with {_told(labels)} within {timeout:g} s")
        time.sleep(PAUSE)
        now = alertmanager.counts()
    status = found[0]["status"]
    if hushed := status["silencedBy"] or status["inhibitedBy"] or status.get("mutedBy"):
        return Waited({}, problem=f"the alert is there, and silenced or inhibited by {', '.join(hushed)}")
    channels = [receiver["name"] for receiver in found[0]["receivers"]]
    return _wait(alertmanager, before, channels, began, timeout)


def gone(alertmanager: Alertmanager, labels: Mapping[str, str], timeout: float) -> float | None:
    """Seconds until no alert with these labels is there any more; None when one stayed."""
    began = time.monotonic()
    while alertmanager.alerts(labels):
        if time.monotonic() - began > timeout:
            return None
        time.sleep(PAUSE)
    return time.monotonic() - began


def _wait(am: Alertmanager, before: Counts, channels: Iterable[str], began: float, timeout: float) -> Waited:
    """Seconds are counted from ``began``, the timeout from now: the alert's own time takes none of the channels'."""
    waits = time.monotonic()
    seconds: dict[str, float] = {}
    missing = list(channels)
    while True:
        now, at = am.counts(), time.monotonic()
        seconds |= {channel: at - began for channel in missing if taken(before, now, channel)}
        missing = [channel for channel in missing if channel not in seconds]
        if not missing or at - waits > timeout:
            return Waited(seconds, missing)
        time.sleep(PAUSE)


def _test_alert(channel: str) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "labels": {"alertname": TEST, "channel": channel, "severity": "info", "test": timestamp(now)},
        "annotations": {
            "summary": f"This is a test of channel {channel}",
            "runbook": "Nothing is to be done. Slipway sends one when it sets up the channel or changes it.",
        },
        "startsAt": timestamp(now),
        "endsAt": timestamp(now + datetime.timedelta(seconds=TESTED_FOR)),
    }


def _told(labels: Mapping[str, str]) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in labels.items())
