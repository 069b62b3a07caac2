"""Users are told before, while and after; a release of which they were not told early enough does not begin."""

from __future__ import annotations

import datetime
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import INVENTORY, KEPT, Users, hook, notice
from playbook import play

SEOUL = ZoneInfo("Asia/Seoul")
THEN = datetime.datetime.now(SEOUL) + datetime.timedelta(days=2)
AT = f"{THEN:%Y-%m-%d} 02:00"
WORK = {"at": AT, "minutes": 90, "text": "Payments pause <for> a minute."}


def test_users_are_told_once_and_every_edge_shows_it(users: Users) -> None:
    run = notice(**WORK)
    assert run.code == 0 and f"{AT} to {THEN:%Y-%m-%d} 03:30 Asia/Seoul, planned, told " in run.output, run.output
    (mail,) = users.mails
    assert "users@example.test" in mail["to"] and mail["subject"] == f"shop: work on {AT} (Asia/Seoul)"
    (post,) = users.posts
    for text in (post, mail["parts"]["text/plain"]):
        assert f"We work on shop from {AT} to {THEN:%Y-%m-%d} 03:30 (Asia/Seoul)." in text
        assert "Payments pause <for> a minute." in text and "Questions: help@example.test" in text
    assert "Payments pause &lt;for&gt; a minute." in mail["parts"]["text/html"]
    style = "curl --silent --fail --header 'Host: status.example.test' http://127.0.0.1/status/style.css"
    assert "max-width" in users.edges["edge2"].check_output(style)
    for page in users.pages():
        assert AT in page and "Payments pause &lt;for&gt; a minute." in page and "Nothing is going on." in page

    again = notice(**WORK)
    assert again.code == 0 and not again.changed and len(users.mails) == 1, again.output


def test_a_dry_run_tells_nobody(users: Users) -> None:
    run = notice("--check", **WORK)
    assert run.code == 0 and users.mails == [] and users.posts == [], run.output
    assert users.kept() == {"notices": []}


def test_what_was_planned_makes_way_and_is_called_off(users: Users) -> None:
    notice(**WORK)
    later = f"{THEN:%Y-%m-%d} 03:00"
    assert "1 planned" in notice(at=later).output
    assert all(later in page and AT not in page for page in users.pages())
    run = notice(cancel=True)
    assert run.code == 0 and "shop: nothing planned" in run.output, run.output
    assert [mail["subject"] for mail in users.mails][2:] == ["shop: the planned work is cancelled"]
    assert all("Nothing is planned." in page and "cancelled" in page for page in users.pages())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"at": "2020-01-01 02:00"}, "2020-01-01 02:00 Asia/Seoul is over: nobody can be told before."),
        ({"at": "tomorrow"}, "at is a time such as '2026-12-03 02:00', not 'tomorrow'."),
        ({"at": AT, "minutes": 0}, "minutes is how long it may take, more than 0"),
        ({"at": AT, "cancel": True}, "Say at or cancel, not both."),
        ({"service": "ship", "at": AT}, "Say which service with -e service=NAME (known: shop)."),
    ],
)
def test_what_cannot_be_meant_is_refused_and_tells_nobody(users: Users, said: dict[str, Any], words: str) -> None:
    run = play("notice", INVENTORY, **{"service": "shop"} | said)
    assert run.code != 0 and words in run.said and "Nothing was changed." in run.said, run.output
    assert users.mails == []


def test_who_cannot_be_told_was_not_told(users: Users) -> None:
    users.edges["edge1"].check_output("systemctl stop mail-sink")
    run = notice(**WORK)
    assert run.code != 0 and "No mail was sent: " in run.said, run.output
    assert users.kept() == {"notices": []}


def test_a_release_that_nobody_was_told_of_does_not_begin_but_a_way_back_does(users: Users) -> None:
    run = hook("before_start")
    assert run.code != 0 and "Nobody was told of work on shop at this time, and 24 hours' notice is due" in run.said
    users.told_hours_before(23)
    run = hook("before_start")
    assert run.code != 0 and "Users of shop were told 23.0 hours before, and 24 are due (notices_hours)." in run.said
    assert hook("before_start", action="rollback").code == 0
    assert all("Nothing is going on." in page for page in users.pages())


def test_users_see_that_it_goes_on_and_hear_that_it_is_over(users: Users) -> None:
    users.told_hours_before(25)
    assert hook("before_start").code == 0
    assert all("Work is going on now; it is over by " in page and "Payments pause." in page for page in users.pages())
    left = users.edges["edge1"].check_output("cat /var/lib/slipway/results/*notices.jsonl | tail -1")
    record = json.loads(left)
    assert (record["id"], record["subject"], record["verdict"]) == ("delivery.notice.told", "shop", "pass")
    assert (record["measured"], record["limit"], record["unit"]) == (25.0, ">= 24", "h")

    assert hook("done").code == 0
    assert [mail["subject"] for mail in users.mails] == ["shop: the work is over"] and len(users.posts) == 1
    assert all("Nothing is going on." in page and "<i>done</i>" in page for page in users.pages())
    run = hook("done")
    assert run.code == 0 and not run.changed and len(users.mails) == 1


def test_an_override_is_kept_as_one_and_a_release_taken_back_is_called_off(users: Users) -> None:
    assert hook("before_start", override="orders are lost").code == 0
    record = json.loads(users.edges["edge2"].check_output("cat /var/lib/slipway/results/latest.json"))
    assert "Overridden: orders are lost" in json.dumps(record)
    assert hook("failed").code == 0
    (mail,) = users.mails
    assert mail["subject"] == "shop: the work was called off" and "was called off." in mail["parts"]["text/plain"]
    assert hook("before_start").code != 0, "nobody had been told of it"


def test_a_release_does_not_fail_for_a_mail_that_cannot_be_sent(users: Users) -> None:
    users.told_hours_before(25)
    hook("before_start")
    users.edges["edge1"].check_output("systemctl stop mail-sink")
    run = hook("done")
    assert run.code == 0 and "users of shop were not told that it is over" in run.output, run.output
    assert all("<i>done</i>" in page for page in users.pages())


def test_what_cannot_be_read_costs_no_release(users: Users) -> None:
    users.edges["edge1"].check_output(f"echo '[broken' > {KEPT}")
    run = hook("done")
    assert run.code == 0 and "were not told that it is over" in run.output and "cannot be read" in run.said, run.output


def test_a_way_back_of_an_old_time_tells_nobody(users: Users) -> None:
    users.known({"at": 1e9, "until": 1e9 + 60, "told": 1, "state": "done", "changed": 1e9})
    assert hook("done", action="rollback").code == 0 and users.mails == []
