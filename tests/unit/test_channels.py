"""Channels of alerts: what would leave people unaware, Alertmanager's configuration, and what was delivered."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import delivery
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.channels import (
    configuration,
    problems,
    secret_files,
    sms_settings,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import Alertmanager, read_counts, taken
from ansible_collections.slipway.ops.plugins.modules import alert_channels

SLACK = {"name": "team", "kind": "slack", "url": "https://hooks.example.com/s3cret"}
MAIL = {"name": "post", "kind": "mail", "to": "a@example.com", "severities": ["critical"]}
PAGER = {"name": "oncall", "kind": "pagerduty", "routing_key": "k3y", "severities": ["critical"]}
HOOK = {
    "name": "sms",
    "kind": "webhook",
    "url": "https://sms.example.com",
    "token": "t0ken",
    "severities": ["critical"],
}
PHONE = {
    "name": "phone",
    "kind": "sms",
    "url": "https://texts.example.com",
    "to": "+15550100",
    "fields": {"To": "{to}", "Body": "{text}"},
    "username": "shop",
    "password": "t3xts",
    "severities": ["critical"],
}
ALL: list[dict[str, Any]] = [SLACK, MAIL, PAGER, HOOK]


def told(*channels: dict[str, Any], windows: tuple[str, ...] = (), mail_host: str = "mail:587") -> list[str]:
    return list(problems(channels, windows, mail_host))


def test_two_channels_that_hear_of_everything_critical_are_enough() -> None:
    assert told(SLACK, MAIL) == []
    assert told(*ALL) == []


@pytest.mark.parametrize(
    ("channels", "problem"),
    [
        ([SLACK], "there is team"),
        ([SLACK, MAIL | {"mute": ["nights"]}], "there is team"),
        ([MAIL, PAGER], "no channel gets alerts of severity warning"),
        ([SLACK, MAIL, SLACK], "two channels are named team"),
        ([SLACK, MAIL | {"name": "Post!"}], "channel Post!: name it with small letters"),
        ([SLACK, MAIL | {"name": "deadman"}], "neither deadman nor nobody"),
        ([SLACK, MAIL | {"to": ""}], "channel post is mail and needs to"),
        ([SLACK, MAIL | {"token": "x"}], "channel post is mail, which has no token"),
        (
            [SLACK, MAIL, HOOK | {"mute": ["weekends"]}],
            "sms is mute in weekends, which alertmanager_mute_windows",
        ),
        ([SLACK | {"url": "hooks.example.com/s3cret"}, MAIL], "channel team: its url is none"),
        ([SLACK, MAIL, PHONE | {"fields": {}}], "channel phone is sms and needs fields"),
        ([SLACK, MAIL, PHONE | {"fields": {"To": "{to}"}}], "channel phone: none of its fields has {text}"),
        (
            [SLACK, MAIL, PHONE | {"fields": {"From": 4915551234, "Body": "{text}"}}],
            "channel phone: write numbers of telephones",
        ),
        ([SLACK, MAIL, PHONE | {"to": 15550100}], "channel phone: write numbers of telephones"),
        (
            [SLACK, MAIL, PHONE | {"fields": {"To": ["{to}"], "Body": "{text}"}}],
            "channel phone: its field To is no text",
        ),
        ([SLACK, MAIL, PHONE | {"channel": "#ops"}], "channel phone is sms, which has no channel"),
    ],
)
def test_what_would_leave_people_unaware_is_told(channels: list[dict[str, Any]], problem: str) -> None:
    found = told(*channels, windows=("nights",))
    assert [one for one in found if problem in one], found
    assert "s3cret" not in " ".join(found)


def test_mail_needs_a_server() -> None:
    assert told(SLACK, MAIL, mail_host="") == [
        "channel post needs alertmanager_mail_host, the server that takes its mail"
    ]


def configured(**different: Any) -> dict[str, Any]:
    mail = {"host": "mail:587", "from": "s@example.com", "username": "s", "password": "p4ss", "tls": True}
    settings = {
        "channels": ALL,
        "mail": mail,
        "deadman": "https://outside.example.com/uu1d",
        "deadman_interval": "1m",
        "mute_windows": [],
        "inhibit_rules": [],
        "group_by": ["alertname"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "4h",
        "texts": "/am/texts.tmpl",
        "secrets": "/am/secrets",
        "sms_port": 9096,
    }
    return configuration(settings | different)


def test_each_channel_has_a_route_of_its_own_that_goes_on_to_the_next() -> None:
    routes = configured(channels=[SLACK, MAIL | {"mute": ["nights"]}])["route"]["routes"]
    assert routes[0]["receiver"] == "deadman" and routes[0]["repeat_interval"] == "1m"
    assert [(one["receiver"], one["matchers"]) for one in routes[1:4]] == [
        (name, ['alertname="ChannelTest"', f'channel="{name}"']) for name in ("team", "post", "deadman")
    ]
    assert routes[4:] == [
        {"matchers": ['severity=~"critical|warning|info"'], "receiver": "team", "continue": True},
        {"matchers": ['severity=~"critical"'], "receiver": "post", "continue": True, "mute_time_intervals": ["nights"]},
    ]


def test_without_a_dead_mans_switch_its_alert_is_told_to_nobody() -> None:
    without = configured(deadman="")
    assert without["route"]["routes"][0]["receiver"] == "nobody"
    assert [one["name"] for one in without["receivers"]] == ["team", "post", "oncall", "sms", "nobody"]


def test_no_secret_is_in_the_configuration_and_each_has_its_file() -> None:
    whole = json.dumps(configured())
    files = secret_files(ALL, "p4ss", "https://outside.example.com/uu1d")
    assert files == {
        "team.url": "https://hooks.example.com/s3cret",
        "oncall.routing_key": "k3y",
        "sms.url": "https://sms.example.com",
        "sms.token": "t0ken",
        "mail": "p4ss",
        "deadman": "https://outside.example.com/uu1d",
    }
    for name, secret in files.items():
        assert secret not in whole and f"/am/secrets/{name}" in whole


def test_text_messages_go_through_loopback_and_their_secrets_by_files() -> None:
    (receiver, *_rest) = configured(channels=[PHONE, MAIL])["receivers"]
    assert receiver["webhook_configs"] == [{"send_resolved": True, "url": "http://127.0.0.1:9096/phone"}]
    settings = sms_settings([SLACK, PHONE], "/am/secrets")
    assert settings["phone"]["secrets"] == {"url": "/am/secrets/phone.url", "password": "/am/secrets/phone.password"}
    assert settings.keys() == {"phone"} and settings["phone"]["format"] == "form"
    assert "t3xts" not in json.dumps(settings)


METRICS = """\
# TYPE alertmanager_notification_requests_total counter
alertmanager_notification_requests_total{integration="email",receiver_name="post"} 4
alertmanager_notification_requests_total{integration="slack",receiver_name="team"} 1e+06
alertmanager_notification_requests_failed_total{integration="email",receiver_name="post"} 3
alertmanager_notification_requests_failed_total{integration="slack",receiver_name="team"} 0
alertmanager_notifications_total{integration="email",receiver_name="post"} 9
"""


def test_attempts_and_failures_are_read_from_the_metrics() -> None:
    assert read_counts(METRICS) == {"post": (4.0, 3.0), "team": (1e6, 0.0)}
    assert read_counts("") == {}


@pytest.mark.parametrize(
    ("before", "now", "has_taken"),
    [
        ((4, 3), (4, 3), False),
        ((4, 3), (6, 5), False),  # tried and refused
        ((4, 3), (6, 4), True),  # refused, and then taken
        ((4, 3), (1, 0), True),  # restarted in between
        ((4, 3), (1, 1), False),
    ],
)
def test_a_channel_has_taken_what_was_tried_and_did_not_fail(
    before: tuple[float, float], now: tuple[float, float], has_taken: bool
) -> None:
    assert taken({"post": before}, {"post": now}, "post") is has_taken


class Pretended(Alertmanager):
    """Each look at its counts or alerts is the next of those given; the last one stays."""

    def __init__(self, counts: list[dict[str, tuple[float, float]]], alerts: list[list[dict[str, Any]]] | None = None):
        super().__init__("http://nowhere")
        object.__setattr__(self, "seen", (counts, alerts or [[]]))

    def counts(self) -> dict[str, tuple[float, float]]:
        return self._next(0)

    def alerts(self, labels: Any) -> list[dict[str, Any]]:
        return self._next(1)

    def post(self, alerts: Any) -> None:
        object.__setattr__(self, "posted", alerts)

    def _next(self, which: int) -> Any:
        left = self.seen[which]  # type: ignore[attr-defined]
        return left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PAUSE", 0.0)


def alert(**status: Any) -> dict[str, Any]:
    quiet: dict[str, Any] = {"silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    return {"labels": {}, "receivers": [{"name": "team"}, {"name": "post"}], "status": quiet | status}


def test_every_channel_that_gets_the_alert_must_take_it() -> None:
    none, some, both = ({"team": (a, 0.0), "post": (b, 0.0)} for a, b in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    good = delivery.delivered(Pretended([none, some, both], [[], [alert()]]), {}, none, 60)
    assert set(good.seconds) == {"team", "post"} and not good.missing and not good.problem
    bad = delivery.delivered(Pretended([none, some], [[alert()]]), {}, none, 0)
    assert set(bad.seconds) | set(bad.missing) == {"team", "post"} and "post" in bad.missing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds from one look to the next, and none while one looks."""
    now = [0.0]
    sleep = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(delivery, "time", sleep)
    monkeypatch.setattr(delivery, "PAUSE", 10.0)


