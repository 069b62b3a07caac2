"""One list of jobs for two runners: what is refused, what both have, and AWX as it answers."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.jobs import jobs as listed
from ansible_collections.slipway.ops.plugins.filter.jobs import standard
from ansible_collections.slipway.ops.plugins.module_utils.awx.client import AwxError, Client, Login
from ansible_collections.slipway.ops.plugins.module_utils.awx.objects import (
    Place,
    SettingsError,
    objects,
    schedules,
    templates,
)
from ansible_collections.slipway.ops.plugins.module_utils.awx.sync import Sync
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import (
    Job,
    JobsError,
    answered,
    merged,
    read_jobs,
)
from ansible_collections.slipway.ops.plugins.module_utils.jobs.run import Settings, command
from ansible_collections.slipway.ops.plugins.module_utils.jobs.schedule import ScheduleError, parse_schedule
from ansible_collections.slipway.ops.plugins.module_utils.release.guards import Said
from awx_server import TOKEN, Awx, Server, rrule_problem
from playbook import ROOT, SETTINGS, play

STANDARD = standard({"monitor": ["kiwi1"], "alertmanager": ["kiwi1"]})
PLAYBOOKS = [f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml")]
HOOK = {"operators": {"type": "webhook", "url": "https://hooks.example.test/secret-path"}}
PLACE: dict[str, Any] = {
    "organization": "kiwi",
    "project": "kiwi",
    "scm_url": "https://git.example.test/kiwi.git",
    "scm_branch": "main",
    "inventory": "production",
    "inventory_path": "hosts.yml",
    "execution_environment": "slipway",
    "image": "registry.example.test/ee:1",
    "galaxy_credentials": ("Ansible Galaxy",),
    "credentials": ("kiwi-ssh",),
    "notices": HOOK,
}


def jobs(*entries: dict[str, Any]) -> tuple[Job, ...]:
    return read_jobs(merged(STANDARD, entries, {"failure": ["operators"]}), "Asia/Seoul", ["operators"])


def problems(*entries: dict[str, Any]) -> list[str]:
    with pytest.raises(JobsError) as caught:
        read_jobs([{"name": "one", "playbook": "playbooks/health.yml"} | entry for entry in entries], "Etc/UTC")
    return caught.value.problems


@pytest.mark.parametrize(
    ("rule", "calendar", "rrule"),
    [
        ("FREQ=MINUTELY;INTERVAL=5", "*-*-* *:00/5:00 Asia/Seoul", "FREQ=MINUTELY;INTERVAL=5;BYSECOND=0"),
        ("FREQ=HOURLY;BYMINUTE=7", "*-*-* 00/1:07:00 Asia/Seoul", "FREQ=HOURLY;INTERVAL=1;BYMINUTE=7;BYSECOND=0"),
        (
            "FREQ=DAILY;BYHOUR=14,2;BYMINUTE=30",
            "*-*-* 02,14:30:00 Asia/Seoul",
            "FREQ=DAILY;INTERVAL=1;BYHOUR=2,14;BYMINUTE=30;BYSECOND=0",
        ),
        (
            "FREQ=WEEKLY;BYDAY=SU,MO;BYHOUR=7",
            "Mon,Sun *-*-* 07:00:00 Asia/Seoul",
            "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,SU;BYHOUR=7;BYMINUTE=0;BYSECOND=0",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=1;BYHOUR=3",
            "*-*-01 03:00:00 Asia/Seoul",
            "FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=1;BYHOUR=3;BYMINUTE=0;BYSECOND=0",
        ),
    ],
)
def test_a_rule_is_the_same_for_both(rule: str, calendar: str, rrule: str) -> None:
    schedule = parse_schedule(rule, "Asia/Seoul")
    assert (schedule.calendar, schedule.rrule) == (calendar, f"DTSTART;TZID=Asia/Seoul:20260101T000000 RRULE:{rrule}")
    assert rrule_problem(schedule.rrule) == ""


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("every day", "is no recurrence rule"),
        ("FREQ=SECONDLY;INTERVAL=5", "has no FREQ of"),
        ("FREQ=MINUTELY;INTERVAL=7", "a divisor of 60"),
        ("FREQ=HOURLY;INTERVAL=5", "a divisor of 24"),
        ("FREQ=DAILY;INTERVAL=2", "for DAILY it is 1"),
        ("FREQ=DAILY;BYHOUR=24", "from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=2;BYHOUR=3", "is no recurrence rule"),
        ("FREQ=WEEKLY;BYHOUR=7", "needs BYDAY"),
        ("FREQ=WEEKLY;BYDAY=1SU", "BYDAY=1SU"),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "from 1 to 28"),
        ("FREQ=MONTHLY", "needs BYMONTHDAY"),
        ("FREQ=DAILY;COUNT=3", "has COUNT, which FREQ=DAILY cannot have on both runners"),
    ],
)
def test_what_the_two_would_not_keep_alike_is_refused(rule: str, said: str) -> None:
    with pytest.raises(ScheduleError, match=re.escape(said)):
        parse_schedule(rule, "Asia/Seoul")
    with pytest.raises(ScheduleError, match="is no time zone"):
        parse_schedule("FREQ=DAILY", "Seoul")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "A b"}, "its name is of small letters"),
        ({"playbook": "../x.yml"}, "its playbook is a file of the project"),
        ({"playbook": "slipway.ops.health"}, "its playbook is a file of the project"),
        ({"schedul": "FREQ=DAILY"}, "has schedul, which no job has"),
        ({"schedule": "daily"}, "is no recurrence rule"),
        ({"approval": "soon"}, "its approval:"),
        ({"notify": {"failure": ["nobody"]}}, "nobody is told as nobody"),
        ({"notify": {"end": []}}, "notify has end"),
        ({"schedule": "FREQ=DAILY", "survey": [{"variable": "version"}]}, "nobody is there to answer version"),
        ({"survey": [{"variable": "x", "type": "choice"}]}, "choices are of choice alone"),
        ({"survey": [{"variable": "x", "type": "integer", "default": "two"}]}, "wanted is a whole number"),
        ({"survey": [{"variable": "x", "type": "password", "default": "hush"}]}, "a password that everybody reads"),
    ],
)
def test_a_job_that_cannot_be_meant_is_one_sentence(entry: dict[str, Any], said: str) -> None:
    (problem,) = problems(entry)
    assert said in problem and "hush" not in problem


def test_two_of_a_name_and_all_that_is_wrong_is_said_at_once() -> None:
    assert "job one: there are two of that name." in problems({}, {})
    assert len(problems({"playbook": ""}, {"name": "two", "schedule": "x"})) == 2


def test_an_inventory_changes_adds_and_leaves_out() -> None:
    known = {job.name: job for job in jobs({"name": "drill", "enabled": False}, {"name": "health", "limit": "app"})}
    assert "drill" not in known
    assert (known["health"].limit, known["health"].playbook) == ("app", "playbooks/health.yml")
    assert known["health"].notify == {"failure": ("operators",)}


def test_what_is_for_a_group_is_there_where_the_group_has_hosts() -> None:
    names: dict[str, set[str]] = {
        "monitor": {"measure", "report", "report-day"},
        "alertmanager": {"alert-test"},
        "edge": set(),
    }
    for group, wanted in names.items():
        found = standard({"alertmanager": [], group: ["kiwi1"]})
        there = {job.name for job in read_jobs(found, "Etc/UTC")}
        assert there & {"measure", "report", "report-day", "alert-test"} == wanted
        assert "health" in there
    changed = listed([{"name": "alert-test", "schedule": "FREQ=DAILY;BYHOUR=3"}], {"monitor": ["kiwi1"]})
    assert "alert-test" not in {entry["name"] for entry in changed}


def test_a_day_and_a_week_have_their_report() -> None:
    known = {job.name: job for job in jobs() if job.playbook == "playbooks/report.yml"}
    told = {name: (job.variables["period"], job.schedule and job.schedule.calendar) for name, job in known.items()}
    assert told == {
        "report-day": ("24h", "*-*-* 06:30:00 Asia/Seoul"),
        "report": ("7d", "Mon *-*-* 06:00:00 Asia/Seoul"),
    }


def test_answers_are_held_against_the_survey() -> None:
    deploy = next(job for job in jobs() if job.name == "deploy")
    assert answered(deploy, {"service": "shop", "version": "1"}) == {"service": "shop", "version": "1"}
    for given, said in (({"service": "shop"}, "version is missing"), ({"verson": "1"}, "verson is asked by nobody")):
        with pytest.raises(JobsError, match=said):
            answered(deploy, given)


@pytest.fixture
def awx() -> Any:
    state = Awx(PLAYBOOKS, page=3)
    state.create("credentials", {"name": "kiwi-ssh"})
    with Server(state) as server:
        state.url = server.url  # type: ignore[attr-defined]
        yield state


def apply(awx: Awx, listed: tuple[Job, ...], check: bool = False, **changes: Any) -> Sync:
    sync = Sync(Client(Login(awx.url, TOKEN)), check, sleep=lambda _: None)  # type: ignore[attr-defined]
    sync.apply(list(objects(Place(**(PLACE | changes)), listed)))
    return sync


def one(awx: Awx, kind: str, name: str) -> dict[str, Any]:
    return next(body for body in awx.objects[kind].values() if name in (body.get("name"), body.get("identifier")))


def test_a_second_run_changes_nothing(awx: Awx) -> None:
    assert apply(awx, jobs(), check=True).changed and not awx.requests, "check mode writes nothing"
    assert apply(awx, jobs()).changed
    awx.requests.clear()
    second = apply(awx, jobs())
    assert (second.made, second.changes, awx.requests) == ([], [], [])


def test_the_two_runners_have_the_same_jobs(awx: Awx) -> None:
    """What AWX holds after the run, against what the timers' program runs of the same list."""
    listed = jobs(
        {"name": "patch", "playbook": "playbooks/site.yml", "limit": "app", "check": True, "variables": {"a": [1, "x"]}}
    )
    apply(awx, listed)
    timers = Settings("kiwi", "/srv/project", "hosts.yml", "ansible-playbook", listed, HOOK)
    assert {body["name"] for body in awx.objects["job_templates"].values()} == {job.name for job in listed}
    for job in listed:
        body = one(awx, "job_templates", job.name)
        argv = command(timers, job, "v.json")
        assert argv[-1] == body["playbook"]
        assert ("--limit" in argv) == bool(body["limit"]) and (not job.limit or body["limit"] in argv)
        assert ("--check" in argv) == (body["job_type"] == "check") and ("--diff" in argv) == body["diff_mode"]
        assert json.loads(body["extra_vars"]) == job.variables and body["timeout"] == job.timeout
        asked = awx.surveys.get(("job_templates", body["id"]), {"spec": []})["spec"]
        assert [(q["variable"], q["required"]) for q in asked] == [(q.variable, q.required) for q in job.survey]
        starts = one(awx, "workflow_job_templates", f"{job.name}-approved") if job.approval else body
        kind = "workflow_job_templates" if job.approval else "job_templates"
        told = awx.links.get((kind, starts["id"], "notification_templates_error"), [])
        assert [awx.objects["notification_templates"][at]["name"] for at in told] == ["operators"]
    scheduled = {body["name"]: body["rrule"] for body in awx.objects["schedules"].values()}
    assert scheduled == {job.name: job.schedule.rrule for job in listed if job.schedule}


