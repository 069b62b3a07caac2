"""What pipelines call, run as they do; and that both pipelines call the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.plugin_utils.preflight import playbook_options
from playbook import ROOT, SETTINGS, play

PROGRAM = ROOT / "ci/slipway_ci.py"
SECRETS = {
    "SLIPWAY_SSH_KEY": "-----BEGIN KEY-----\nkiwi-key\n-----END KEY-----",
    "SLIPWAY_KNOWN_HOSTS": "app1 ssh-ed25519 kiwi-host",
    "SLIPWAY_VAULT_PASSWORD": "kiwi-vault",
    "SLIPWAY_WEBHOOK": "https://hooks.example.test/kiwi-hook",
}
# Stands for ansible-playbook: tells what it was given, and ends as it is told.
FAKE = """#!{python}
import json, os, pathlib, sys, time
files = {{}}
for word in [*sys.argv, *os.environ.values(), *os.environ.get("ANSIBLE_SSH_COMMON_ARGS", "").replace("=", " ").split()]:
    path = pathlib.Path(word.lstrip("@"))
    if "slipway-ci-" in word and path.is_file():
        modes = [oct(one.stat().st_mode & 0o777) for one in (path, path.parent)]
        files[path.name] = [str(path), path.read_text(), *modes]
told = {{"argv": sys.argv[1:], "environment": dict(os.environ), "files": files}}
told |= {{"cwd": os.getcwd(), "stdin": sys.stdin.read()}}
pathlib.Path({told!r}).write_text(json.dumps(told))
time.sleep(float(os.environ.get("FAKE_SLEEP", 0)))
sys.exit(int(os.environ.get("FAKE_CODE", 0)))
"""


def ci(*argv: str, environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in SECRETS}
    command = [sys.executable, str(PROGRAM), *argv]
    return subprocess.run(
        command, env=clean | dict(environment or {}), cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ops" / "inventories").mkdir(parents=True)
    (tmp_path / "ops" / "inventories" / "hosts.yml").write_text("all: {hosts: {kiwi1: {}}}\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    fake = tmp_path / "bin" / "ansible-playbook"
    fake.write_text(FAKE.format(python=sys.executable, told=str(tmp_path / "told.json")))
    fake.chmod(0o755)
    return tmp_path / "ops"


def faked(project: Path, **more: str) -> dict[str, str]:
    place = project.parent
    return SECRETS | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(place / "tmp")} | more


DEPLOY = ("play", "--inventory", "inventories/hosts.yml", "--project")


def test_a_verb_gets_its_variables_and_secrets_in_files_that_go(project: Path) -> None:
    done = ci(*DEPLOY, str(project), "deploy", "service=shop", "version=2.0.0=x", "change=", environment=faked(project))
    assert done.returncode == 0, done.stderr
    told = json.loads((project.parent / "told.json").read_text())
    assert told["argv"][:3] == ["-i", "inventories/hosts.yml", "slipway.ops.deploy"]
    assert told["cwd"] == str(project) and told["stdin"] == ""
    assert json.loads(told["files"]["variables.json"][1]) == {"service": "shop", "version": "2.0.0=x"}
    assert "kiwi-key" in told["files"]["key"][1] and told["files"]["key"][1].endswith("\n")
    assert told["files"]["vault"][1] == "kiwi-vault" and "kiwi-host" in told["files"]["known_hosts"][1]
    assert {one[2] for one in told["files"].values()} == {"0o600"} and {one[3] for one in told["files"].values()} == {
        "0o700"
    }
    assert "StrictHostKeyChecking=yes" in told["environment"]["ANSIBLE_SSH_COMMON_ARGS"]
    for secret in ("kiwi-key", "kiwi-host", "kiwi-vault", "kiwi-hook"):
        assert secret not in json.dumps([told["argv"], told["environment"]]) and secret not in done.stdout + done.stderr
    assert list((project.parent / "tmp").iterdir()) == []


def test_the_exit_code_is_the_playbooks(project: Path) -> None:
    assert ci(*DEPLOY, str(project), "health", environment=faked(project, FAKE_CODE="2")).returncode == 2


def test_a_cancelled_run_ends_and_leaves_no_secret(project: Path) -> None:
    command = [sys.executable, str(PROGRAM), *DEPLOY, str(project), "deploy"]
    process = subprocess.Popen(command, env=os.environ | faked(project, FAKE_SLEEP="600"))
    told = project.parent / "told.json"
    while not told.exists() or not told.read_text():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert list((project.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "without", "said"),
    [
        (("deploy", "service"), "", "say NAME=VALUE"),
        (("deploy", "-e=x"), "", "unrecognized arguments"),
        (("deploy", "Service=shop"), "", "is no variable"),
        (("../deploy",), "", "is no verb"),
        (("deploy;reboot",), "", "is no verb"),
        (("deploy",), "SLIPWAY_KNOWN_HOSTS", "not taken on trust"),
    ],
)
def test_what_cannot_be_meant_runs_nothing(project: Path, argv: tuple[str, ...], without: str, said: str) -> None:
    environment = {name: value for name, value in faked(project).items() if name != without}
    done = ci(*DEPLOY, str(project), *argv, environment=environment)
    assert done.returncode not in (0, 1) and said in done.stderr and "Traceback" not in done.stderr
    assert not (project.parent / "told.json").exists() and list((project.parent / "tmp").iterdir()) == []


def test_an_inventory_that_is_not_there_is_refused(project: Path) -> None:
    done = ci("play", "--project", str(project), "--inventory", "nowhere", "deploy", environment=faked(project))
    assert done.returncode == 64 and "Is the project checked out there?" in done.stderr


def test_a_verb_runs_for_real_with_what_the_vault_holds(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("kiwi-vault")
    argv = ["ansible-vault", "encrypt_string", "--vault-password-file", str(tmp_path / "vault"), "plum-system"]
    sealed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    (tmp_path / "hosts.yml").write_text(
        "all: {hosts: {kiwi1: {ansible_connection: local}}, children: {monitor: {hosts: {kiwi1: }}}}\n"
    )
    (tmp_path / "group_vars").mkdir()
    python = 'ansible_python_interpreter: "{{ ansible_playbook_python }}"\nansible_become: false\n'
    (tmp_path / "group_vars/all.yml").write_text(
        f"readiness_system: {sealed}\nevidence_store: {tmp_path}/store\n{python}"
    )
    for password, code in (("kiwi-vault", 0), ("wrong", 4)):
        environment = {"SLIPWAY_VAULT_PASSWORD": password} | SETTINGS
        done = ci("play", "--project", str(tmp_path), "--inventory", "hosts.yml", "status", environment=environment)
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    assert "plum-system" in (tmp_path / "reports/status.html").read_text()


def trivy(*severities: str) -> str:
    found = [{"Severity": one} for one in severities]
    return json.dumps(
        {"SchemaVersion": 2, "ArtifactName": "shop:2", "Results": [{"Vulnerabilities": found}, {"Target": "x"}]}
    )


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (trivy(), 0, "critical 0, high 0"),
        (trivy(*["HIGH"] * 5, "LOW"), 0, "high 5"),
        (trivy(*["HIGH"] * 6), 1, "high: 6, at most 5"),
        (trivy("CRITICAL"), 1, "critical: 1, at most 0"),
        ("", 64, "is no report of Trivy"),
        ("{}", 64, "is no report of Trivy"),
        ("[]", 64, "is no report of Trivy"),
        ('{"Results": null, "ArtifactName": "x"}', 64, "is no report of Trivy"),
        ('{"Results": [{"Vulnerabilities": [{"ID": 1}]}], "ArtifactName": "x"}', 64, "is no report of Trivy"),
    ],
)
def test_a_scan_is_held_to_its_limits(tmp_path: Path, report: str, code: int, said: str) -> None:
    (tmp_path / "trivy.json").write_text(report)
    done = ci("scan", str(tmp_path / "trivy.json"), "--high", "5")
    assert done.returncode == code and said in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert ci("scan", str(tmp_path / "none.json")).returncode == 64


class Answers(BaseHTTPRequestHandler):
    """A webhook, and GitHub's list of approvals."""

    got: ClassVar[list[Any]] = []
    code = 200
    approvals: ClassVar[Any] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.code)
        self.end_headers()

    def do_GET(self) -> None:
        self.got.append((self.path, self.headers["Authorization"], None))
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(json.dumps(self.approvals).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Answers.got, Answers.code, Answers.approvals = [], 200, []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def test_a_channel_is_told_word_for_word(server: str) -> None:
    text = 'shop "2.0.0" waits\n한글 {{ 7 }}'
    done = ci("notify", text, environment={"SLIPWAY_WEBHOOK": f"{server}/secret-path"})
    assert done.returncode == 0 and Answers.got == [("/secret-path", "application/json", {"text": text})]
    assert "secret-path" not in done.stdout + done.stderr


def test_a_channel_that_refuses_fails_without_its_address(server: str) -> None:
    Answers.code = 403
    for url, said in (
        (f"{server}/secret-path", "answers 403"),
        ("http://127.0.0.1:1/secret-path", "cannot be reached"),
    ):
        done = ci("notify", "x", environment={"SLIPWAY_WEBHOOK": url})
        assert done.returncode == 64 and said in done.stderr and "secret-path" not in done.stdout + done.stderr
    done = ci("notify", "x", environment={"SLIPWAY_WEBHOOK": "ftp://hooks.example.test/secret-path"})
    assert done.returncode == 64 and "secret-path" not in done.stderr
    assert "Nobody is told" in ci("notify", "x").stdout


def review(login: str, state: str = "approved", *, of: tuple[str, ...] = ("production",)) -> dict[str, Any]:
    return {"state": state, "user": {"login": login}, "environments": [{"id": 1, "name": name} for name in of]}


@pytest.fixture
def known(server: str) -> dict[str, str]:
    """What GitHub's runner and the workflow set."""
    names = {"GITHUB_REPOSITORY": "o/shop", "GITHUB_RUN_ID": "7", "GITHUB_TOKEN": "kiwi-token"}
    return {"GITHUB_API_URL": server, **names}


@pytest.mark.parametrize(
    ("approvals", "name"),
    [
        ([], ""),
        ([review("lee")], "lee"),
        ([review("lee"), review("park", "rejected")], "lee"),
        ([review("kim", of=("staging",)), review("lee")], "lee"),
        ([review("lee"), review("kim", of=("staging",))], "lee"),
        ([review("kim", of=("staging",)), review("kim", of=("production-rollback",))], ""),
        ([review("kim", of=("staging", "Production"))], "kim"),
        ([review("kim"), review("lee")], "lee"),
    ],
)
def test_github_says_who_approved(server: str, known: dict[str, str], approvals: Any, name: str) -> None:
    """Into production: who let staging begin, before or after, has not."""
    Answers.approvals = approvals
    done = ci("approver", "production", environment=known)
    assert (done.returncode, done.stdout.strip()) == (0, name), done.stderr
    assert Answers.got == [("/repos/o/shop/actions/runs/7/approvals", "Bearer kiwi-token", None)]
    Answers.code = 403
    refused = ci("approver", environment=known)
    assert refused.returncode == 64 and "actions: read" in refused.stderr and "kiwi-token" not in refused.stderr
    missing = {key: value for key, value in known.items() if key != "GITHUB_TOKEN"}
    environment = missing if "GITHUB_TOKEN" not in os.environ else missing | {"GITHUB_TOKEN": ""}
    assert ci("approver", environment=environment).returncode == 64


def test_the_environment_is_the_one_that_was_waited_for(known: dict[str, str]) -> None:
    Answers.approvals = [review("kim", of=("live",)), review("lee")]
    assert ci("approver", "live", environment=known).stdout.strip() == "kim"
    assert ci("approver", environment=known).stdout.strip() == "lee", "as workflows of before call it"


@pytest.mark.parametrize("answer", [[{"state": "approved", "user": {"login": "lee"}}], [{"user": None}], {"a": 1}])
def test_an_answer_that_is_no_list_of_approvals_names_nobody(known: dict[str, str], answer: Any) -> None:
    Answers.approvals = answer
    done = ci("approver", environment=known)
    assert done.returncode == 64 and "does not say who approved" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("path", ["github/slipway.yml", "gitlab/slipway.yml"])
def test_a_release_waits_once_and_what_verifies_it_for_nobody(path: str) -> None:
    """Each job that names an environment waits for an approval of its own, as often as it is asked for there."""
    told = yaml.safe_load((ROOT / "ci" / path).read_text())
    jobs = {name: job for name, job in told.get("jobs", told).items() if isinstance(job, dict)}
    named = {name: job["environment"] for name, job in jobs.items() if "environment" in job}
    asked = [one["name"] if isinstance(one, dict) else one for one in named.values()]
    assert [asked.count(name) for name in ("staging", "production")] == [1, 1]
    assert named.get("verify", {}) in ({}, {"name": "production-verify", "action": "verify"})


def test_gitlabs_release_is_the_job_that_its_approver_starts() -> None:
    """The jobs after one that somebody starts are the pipeline's user's, who need not be let into production."""
    told = yaml.safe_load((ROOT / "ci/gitlab/slipway.yml").read_text())
    (release,) = [job for job in told.values() if isinstance(job, dict) and "approved_by=" in str(job.get("script"))]
    assert (release["when"], release["allow_failure"], release["environment"]) == (
        "manual",
        False,
        {"name": "production"},
    )
    assert release["script"][0] == "APPROVED_BY=$GITLAB_USER_LOGIN"
    before = told["stages"][: told["stages"].index(release["stage"])]
    assert told["notify"]["stage"] in before and "SLIPWAY_RUN_BY=$GITLAB_USER_LOGIN" in str(told["notify"]["script"])


def lines(path: str) -> list[str]:
    """The calls of slipway-ci in a pipeline, with inventories by the name of their stage."""
    text = re.sub(r">-\n +", "", (ROOT / "ci" / path).read_text())
    text = re.sub(r"\n +((?:deploy|rollback) service=)", r" \1", text)
    return re.findall(r"slipway-ci (?:play|scan) [^\n']+", text)


def calls() -> dict[str, set[str]]:
    found = {}
    github = lines("github/slipway.yml") + lines("github/rollback.yml")
    for name, commands in (("github", github), ("gitlab", lines("gitlab/slipway.yml"))):
        found[name] = {
            re.sub(r"--project project --inventory \S+ ", "", re.sub(r'(to|service)=(shop|"\$\w+")', "", one)).strip()
            for one in commands
        }
    return found


def test_both_pipelines_call_the_same() -> None:
    found = {name: {" ".join(one.split()) for one in commands} for name, commands in calls().items()}
    assert found["github"] == found["gitlab"]
    verbs = {one.split()[2] for one in found["github"] if one.startswith("slipway-ci play")}
    assert verbs == {"deploy", "health", "report", "readiness", "rollback"}


def test_production_is_named_by_whoever_set_the_pipeline_up() -> None:
    """There is no terminal: without the word each deploy and each rollback of production is refused."""
    for path in ("github/slipway.yml", "github/rollback.yml", "gitlab/slipway.yml"):
        asked = [one for one in lines(path) if re.search(" (deploy|rollback) ", one) and "STAGING" not in one]
        production = [one for one in asked if "confirm=" in one]
        assert production and all('confirm="$PRODUCTION_ENVIRONMENT"' in one for one in production)
        # In GitHub's both inventories are called INVENTORY; its first deploy is staging's.
        assert len(asked) - len(production) == (1 if path == "github/slipway.yml" else 0)
        assert re.search(r"PRODUCTION_ENVIRONMENT: .*production", (ROOT / "ci" / path).read_text())


@pytest.mark.parametrize(
    ("told", "by"),
    [
        ({"GITHUB_ACTOR": "lee", "GITHUB_TRIGGERING_ACTOR": "park"}, "park"),
        ({"GITHUB_ACTOR": "lee", "GITHUB_TRIGGERING_ACTOR": ""}, "lee"),
        ({"GITLAB_USER_LOGIN": "lee"}, "lee"),
        ({"GITLAB_USER_LOGIN": "park", "SLIPWAY_RUN_BY": "lee"}, "lee"),
    ],
)
def test_who_runs_it_is_whose_pipeline_it_is(project: Path, told: dict[str, str], by: str) -> None:
    """So that a release of lee's which lee approved is refused; in a container everybody is root."""
    others = dict.fromkeys(("SLIPWAY_RUN_BY", "GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"), "")
    assert ci(*DEPLOY, str(project), "deploy", environment=faked(project) | others | told).returncode == 0
    assert json.loads((project.parent / "told.json").read_text())["environment"]["SLIPWAY_RUN_BY"] == by


def test_every_call_is_a_playbook_with_variables_that_it_takes(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {kiwi1: {}}}\n")
    commands = {
        one for path in ("github/slipway.yml", "github/rollback.yml", "gitlab/slipway.yml") for one in lines(path)
    }
    checked = set()
    for command in commands:
        words = [word for word in shlex.split(command)[2:] if not word.startswith("--")]
        if "play" not in command.split()[1]:
            continue
        verb, given = words[2], dict(word.split("=", 1) for word in words[3:])
        assert given.keys() <= playbook_options()[verb].keys(), command
        if verb not in checked:
            checked.add(verb)
            run = play(verb, tmp_path / "hosts.yml", "--syntax-check", **given)
            assert run.code == 0, run.output
    assert len(checked) == 5