@pytest.mark.usefixtures("clock")
def test_an_alert_that_comes_late_leaves_the_channels_their_own_time() -> None:
    none, both = ({"team": (a, 0.0), "post": (a, 0.0)} for a in (0.0, 1.0))
    late = Pretended([none] * 11 + [both], [[]] * 5 + [[alert()]])  # there at 50 s, told at 100 s
    told = delivery.delivered(late, {}, none, 60)
    assert told.seconds == {"team": 100.0, "post": 100.0} and not told.missing
    never = delivery.delivered(Pretended([none], [[]] * 5 + [[alert()]]), {}, none, 60)
    assert never.missing == ["team", "post"] and not never.seconds


@pytest.mark.usefixtures("clock")
def test_what_channels_took_of_another_alert_does_not_count() -> None:
    none, other = ({"team": (a, 0.0), "post": (a, 0.0)} for a in (0.0, 1.0))
    repeated = delivery.delivered(Pretended([none, other], [[], [], [alert()]]), {}, none, 60)
    assert repeated.missing == ["team", "post"] and not repeated.seconds
    own = other | {"team": (2.0, 0.0)}
    told = delivery.delivered(Pretended([none, other, other, own], [[], [], [alert()]]), {}, none, 60)
    assert told.seconds.keys() == {"team"} and told.missing == ["post"]


