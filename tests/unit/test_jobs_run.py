"""``slipway-job run``: what a job is told, who may start one, and what is left of one that is stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.jobs import run as program
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError, read_jobs

JOBS: list[dict[str, Any]] = [
    {"name": "site", "playbook": "playbooks/site.yml", "approval": "1m"},
    {"name": "rollback", "playbook": "playbooks/rollback.yml", "survey": [{"variable": "service"}]},
    {
        "name": "deploy",
        "playbook": "playbooks/deploy.yml",
        "approval": "1m",
        "survey": [{"variable": "service"}, {"variable": "approved_by", "required": False}],
    },
    {"name": "open", "playbook": "playbooks/open.yml", "survey": [{"variable": "code", "type": "password"}]},
]
# Stands for ansible-playbook: keeps what it was told, and waits where it is asked to.
FAKE = """#!{python}
import json, os, pathlib, signal, sys, time
told = pathlib.Path({told!r})
variables = json.load(open(sys.argv[sys.argv.index("--extra-vars") + 1].removeprefix("@")))
told.with_suffix(".new").write_text(json.dumps(variables | {{"pid": os.getpid()}}))
told.with_suffix(".new").rename(told)
print("it began", flush=True)
time.sleep(float(os.environ.get("FAKE_SLEEP", 0)))
"""
STARTED = """
import sys
sys.path[:0] = [{conftest!r}]
import conftest
from pathlib import Path
from ansible_collections.slipway.ops.plugins.module_utils.jobs import run
run.read_settings = lambda: run_settings
jobs = run.read_jobs({jobs!r}, "Etc/UTC")
run_settings = run.Settings("kiwi", {project!r}, "hosts.yml", {ansible!r}, jobs, {{}}, Path({state!r}))
sys.exit(run.main(sys.argv[1:]))
"""


class Controller:
    def __init__(self, place: Path) -> None:
        self.state, self.told = place / "state", place / "told.json"
        self.state.mkdir(mode=0o700)
        ansible = place / "ansible-playbook"
        ansible.write_text(FAKE.format(python=sys.executable, told=str(self.told)))
        ansible.chmod(0o755)
        jobs = read_jobs(JOBS, "Etc/UTC")
        self.settings = program.Settings(
            "kiwi", str(place), "hosts.yml", str(ansible), jobs, {}, self.state, "production"
        )
        conftest = str(Path(__file__).resolve().parents[1])
        words = {"conftest": conftest, "project": str(place), "ansible": str(ansible), "state": str(self.state)}
        self.script = STARTED.format(**words, jobs=JOBS)

    def run(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", self.script, "run", *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, **{"input": "", **options})

    def variables(self) -> dict[str, Any]:
        return {name: value for name, value in json.loads(self.told.read_text()).items() if name != "pid"}

    def answers(self) -> list[Path]:
        return list(self.state.glob("*.json"))


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_an_approval_is_the_word_that_an_environment_may_be_changed(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_approved", lambda *_: True)
    assert program.run(controller.settings, controller.settings.job("site"), {}) == 0
    assert controller.variables() == {"confirm": "production"}


@pytest.mark.parametrize(
    ("verdict", "given", "told"),
    [("approved", {}, "kim"), ("approved", {"approved_by": "lead"}, "lead"), ("denied", {}, "")],
    ids=["who approved", "as was answered", "nobody"],
)
def test_who_approves_a_release_is_told_to_it(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, verdict: str, given: dict[str, str], told: str
) -> None:
    """Else its own guard would ask for an approval that it has."""
    job = controller.settings.job("deploy")
    monkeypatch.setenv("SUDO_USER", "kim")
    monkeypatch.setattr(program, "PAUSE", 0.02)

    def says() -> None:
        while not (controller.state / "deploy.asked").exists():
            time.sleep(0.02)
        program.answer(controller.settings, job, verdict)

    approver = threading.Thread(target=says, daemon=True)
    approver.start()
    code = program.run(controller.settings, job, {"service": "shop"} | given)
    approver.join(60)
    assert code == (0 if told else program.DENIED) and controller.told.exists() == bool(told)
    assert not told or controller.variables() == {"service": "shop", "approved_by": told, "confirm": "production"}


def test_somebody_hears_that_an_approval_is_waited_for_and_who_cannot_be_told_costs_nothing(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "PAUSE", 0.02)
    heard = []

    def tell(notice: dict[str, Any], subject: str, text: str) -> None:
        if notice["to"] == "nobody":
            raise OSError("no route")
        heard.append((notice["to"], subject, text))
        program.answer(controller.settings, job, "denied")

    monkeypatch.setattr(program, "tell", tell)
    names = ["away", "operators"]
    entry = {"name": "site", "playbook": "playbooks/site.yml", "approval": "1m", "notify": {"failure": names}}
    (job,) = jobs = read_jobs([entry], "Etc/UTC", names)
    notices = {"away": {"to": "nobody"}, "operators": {"to": "operators"}}
    settings = dataclasses.replace(controller.settings, jobs=jobs, notices=notices)
    assert program.run(settings, job, {}) == program.DENIED
    ((who, subject, text),) = heard
    assert who == "operators" and "kiwi: job site waits for somebody's approval" in subject
    assert text == "site waits 60 s for: slipway-job approve site"
    assert "away was not told: no route" in capsys.readouterr().out


def test_without_one_whoever_starts_it_says_so(controller: Controller) -> None:
    assert controller.run("rollback", "service=shop").returncode == 0
    assert controller.variables() == {"service": "shop"}
    assert controller.run("rollback", "service=shop", "confirm=production").returncode == 0
    assert controller.variables() == {"service": "shop", "confirm": "production"}


def test_a_password_is_in_nobodys_arguments(controller: Controller) -> None:
    refused = controller.run("open", "code=hush")
    assert refused.returncode == 64 and "arguments are everybody's to read" in refused.stderr
    assert "hush" not in refused.stderr and not controller.told.exists()
    assert controller.run("open", input="hush\n").returncode == 0
    assert controller.variables() == {"code": "hush"} and controller.answers() == []
    missing = controller.run("open")
    assert missing.returncode == 64 and "code is missing" in missing.stderr


def test_another_user_than_the_jobs_is_refused(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's .last could not be written by the job's own user: the timer would fail from then on."""
    monkeypatch.setattr(program.os, "geteuid", lambda: controller.state.stat().st_uid + 1)
    with pytest.raises(JobsError, match=r"Jobs run as \w+: runuser -u"):
        program._refuse_another_user(controller.settings)


