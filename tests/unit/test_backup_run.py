"""Starting a backup and following what it says, from the host's side and from the controller's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.ops.plugins.action import backup_run, drill_run
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, Busy, program, service
from ansible_collections.slipway.ops.plugins.module_utils.data.drill import program as drill

ROLES = Path(__file__).resolve().parents[2] / "roles"
RESULT = {"id": "data.backup.incr", "verdict": "pass", "reason": None}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """systemd's view of the service, and the place of its diary."""
    incremental = service.Service("incr", runtime=str(tmp_path))
    incremental.diary.parent.mkdir()
    seen = SimpleNamespace(run="a", state="activating", service=incremental, diary=incremental.diary)
    monkeypatch.setattr(service, "_state", lambda kind: (seen.run, seen.state))
    monkeypatch.setattr(service, "_journal", lambda kind, run: "It said: no such stanza")
    return seen


def entries(*found):
    return "".join(json.dumps(entry) + "\n" for entry in found)


def test_what_was_said_is_told_once(host):
    host.diary.write_text(entries({"run": "a"}, {"line": "one"}) + '{"line": "tw')
    heard = service.follow(host.service, "a", 0, 0.0)
    assert (heard.lines, heard.results) == (["one"], None)
    host.diary.write_text(entries({"run": "a"}, {"line": "one"}, {"line": "two"}, {"results": [RESULT]}))
    heard = service.follow(host.service, "a", heard.offset, 0.0)
    assert (heard.lines, heard.results) == (["two"], [RESULT])


def test_the_diary_of_another_run_is_not_told(host):
    host.diary.write_text(entries({"run": "before"}, {"line": "old"}, {"results": []}))
    assert service.follow(host.service, "a", 0, 0.0) == service.Heard(0)


def test_a_run_that_ended_without_results_is_an_error(host):
    host.diary.write_text(entries({"run": "a"}, {"line": "one"}))
    host.state = "failed"
    assert service.follow(host.service, "a", 0, 0.0).lines == ["one"]  # what it said comes first
    with pytest.raises(BackupError, match=r"ended without results. It said: no such stanza"):
        service.follow(host.service, "a", len(host.diary.read_bytes()), 0.0)


def test_a_run_under_way_is_joined(host, monkeypatch):
    assert service.begin(host.service) == ("a", True)
    host.state = "inactive"

    def start(*arguments):
        host.run = "b"
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(service, "_systemctl", start)
    assert service.begin(host.service) == ("b", False)
    monkeypatch.setattr(service, "_systemctl", lambda *_: SimpleNamespace(returncode=5, stderr="Unit not found.\n"))
    with pytest.raises(BackupError, match=r"cannot be started: Unit not found.; has its role"):
        service.begin(host.service)


class Host:
    """Answers of the module, one after the other, as an action plugin gets them."""

    def __init__(self, monkeypatch, *answers):
        self.answers = list(answers)
        self.asked: list[dict] = []
        self.shown: list[str] = []
        monkeypatch.setattr(backup_run, "RETRY", 0.01)
        monkeypatch.setattr(backup_run, "Display", lambda: SimpleNamespace(display=self.shown.append))
        monkeypatch.setattr(backup_run.ActionBase, "run", lambda *_: {})

    def run(self, plugin=backup_run, **arguments):
        action = plugin.ActionModule.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=arguments)
        action._execute_module = self.execute
        return action.run(task_vars={"inventory_hostname": "backup1"})

    def execute(self, module_args, task_vars):
        self.asked.append(module_args)
        return dict(self.answers.pop(0))


def said(run="a", offset=1, lines=(), **more):
    return {"changed": True, "run": run, "offset": offset, "lines": list(lines), "joined": False, **more}


def test_lines_are_shown_as_they_come(monkeypatch):
    host = Host(monkeypatch, said(lines=["one"]), said(offset=2), said(offset=3, lines=["two"], results=[RESULT]))
    answer = host.run(type="incr")
    assert answer["results"] == [RESULT] and not answer.get("failed")
    assert host.shown == ["backup1: one", "backup1: two"]
    assert [(asked.get("run"), asked.get("offset")) for asked in host.asked] == [(None, None), ("a", 1), ("a", 2)]


def test_a_lost_connection_does_not_end_it(monkeypatch):
    host = Host(monkeypatch, said(), {"unreachable": True}, said(results=[RESULT]))
    assert host.run(type="full")["results"] == [RESULT]
    assert host.asked[-1]["run"] == "a" and any("its backup goes on" in line for line in host.shown)
    assert Host(monkeypatch, {"unreachable": True}).run(type="full")["unreachable"]


