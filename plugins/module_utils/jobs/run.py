# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``slipway-job`` on a controller without AWX: runs a job of the list, waits for its approval, tells its end."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import getpass
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import create, read_state
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import Job, JobsError, answered, read_jobs
from ansible_collections.slipway.ops.plugins.module_utils.jobs.notices import read_notices, tell

LIST = Path("/etc/slipway/jobs/jobs.json")
STATE = Path("/var/lib/slipway-jobs")
DENIED, REFUSED, LATE, STOPPED = 77, 64, 124, 143  # exit codes
NEVER = 77  # of `last`
KEPT = 40  # lines of the end of a run
CONFIRM = "confirm"  # the environment that whoever starts or approves a job says may be changed
APPROVER = "approved_by"  # a question that the approval answers where nobody else has
ANSWERS = ".answers.json"  # behind the process that they are of
PAUSE = 1.0  # seconds between two looks for an approval


@dataclass(frozen=True)
class Settings:
    """What the list says, and where things are."""

    system: str
    project: str
    inventory: str
    ansible: str
    jobs: tuple[Job, ...]
    notices: Mapping[str, Mapping[str, Any]]
    state: Path = STATE
    environment: str = ""  # what an approval lets a job change, as `confirm` has it

    def job(self, name: str) -> Job:
        for job in self.jobs:
            if job.name == name:
                return job
        raise JobsError([f"There is no job {name}; there are {', '.join(job.name for job in self.jobs)}."])


def read_settings(path: Path = LIST, state: Path = STATE) -> Settings:
    given = json.loads(path.read_text(encoding="utf-8"))
    notices = read_notices(given["notices"])
    return Settings(
        system=given["system"],
        project=given["project"],
        inventory=given["inventory"],
        ansible=given["ansible"],
        jobs=read_jobs(given["jobs"], given["timezone"], list(notices)),
        notices=notices,
        state=state,
        environment=given.get("environment", ""),
    )


def command(settings: Settings, job: Job, variables_file: str) -> list[str]:
    """As AWX's runner calls it: inventory, limit, variables as a file of JSON, the playbook of the project."""
    limit = ["--limit", job.limit] if job.limit else []
    check = ["--check", "--diff"] if job.check else []
    return [
        settings.ansible,
        "-i",
        settings.inventory,
        *limit,
        *check,
        "--extra-vars",
        f"@{variables_file}",
        job.playbook,
    ]


def run(settings: Settings, job: Job, given: Mapping[str, str]) -> int:
    """The job's exit code; what it says goes to the journal, and its end is kept for whoever is told."""
    asked = {question.variable for question in job.survey}
    variables = answered(job, {name: value for name, value in given.items() if name != CONFIRM or name in asked})
    last = settings.state / f"{job.name}.last"
    # Also when the unit is stopped: answers, and what was said, are dealt with as at any other end.
    signal.signal(signal.SIGTERM, _ended)
    with _own(last, "w") as kept:
        _refuse_a_project_of_others(settings, kept)
        approver = _approved(settings, job, kept) if job.approval else ""
        if job.approval and not approver:
            return DENIED
        if approver and APPROVER in asked:
            variables = {APPROVER: approver} | variables
        confirmed = given.get(CONFIRM) or (settings.environment if job.approval else "")
        variables = ({CONFIRM: confirmed} if confirmed else {}) | variables
        with _answers(settings, variables) as path:
            return _played(command(settings, job, str(path)), settings.project, job.timeout, kept)


def _ended(*_: object) -> None:
    raise SystemExit(STOPPED)