def test_an_approval_comes_before_the_job_and_ends_in_no(awx: Awx) -> None:
    apply(awx, jobs())
    nodes = {body["identifier"]: body for body in awx.objects["workflow_job_template_nodes"].values()}
    workflow = one(awx, "workflow_job_templates", "deploy-approved")
    nodes = {
        body["identifier"]: body
        for body in awx.objects["workflow_job_template_nodes"].values()
        if body["workflow_job_template"] == workflow["id"]
    }
    approve, run = nodes["approve"], nodes["run"]
    assert awx.links[("workflow_job_template_nodes", approve["id"], "success_nodes")] == [run["id"]]
    assert ("workflow_job_template_nodes", run["id"], "success_nodes") not in awx.links
    assert awx.objects["workflow_approval_templates"][approve["unified_job_template"]]["timeout"] == 4 * 3600
    assert run["unified_job_template"] == one(awx, "job_templates", "deploy")["id"]


def test_who_hears_of_failures_hears_that_an_approval_is_waited_for(awx: Awx) -> None:
    """Silence is a no, so somebody has to know; AWX has a message of its own for it, with other words in it."""
    apply(awx, jobs({"name": "patch", "notify": {"approval": []}}))
    notice = one(awx, "notification_templates", "operators")

    def told(name: str) -> list[int]:
        workflow = one(awx, "workflow_job_templates", f"{name}-approved")
        return awx.links.get(("workflow_job_templates", workflow["id"], "notification_templates_approvals"), [])

    assert told("deploy") == [notice["id"]] and told("patch") == []
    words = {state: json.loads(text["body"]) for state, text in notice["messages"]["workflow_approval"].items()}
    assert words.keys() == {"running", "approved", "timed_out", "denied"}
    assert "{{ approval_node_name }}" in words["running"]["text"] and "{{ workflow_url }}" in words["running"]["text"]
    assert "{{ job" not in str(words), "an approval has none"