@pytest.mark.parametrize("there", [True, False], ids=["of another user", "not there"])
def test_a_project_that_a_job_cannot_write_in_is_refused_before_anything_runs(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Each playbook would fail where it writes its report, and say something else each time."""
    allowed = os.access
    project = Path(controller.settings.project)
    if there:
        monkeypatch.setattr(program.os, "access", lambda path, mode: str(path) != str(project) and allowed(path, mode))
    settings = dataclasses.replace(controller.settings, project=str(project if there else project / "nowhere"))
    with pytest.raises(JobsError, match=r"is no directory in which \w+ can write.*chown -R .*Nothing was run"):
        program.run(settings, settings.job("site"), {})
    assert not controller.told.exists() and not (controller.state / "site.asked").exists()
    assert "in which" in program.said((controller.state / "site.last").read_text()), "who is told of the end hears it"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_stopped_leaves_no_answers_and_says_so(controller: Controller, how: signal.Signals) -> None:
    default = ["env", "--default-signal=INT"]  # a background job of a shell would have it ignored
    command = [*default, sys.executable, "-c", controller.script, "run", "open"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | {"FAKE_SLEEP": "600"}
    )
    assert process.stdin is not None
    process.stdin.write(b"hush\n")
    process.stdin.close()
    while not controller.told.exists():
        assert process.poll() is None
        time.sleep(0.02)
    assert len(controller.answers()) == 1 and controller.answers()[0].stat().st_mode & 0o777 == 0o600
    process.send_signal(how)
    assert process.wait(timeout=60) != 0
    assert controller.answers() == []
    assert "It was stopped." in (controller.state / "open.last").read_text()
    playbook = json.loads(controller.told.read_text())["pid"]
    assert not Path("/proc", str(playbook)).exists(), "the playbook goes on"


def test_what_a_killed_run_left_goes_with_the_next(controller: Controller) -> None:
    """Of one that runs meanwhile, such as this process, nothing is taken away."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (controller.state / f"{pid}.answers.json").write_text("{}")
    assert controller.run("rollback", "service=shop").returncode == 0
    assert [path.name for path in controller.answers()] == [f"{os.getpid()}.answers.json"]


def test_how_the_last_run_ended_outlives_a_reboot(controller: Controller) -> None:
    job = controller.settings.job("site")
    assert program.latest(controller.settings, job) == (program.NEVER, "site has not ended a run yet")
    for result, status, told in (
        ("exit-code", "2", (1, "site failed (exit-code, 2), ")),
        ("signal", "KILL", (1, "site failed (signal, KILL), ")),
        ("exit-code", str(program.DENIED), (1, "site was not approved, ")),
        ("success", "0", (0, "site succeeded, ")),
    ):
        program.ended(controller.settings, job, result, status)
        code, sentence = program.latest(controller.settings, job)
        assert (code, sentence.startswith(told[1])) == (told[0], True), sentence