@pytest.mark.usefixtures("clock")
def test_what_is_told_at_once_as_the_alert_comes_counts() -> None:
    """It may be taken after the last look that found no alert, and before the first that does."""
    none, both = ({"team": (a, 0.0), "post": (a, 0.0)} for a in (0.0, 1.0))
    for alerts in ([[], [alert()]], [[alert()]]):
        looks = [none, both] if len(alerts) > 1 else [both]
        assert not delivery.delivered(Pretended(looks, alerts), {}, none, 60).missing


def test_an_alert_that_does_not_come_or_is_hushed_was_not_delivered() -> None:
    assert "heard of no alert" in delivery.delivered(Pretended([{}], [[]]), {"host": "a"}, {}, 0).problem
    hushed = delivery.delivered(Pretended([{}], [[alert(silencedBy=["s1"])]]), {}, {}, 0)
    assert hushed.problem == "the alert is there, and silenced or inhibited by s1" and not hushed.seconds


def test_a_channel_that_is_not_loaded_is_named() -> None:
    with pytest.raises(delivery.DeliveryError, match="has no channel post"):
        delivery.test(Pretended([{"team": (0.0, 0.0)}]), ["team", "post"], 0)


def test_an_alertmanager_that_does_not_answer_is_told() -> None:
    with pytest.raises(delivery.DeliveryError, match=r"does not answer at http://127.0.0.1:1/metrics"):
        Alertmanager("http://127.0.0.1:1").counts()


JOURNAL = r"""
level=WARN msg="Notify attempt failed" receiver=post integration=email[0] attempts=1 err="dial tcp: connection refused"
level=WARN msg="Notify attempt failed" receiver=post-2 integration=email[0] attempts=1 err="another channel's"
level=WARN msg="Notify attempt failed" receiver=post integration=email[0] attempts=2 err="550 \"no\" such user"
"""


def test_the_reason_is_the_journals_last_word_about_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    told = subprocess.CompletedProcess([], 0, JOURNAL, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: told)
    assert alert_channels._reason("post", "2026-11-29T10:00:00.000Z") == '550 "no" such user'
    assert "nothing was taken" in alert_channels._reason("team", "2026-11-29T10:00:00.000Z")


def test_what_changes_in_a_configuration_changes_its_digest(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    seen = [alert_channels._digest(tmp_path)]
    for name, text in (("a.yml", "x"), ("a.yml", "y"), ("secrets/team.url", "u"), ("secrets/team.url", "v")):
        (tmp_path / name).write_text(text)
        seen.append(alert_channels._digest(tmp_path))
    assert len(set(seen)) == 5 and alert_channels._digest(tmp_path) == seen[-1]


def test_what_was_proven_is_kept_and_what_cannot_be_read_is_tested_again(tmp_path: Path) -> None:
    state = tmp_path / "slipway" / "channels.json"
    assert alert_channels._proven(state) == {}
    alert_channels._keep(state, {"team": "d1"})
    assert alert_channels._proven(state) == {"team": "d1"}
    for damaged in ("", "[]", '{"team": '):
        state.write_text(damaged)
        assert alert_channels._proven(state) == {}