def test_what_was_changed_by_hand_is_told_and_put_back(awx: Awx) -> None:
    apply(awx, jobs())
    one(awx, "job_templates", "health")["limit"] = "app1"
    one(awx, "job_templates", "drill")["extra_vars"] = "---\nforce: yes"
    one(awx, "schedules", "drift")["enabled"] = False
    deploy = one(awx, "job_templates", "deploy")["id"]
    del awx.surveys[("job_templates", deploy)]["spec"][1:]
    awx.links[("job_templates", deploy, "credentials")].clear()
    approval = next(iter(awx.objects["workflow_approval_templates"].values()))
    approval["timeout"] = 1
    awx.create(
        "job_templates",
        {"name": "by hand", "project": 1, "playbook": "playbooks/site.yml"}
        | {"project": one(awx, "projects", "kiwi")["id"]},
    )
    awx.requests.clear()
    told = apply(awx, jobs(), check=True).changes
    assert awx.requests == []
    for said in (
        "job_templates health: limit app1 → ",
        "job_templates drill: extra_vars ---",
        "schedules drift: enabled false → true",
        "job_templates deploy: survey ['service'] → ['service', 'version', 'change', 'approved_by', 'override']",
        "job_templates deploy: credentials + kiwi-ssh",
        "timeout 1 → 14400",
    ):
        assert [line for line in told if said in line], (said, told)
    put = apply(awx, jobs())
    assert put.changes == told
    assert put.foreign("job_templates", "kiwi", templates(jobs())["job_templates"]) == ["by hand"]
    again = apply(awx, jobs())
    assert (again.made, again.changes) == ([], [])