@contextlib.contextmanager
def _answers(settings: Settings, variables: Mapping[str, Any]) -> Iterator[Path]:
    """A file with them while the run lasts, and none of a run that was killed outright: they may hold a password."""
    for left in settings.state.glob(f"*{ANSWERS}"):
        if not Path("/proc", left.name.removesuffix(ANSWERS)).exists():
            left.unlink(missing_ok=True)
    path = settings.state / f"{os.getpid()}{ANSWERS}"
    try:
        with _own(path, "w") as file:
            json.dump(variables, file)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _played(argv: Sequence[str], project: str, timeout: int, kept: Any) -> int:
    lines: list[str] = []
    late = False
    process = subprocess.Popen(
        argv,
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env=os.environ | {"ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"},
    )

    def too_late(*_: object) -> None:
        nonlocal late
        late = True
        lines.append(f"It was stopped after {timeout} s, its time limit.\n")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(timeout)
    assert process.stdout is not None  # noqa: S101 (a pipe, as asked)
    try:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines = [*lines[-KEPT:], line]
        code = process.wait()
    except (KeyboardInterrupt, SystemExit):
        lines.append("It was stopped.\n")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.stdout.read()  # else it would wait for somebody who does
        process.wait()
        raise
    finally:
        signal.alarm(0)
        kept.write("".join(lines))
    return LATE if late else code if code >= 0 else 128 - code


def _approved(settings: Settings, job: Job, kept: Any) -> str:
    """Waits until somebody says yes or no, and who said yes; silence is a no, and a no is nobody."""
    asked, answer = settings.state / f"{job.name}.asked", settings.state / f"{job.name}.answer"
    answer.unlink(missing_ok=True)
    with _own(asked, "w") as file:
        file.write(f"{int(time.time()) + job.approval}\n")
    try:
        waits = f"{job.name} waits {job.approval} s for: slipway-job approve {job.name}"
        print(waits, flush=True)
        subject = f"{settings.system}: job {job.name} waits for somebody's approval on {socket.gethostname()}"
        for missed in _tell(settings, job.notify.get("approval", ()), subject, waits):
            print(missed, flush=True)
        deadline = time.monotonic() + job.approval
        while time.monotonic() < deadline:
            if answer.exists():
                verdict, _, by = answer.read_text(encoding="utf-8").strip().partition(" ")
                kept.write(f"{verdict} by {by}\n")
                print(f"{verdict} by {by}", flush=True)
                return by if verdict == "approved" else ""
            time.sleep(PAUSE)
        kept.write(f"Nobody approved it within {job.approval} s.\n")
        print(f"nobody approved it within {job.approval} s", flush=True)
        return ""
    finally:
        asked.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)


