"""The controller's side of a guarded change: a connection that the change itself cuts loses no verdict."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.slipway.ops.plugins.action import guarded_change

CUT = AnsibleConnectionFailure("Timeout, server gate1 not responding.")
UNKNOWN = {"kept": False, "changed": False, "taken_back": ""}
TAKEN_BACK = {"kept": False, "changed": False, "taken_back": "2026-12-01T10:00:00Z"}


class Action(guarded_change.ActionModule):
    """Its host answers by a script, an answer each: the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        task = MagicMock(args={"name": "door", "within": 10}, async_val=0)
        super().__init__(task, MagicMock(), MagicMock(), MagicMock(), MagicMock(), MagicMock())
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def _execute_module(self, *_: Any, module_args: dict[str, Any] | None = None, **__: Any) -> dict[str, Any]:
        self.asked.append(module_args or {})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer) | ({"attempt": self.asked[0]["attempt"]} if answer.get("made") else {})


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second per pause and none for the rest."""
    now = [0.0]
    monkeypatch.setattr(guarded_change.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(guarded_change.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


MADE = {"changed": True, "made": True}


def test_nothing_to_change_asks_for_nothing_more() -> None:
    action = Action({"changed": False})
    assert not action.run()["changed"] and len(action.asked) == 1


@pytest.mark.parametrize("first", [MADE, CUT])
def test_a_change_is_kept_over_a_fresh_connection_also_when_its_answer_was_lost(first: Any) -> None:
    action = Action(first, CUT, {"kept": True, "changed": True})
    result = action.run()
    assert result["changed"] and result["kept"] and not result.get("failed")
    words = {asked["attempt"] for asked in action.asked}
    assert len(words) == 1 and [bool(asked.get("keep")) for asked in action.asked] == [False, True, True]


@pytest.mark.parametrize("first", [MADE, CUT])
def test_who_locks_himself_out_is_told_so_also_when_the_answer_was_lost(first: Any) -> None:
    result = Action(first, CUT, TAKEN_BACK).run()
    assert result["failed"] and result["taken_back"] == TAKEN_BACK["taken_back"]
    assert "took it back at 2026-12-01T10:00:00Z" in result["msg"] and "not responding" in result["msg"]


def test_a_lost_answer_of_a_change_that_is_still_being_made_is_waited_for() -> None:
    assert Action(CUT, UNKNOWN, UNKNOWN, {"kept": True, "changed": True}).run()["kept"]


def test_a_connection_lost_before_the_change_is_no_change() -> None:
    result = Action(CUT, UNKNOWN).run()
    assert result["failed"] and "was not made" in result["msg"] and "Run again" in result["msg"]
    assert not result["changed"]


def test_a_host_that_never_answers_again_is_named_with_its_console() -> None:
    result = Action(CUT).run()
    assert result["failed"] and "console" in result["msg"]