def unschedule(awx: Awx, listed: tuple[Job, ...], check: bool = False) -> tuple[Sync, list[str]]:
    wanted = list(objects(Place(**PLACE), listed))
    sync = Sync(Client(Login(awx.url, TOKEN)), check, sleep=lambda _: None)  # type: ignore[attr-defined]
    sync.apply(wanted)
    return sync, sync.unschedule("kiwi", wanted, schedules(listed))


def timed(awx: Awx) -> set[tuple[str, str]]:
    """Schedules as AWX runs them: name, and of which template."""
    names = {
        body["id"]: body["name"]
        for kind in ("job_templates", "workflow_job_templates")
        for body in awx.objects[kind].values()
    }
    return {(one["name"], names[one["unified_job_template"]]) for one in awx.objects["schedules"].values()}


MONTHLY = {"name": "patch", "schedule": "FREQ=MONTHLY;BYMONTHDAY=10;BYHOUR=2"}


@pytest.mark.parametrize("marked", [True, False], ids=["of this version", "of one before"])
def test_an_approval_that_is_added_to_a_scheduled_job_is_asked_for(awx: Awx, marked: bool) -> None:
    unschedule(awx, jobs(MONTHLY | {"approval": 0}))
    assert ("patch", "patch") in timed(awx)
    if not marked:
        for schedule in awx.objects["schedules"].values():
            schedule["description"] = ""
    awx.requests.clear()
    told, _ = unschedule(awx, jobs(MONTHLY), check=True)
    assert "schedules patch: of patch, removed" in told.changes and awx.requests == []
    unschedule(awx, jobs(MONTHLY))
    assert ("patch", "patch-approved") in timed(awx) and ("patch", "patch") not in timed(awx)
    again, others = unschedule(awx, jobs(MONTHLY))
    assert (again.made, again.changes, others) == ([], [], [])
    unschedule(awx, jobs(MONTHLY | {"approval": 0}))
    assert ("patch", "patch") in timed(awx) and ("patch", "patch-approved") not in timed(awx)