def test_a_skipped_one_is_tried_again_if_wanted(monkeypatch):
    skipped = said(results=[{**RESULT, "verdict": "skip", "reason": "another backup of main is running"}])
    assert Host(monkeypatch, skipped).run(type="incr")["results"][0]["verdict"] == "skip"
    host = Host(monkeypatch, skipped, skipped, said(results=[RESULT]))
    assert host.run(type="incr", wait=60)["results"] == [RESULT]
    standby = said(results=[{**RESULT, "verdict": "skip", "reason": "main is a standby here"}])
    assert Host(monkeypatch, standby).run(type="incr", wait=60)["results"][0]["verdict"] == "skip"


@pytest.mark.parametrize("kind", ["full", "verify"])
def test_what_only_this_run_would_have_made_is_no_success_without_it(monkeypatch, kind):
    skipped = said(results=[{**RESULT, "verdict": "skip", "reason": "a backup of standby-cache is under way"}])
    answer = Host(monkeypatch, skipped).run(type=kind)
    assert answer["failed"] and answer["msg"] == f"{kind} was not made: a backup of standby-cache is under way"


def test_a_failed_one_fails_with_its_reason(monkeypatch):
    failed = said(results=[{**RESULT, "verdict": "fail", "reason": "the disk is full"}])
    answer = Host(monkeypatch, failed).run(type="incr", wait=60)
    assert answer["failed"] and answer["msg"] == "the disk is full"


def found(verdict):
    return [
        Result("data.backup.incr", "data", "main", "It is made", verdict, reason=None if verdict == "pass" else "x")
    ]


@pytest.mark.parametrize(("verdict", "status"), [("pass", 0), ("skip", 0), ("fail", service.RECORDED)])
def test_a_failure_that_is_recorded_is_told_from_one_that_is_not(tmp_path, monkeypatch, verdict, status):
    (tmp_path / "postgresql.json").write_text("{}")
    places = ["--configuration", str(tmp_path), "--runtime", str(tmp_path)]
    made = SimpleNamespace(back_up=lambda *given: found(verdict))
    monkeypatch.setattr(program.engine, "load", lambda name: made)
    monkeypatch.setattr(program, "record", lambda *given: [])
    monkeypatch.setattr(drill.os, "geteuid", lambda: 0)
    monkeypatch.setattr(drill, "perform", lambda *given: found(verdict))
    assert program.main(["incr", "--engine", "postgresql", *places]) == status
    assert drill.main(["postgresql", *places]) == status
    (tmp_path / "postgresql.json").write_text("{")  # and nothing is recorded
    assert program.main(["incr", "--engine", "postgresql", *places]) == 1
    assert drill.main(["postgresql", *places]) == 1


def test_cleaning_after_a_drill_leaves_one_that_is_under_way_alone(tmp_path, monkeypatch, capsys):
    def sweep(settings):
        raise Busy("another drill is under way")

    (tmp_path / "redis.json").write_text("{}")
    monkeypatch.setattr(drill.os, "geteuid", lambda: 0)
    monkeypatch.setattr(drill.engine, "load", lambda name: SimpleNamespace(sweep=sweep))
    assert drill.main(["redis", "--clean", "--configuration", str(tmp_path)]) == 0, "it is no failure of the unit"
    assert "another drill is under way" in capsys.readouterr().out


def test_who_asks_for_a_drill_hears_that_it_was_skipped(monkeypatch):
    skipped = {**RESULT, "id": "data.drill.redis.result", "verdict": "skip"}
    answer = Host(monkeypatch, said(results=[skipped | {"reason": "a backup is under way"}])).run(
        drill_run, engine="redis"
    )
    assert answer["failed"] and answer["msg"] == "No drill was made: a backup is under way"
    standby = said(results=[skipped | {"reason": "this server is a standby; its primary is drilled"}])
    assert not Host(monkeypatch, standby).run(drill_run, engine="postgresql").get("failed")


@pytest.mark.parametrize(
    "unit", ["pgbackrest/templates/slipway-backup@.service.j2", "drill/templates/slipway-drill@.service.j2"]
)
def test_what_is_recorded_fails_no_unit(unit):
    assert f"\nSuccessExitStatus={service.RECORDED}\n" in (ROLES / unit).read_text(encoding="utf-8")