def answer(settings: Settings, job: Job, verdict: str) -> None:
    """Somebody's yes or no to a job that waits."""
    if not (settings.state / f"{job.name}.asked").exists():
        raise JobsError([f"Job {job.name} waits for nobody's approval now."])
    by = os.environ.get("SUDO_USER") or getpass.getuser()
    # Whole, or not there: the job looks at any moment.
    new = settings.state / f"{job.name}.answer.{os.getpid()}"
    with os.fdopen(create(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
        file.write(f"{verdict} {by}\n")
    new.replace(settings.state / f"{job.name}.answer")


def ended(settings: Settings, job: Job, result: str, status: str) -> list[str]:
    """Tells whom the job names, and returns who was not reached. systemd calls it after each end, a kill's too."""
    failed = result != "success"
    names = job.notify.get("failure" if failed else "success", ())
    outcome = "succeeded"
    if failed:
        outcome = {
            str(DENIED): "was not approved",
            str(LATE): "took too long",
            str(STOPPED): "was stopped",
            "TERM": "was stopped",
        }.get(status, f"failed ({result}, {status})")
    subject = f"{settings.system}: job {job.name} {outcome} on {socket.gethostname()}"
    with _own(settings.state / f"{job.name}.result", "w") as kept:
        json.dump({"at": time.time(), "failed": failed, "outcome": outcome}, kept)
    last = settings.state / f"{job.name}.last"
    text = said(last.read_text(encoding="utf-8", errors="replace") if last.exists() else "")
    return _tell(settings, names, subject, text)


def _tell(settings: Settings, names: Sequence[str], subject: str, text: str) -> list[str]:
    """Tells all of them, and returns who was not reached."""
    missed = []
    for name in names:
        try:
            tell(settings.notices[name], subject, text)
        except (OSError, ValueError) as error:
            missed.append(f"{name} was not told: {getattr(error, 'reason', error)}")
    return missed


def latest(settings: Settings, job: Job) -> tuple[int, str]:
    """How its last run ended, which systemd forgets at a reboot: for the health check."""
    told = read_state(settings.state / f"{job.name}.result")
    if not told:
        return NEVER, f"{job.name} has not ended a run yet"
    at = timestamp(datetime.datetime.fromtimestamp(told["at"], datetime.timezone.utc))
    return int(told["failed"]), f"{job.name} {told['outcome']}, {at}; see journalctl -u slipway-job@{job.name}"


def said(output: str) -> str:
    """What matters of a run's end: its errors, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("[ERROR]", "fatal:", "ERROR!", "msg:"))]
    return "\n".join((errors or lines[-1:])[:6])[:1500]


def _own(path: Path, mode: str) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), mode, encoding="utf-8")


def _refuse_another_user(settings: Settings) -> None:
    """What another user leaves, the job's own could not write any more."""
    owner = settings.state.stat().st_uid
    if os.geteuid() != owner:
        name = pwd.getpwuid(owner).pw_name
        raise JobsError([f"Jobs run as {name}: runuser -u {name} -- slipway-job run …, or systemctl start."])


def _refuse_a_project_of_others(settings: Settings, kept: Any) -> None:
    """Playbooks leave reports and facts in it. Whoever is told of the end hears why."""
    if not os.access(settings.project, os.W_OK | os.X_OK):
        name = pwd.getpwuid(os.geteuid()).pw_name
        told = (
            f"{settings.project} is no directory in which {name} can write, and jobs leave their reports and facts"
            f" there: chown -R {name} {settings.project}"
        )
        kept.write(f"ERROR! {told}\n")
        raise JobsError([f"{told}. Nothing was run."])


def _passwords(job: Job, given: Mapping[str, str]) -> dict[str, str]:
    """Asked for at the terminal, else read from standard input, a line each: arguments are everybody's to read."""
    found = {}
    for question in job.survey:
        if question.type == "password":
            if question.variable in given:
                raise JobsError(
                    [
                        f"{question.variable} is a password, and arguments are everybody's to read: leave it out, and"
                        " it is asked for. A script gives it by standard input, a line for each."
                    ]
                )
            ask = f"{question.question}: "
            found[question.variable] = getpass.getpass(ask) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="slipway-job", description="Jobs of this controller")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="what there is")
    for verb, text in (
        ("run", "run one now, here, with answers to its survey, and confirm=ENVIRONMENT, as NAME=VALUE"),
        ("approve", "let one that waits go on"),
        ("deny", "end one that waits"),
        ("ended", "tell its end; systemd calls this"),
        ("last", "how its last run ended; 1 when it failed, 77 when there was none"),
    ):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("job")
        if verb == "run":
            one.add_argument("answers", nargs="*", metavar="NAME=VALUE")
    asked = parser.parse_args(argv)
    try:
        return _done(asked, read_settings())
    except (JobsError, OSError, ValueError) as error:
        print(f"slipway-job: {error}", file=sys.stderr)
        return REFUSED


def _done(asked: argparse.Namespace, settings: Settings) -> int:
    if asked.verb == "list":
        for job in settings.jobs:
            print(f"{job.name:20} {job.schedule.calendar if job.schedule else 'on demand':36} {job.description}")
        return 0
    job = settings.job(asked.job)
    if asked.verb == "run":
        _refuse_another_user(settings)
        given = dict(one.partition("=")[::2] for one in asked.answers)
        return run(settings, job, given | _passwords(job, given))
    if asked.verb == "ended":
        result, status = os.environ.get("SERVICE_RESULT", ""), os.environ.get("EXIT_STATUS", "")
        for line in ended(settings, job, result, status):
            print(f"slipway-job: {line}", file=sys.stderr)
        return 0
    if asked.verb == "last":
        code, sentence = latest(settings, job)
        print(sentence)
        return code
    answer(settings, job, {"approve": "approved", "deny": "denied"}[asked.verb])
    return 0


if __name__ == "__main__":
    sys.exit(main())