@pytest.mark.parametrize("entry", [{"enabled": False}, {"schedule": ""}])
def test_a_schedule_that_leaves_the_list_leaves_awx(awx: Awx, entry: dict[str, Any]) -> None:
    unschedule(awx, jobs())
    assert ("drift", "drift") in timed(awx)
    unschedule(awx, jobs({"name": "drift"} | entry))
    assert ("drift", "drift") not in timed(awx) and ("health", "health") in timed(awx)


def test_a_schedule_that_somebody_made_by_hand_is_told_and_left(awx: Awx) -> None:
    unschedule(awx, jobs())
    health = one(awx, "job_templates", "health")["id"]
    awx.create(
        "schedules",
        {"name": "at night", "rrule": one(awx, "schedules", "health")["rrule"], "unified_job_template": health},
    )
    told, others = unschedule(awx, jobs())
    assert told.changes == [] and others == ["schedules at night of health"] and ("at night", "health") in timed(awx)


def test_a_credential_is_exchanged_for_another_of_its_type(awx: Awx) -> None:
    """AWX refuses a template's second credential of a type, but for vaults."""
    for name in ("ssh1", "ssh2"):
        awx.create("credentials", {"name": name, "credential_type": 1})
    apply(awx, jobs(), credentials=("ssh1",))
    apply(awx, jobs(), credentials=("ssh2",))
    again = apply(awx, jobs(), credentials=("ssh2",))
    assert again.changes == []


def test_a_webhook_that_differs_is_told_without_its_secret(awx: Awx) -> None:
    apply(awx, jobs())
    one(awx, "notification_templates", "operators")["notification_configuration"]["url"] = (
        "https://hooks.test/other-secret"
    )
    told = apply(awx, jobs()).changes
    assert told == ["notification_templates operators: notification_configuration differs in url"]


def test_without_a_galaxy_credential_nothing_is_installed_so_it_is_refused(awx: Awx) -> None:
    """ansible/awx: an organization made by the API has none, and the update that installs nothing is successful."""
    apply(awx, jobs())
    assert list(awx.installed.values()) == [True]
    with pytest.raises(SettingsError, match="passes over requirements"):
        apply(awx, jobs(), galaxy_credentials=())
    organization = one(awx, "organizations", "kiwi")["id"]
    awx.links[("organizations", organization, "galaxy_credentials")].clear()
    assert "organizations kiwi: galaxy_credentials + Ansible Galaxy" in apply(awx, jobs()).changes


