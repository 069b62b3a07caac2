"""Silences that Slipway opens and closes itself, as Alertmanager's API has them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import Alertmanager, DeliveryError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.silence import closed, opened

RELEASE = "release of shop"
SHOP = {"proxy": ["shop"]}


class Kept(Alertmanager):
    """Keeps silences as Alertmanager does: one that is sent with an id replaces that one."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        object.__setattr__(self, "kept", {})

    def silences(self) -> list[dict[str, Any]]:
        return list(self.kept.values())  # type: ignore[attr-defined]

    def silence(self, silence: Any) -> None:
        id = silence.get("id", f"s{len(self.silences())}")
        self.kept[id] = {**silence, "id": id, "status": {"state": "active"}}  # type: ignore[attr-defined]

    def unsilence(self, id: str) -> None:
        self.kept[id]["status"]["state"] = "expired"  # type: ignore[attr-defined]


def left(silence: dict[str, Any]) -> float:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (datetime.datetime.fromisoformat(silence["endsAt"]) - now).total_seconds()


@pytest.fixture
def alertmanager() -> Kept:
    return Kept()


def test_one_is_opened_once_and_prolonged_when_half_of_it_is_over(alertmanager: Kept) -> None:
    assert opened(alertmanager, RELEASE, SHOP, 900)
    assert not opened(alertmanager, RELEASE, SHOP, 900)
    assert opened(alertmanager, RELEASE, SHOP, 7200)  # of which the first lasts for less than half
    (silence,) = alertmanager.silences()
    assert 7100 < left(silence) <= 7200
    assert silence["matchers"] == [{"name": "proxy", "value": "shop", "isRegex": False, "isEqual": True}]
    assert (silence["createdBy"], silence["comment"]) == ("slipway", RELEASE)


def test_several_values_are_one_expression_that_means_just_them(alertmanager: Kept) -> None:
    opened(
        alertmanager, "maintenance", {"instance": ["https://a.test", "http://a.test"], "alertname": ["SiteDown"]}, 60
    )
    first, second = alertmanager.silences()[0]["matchers"]
    assert (first["name"], first["value"], first["isRegex"]) == ("alertname", "SiteDown", False)
    assert (second["value"], second["isRegex"]) == (r"https://a\.test|http://a\.test", True)


def test_closing_leaves_a_moment_in_which_alerts_see_the_end(alertmanager: Kept) -> None:
    opened(alertmanager, RELEASE, SHOP, 900)
    assert closed(alertmanager, RELEASE, grace=120)
    assert 100 < left(alertmanager.silences()[0]) <= 120
    assert not closed(alertmanager, RELEASE, grace=120)
    assert closed(alertmanager, RELEASE)
    assert alertmanager.silences()[0]["status"]["state"] == "expired"
    assert not closed(alertmanager, RELEASE)


def test_what_people_opened_and_other_releases_are_left_alone(alertmanager: Kept) -> None:
    opened(alertmanager, "release of other", {"proxy": ["other"]}, 900)
    opened(alertmanager, RELEASE, SHOP, 900)
    alertmanager.kept["s1"]["createdBy"] = "ann"  # type: ignore[attr-defined]
    assert not closed(alertmanager, RELEASE)
    assert opened(alertmanager, RELEASE, SHOP, 900) and len(alertmanager.silences()) == 3


def test_a_look_changes_nothing(alertmanager: Kept) -> None:
    assert opened(alertmanager, RELEASE, SHOP, 900, look_only=True) and not alertmanager.silences()
    opened(alertmanager, RELEASE, SHOP, 900)
    assert closed(alertmanager, RELEASE, look_only=True)
    assert alertmanager.silences()[0]["status"]["state"] == "active"


def test_answers_of_another_form_are_named(alertmanager: Kept) -> None:
    alertmanager.kept["s0"] = {"id": "s0"}  # type: ignore[attr-defined]
    with pytest.raises(DeliveryError, match="silences of another form: KeyError"):
        opened(alertmanager, RELEASE, SHOP, 900)
