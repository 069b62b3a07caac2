"""Every job's playbook by ansible-runner, the way AWX runs it: a clone, JSON, no terminal, a directory that goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.filter.jobs import standard
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import Job, answered, read_jobs
from playbook import ROOT

GROUPS = {"monitor": ["kiwi1"], "alertmanager": ["kiwi1"]}
JOBS = {job.name: job for job in read_jobs(standard(GROUPS), "Etc/UTC")}
ANSWERS = {"service": "shop", "version": "2.0.0", "site": "shop"}
HOSTS = "all: {hosts: {kiwi1: {ansible_connection: local}}, children: {monitor: {hosts: {kiwi1: }}}}\n"


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as AWX has it: what git has, at another place."""
    place = tmp_path_factory.mktemp("clone") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0"):
        if name and not name.startswith("tests/") and os.path.lexists(ROOT / name):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    return place


def runner(
    clone: Path, place: Path, job: Job, *options: str, inventory: str = HOSTS, **variables: Any
) -> tuple[int, str, list[Mapping[str, Any]]]:
    """Exit code, output and events; the private directory is gone afterwards."""
    (place / "inventory").mkdir(parents=True)
    (place / "inventory" / "hosts.yml").write_text(inventory)
    (place / "env").mkdir()
    given: dict[str, Any] = {
        question.variable: ANSWERS.get(question.variable, question.default)
        for question in job.survey
        if question.required
    }
    (place / "env" / "extravars").write_text(json.dumps(answered(job, given) | variables))
    (place / "env" / "envvars").write_text(json.dumps({"ANSIBLE_FORCE_COLOR": "true"}))
    (place / "project").symlink_to(clone)
    argv = ["ansible-runner", "run", str(place), "--playbook", job.playbook, "--ident", "1"]
    argv += [f"--cmdline={' '.join(options)}"] if options else []
    unset = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(argv, env=unset, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    events = [json.loads(path.read_text()) for path in sorted((place / "artifacts/1/job_events").glob("*.json"))]
    shutil.rmtree(place)
    return done.returncode, done.stdout + done.stderr, events


@pytest.mark.parametrize("name", JOBS)
def test_a_jobs_playbook_is_found_and_read(name: str, clone: Path, tmp_path: Path) -> None:
    code, output, _events = runner(clone, tmp_path / "private", JOBS[name], "--syntax-check")
    assert code == 0 and f"playbook: {JOBS[name].playbook}" in output, output


@pytest.mark.parametrize("name", JOBS)
def test_a_job_on_an_inventory_without_hosts_fails_in_a_sentence(name: str, clone: Path, tmp_path: Path) -> None:
    code, output, events = runner(clone, tmp_path / "private", JOBS[name], inventory="all: {}\n")
    assert code != 0 and "Traceback" not in output, output
    said = " ".join(f"{output} {json.dumps(events)}".split())
    assert any(
        text in said for text in ("the right one (-i)?", "the right inventory (-i)?", "NO-GO", "no service shop")
    ), output


def test_a_job_runs_for_real_and_its_verdict_is_its_exit_code(clone: Path, tmp_path: Path) -> None:
    record = {"id": "infrastructure.disk.root", "area": "infrastructure", "subject": "kiwi1", "claim": "Disk has room"}
    Store(tmp_path / "store").append([record | {"verdict": "pass", "at": timestamp(), "source": "test"}], "run")
    given: dict[str, Any] = {
        "evidence_store": str(tmp_path / "store"),
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_become": False,
    }
    policy = [{"id": "infrastructure.disk.root", "title": {"en": "Disk"}, "max_age": "1d"}]
    reports = str(tmp_path / "reports")
    code, output, events = runner(
        clone, tmp_path / "go", JOBS["readiness"], readiness_policy=policy, readiness_report_dir=reports, **given
    )
    assert code == 0 and "GO: Every must-have" in output, output
    assert [event for event in events if event["event"] == "playbook_on_stats"]
    assert (tmp_path / "reports/readiness.html").exists() and not (tmp_path / "go").exists()
    policy.append({"id": "data.backup.full", "title": {"en": "Backup"}, "max_age": "1d"})
    code, output, _events = runner(
        clone, tmp_path / "no", JOBS["readiness"], readiness_policy=policy, readiness_report_dir=reports, **given
    )
    assert code != 0 and "NO-GO: data.backup.full" in output, output


def test_the_execution_environment_is_one_that_the_builder_takes(tmp_path: Path) -> None:
    place = tmp_path / "here/awx"
    shutil.copytree(ROOT / "awx", place)
    shutil.copytree(ROOT / "ci", tmp_path / "here/ci")
    (tmp_path / "here/slipway-ops-0.1.0.tar.gz").write_bytes(b"stands for the archive")
    argv = [
        "ansible-builder",
        "create",
        "--file",
        str(place / "execution-environment.yml"),
        "--output-filename",
        "Containerfile",
        "--context",
    ]
    done = subprocess.run([*argv, str(tmp_path / "context")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "context/Containerfile").read_text()
    assert "--require-hashes" in text and "ansible-core==" in text and "/usr/local/bin/slipway-ci" in text
    assert (tmp_path / "context/_build/lock/requirements.txt").read_text() == (
        ROOT / "awx/requirements.txt"
    ).read_text()
    broken = place / "execution-environment.yml"
    broken.write_text(broken.read_text().replace("dependencies:", "dependancies:"))
    refused = subprocess.run([*argv, str(tmp_path / "other")], capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "dependancies" in refused.stdout + refused.stderr