def test_refusals_are_told_with_what_was_tried(awx: Awx) -> None:
    url = awx.url  # type: ignore[attr-defined]
    with pytest.raises(AwxError, match=r"GET http://127.*/credentials/.*: 401 .*; is the token right"):
        Sync(Client(Login(url, "wrong"))).apply(list(objects(Place(**PLACE), jobs())))
    with pytest.raises(AwxError, match="playbook: Playbook not found for project"):
        apply(awx, jobs({"name": "odd", "playbook": "playbooks/nosuch.yml"}))
    with pytest.raises(AwxError, match="credentials has no 'nosuch'; make it by hand"):
        apply(awx, jobs(), credentials=("nosuch",))
    with pytest.raises(AwxError, match="is not https"):
        Client(Login("http://awx.example.test", TOKEN))
    with pytest.raises(AwxError, match="Connection refused"):
        Client(Login("http://127.0.0.1:9", TOKEN)).version()


def test_the_job_that_deploys_asks_for_all_that_its_guards_hear() -> None:
    """Else one that somebody has approved ends with 'A release needs the approval of …'."""
    deploy = next(job for job in jobs() if job.name == "deploy")
    asked = {question.variable: question for question in deploy.survey}
    heard = {field.name for field in dataclasses.fields(Said)} - {"by"}
    taken = yaml.safe_load((ROOT / "playbooks/arguments/deploy.yml").read_text())["options"]
    assert heard <= asked.keys() and heard <= taken.keys()
    assert not any(asked[name].required for name in heard)
    given = {"service": "shop", "version": "1.2.0"}
    assert answered(deploy, given) == given, "who needs none is asked for none"
    assert answered(deploy, given | {"change": "CHG-1"}) == given | {"change": "CHG-1"}


def test_the_playbook_applies_twice_as_an_operator_does(awx: Awx, tmp_path: Path) -> None:
    given = {
        "awx_url": awx.url,  # type: ignore[attr-defined]
        "awx_token": TOKEN,
        "awx_scm_url": "https://git.example.test/kiwi.git",
        "awx_credentials": ["kiwi-ssh"],
        "jobs_notices": HOOK,
        "jobs_notify": {"failure": ["operators"]},
    }
    (tmp_path / "hosts.yml").write_text("all: {hosts: {kiwi1: {ansible_host: 192.0.2.1}}}\n")
    first = play("awx", tmp_path / "hosts.yml", "--diff", "-vvv", **given)
    assert first.code == 0 and first.changed == 1, first.output
    assert "hooks.example.test" not in first.output, "a webhook's URL is a secret"
    assert "+ job_templates deploy" in first.output and TOKEN not in first.output
    second = play("awx", tmp_path / "hosts.yml", "--diff", **given)
    assert second.code == 0 and second.changed == 0, second.output
    one(awx, "job_templates", "health")["limit"] = "app1"
    shown = play("awx", tmp_path / "hosts.yml", "--check", "--diff", **given)
    assert "~ job_templates health: limit app1" in shown.output and one(awx, "job_templates", "health")["limit"]
    assert "awx_url and awx_scm_url say where" in play("awx", tmp_path / "hosts.yml").said


@pytest.mark.parametrize("job", jobs(), ids=lambda job: job.name)
def test_each_job_s_playbook_is_one_that_ansible_takes(job: Job, tmp_path: Path) -> None:
    """As ansible-runner calls it: in the project, the inventory and the variables as files, no terminal."""
    (tmp_path / "hosts").write_text("[app]\napp1\n[postgresql]\ndb1\n[monitor]\nmonitor1\n")
    (tmp_path / "extravars.json").write_text(json.dumps(dict(job.variables)))
    settings = Settings("kiwi", str(ROOT), str(tmp_path / "hosts"), "ansible-playbook", (job,), HOOK)
    argv = [*command(settings, job, str(tmp_path / "extravars.json")), "--syntax-check"]
    done = subprocess.run(
        argv, cwd=ROOT, env=os.environ | SETTINGS, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
