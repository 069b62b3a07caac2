"""The module as a process: what it returns, what it warns of, when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = "ansible_collections.slipway.ops.plugins.modules.health_check"
FAILING = {"kind": "command", "argv": ["false"]}
PASSING = {"kind": "command", "argv": ["true"]}


def module(tmp_path, *checks, **options):
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"checks": list(checks), "deadline": 0, **options}}))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "collections")}
    command = [sys.executable, "-m", MODULE, str(arguments)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr == ""
    return json.loads(run.stdout)


def test_all_pass(tmp_path):
    outcome = module(tmp_path, PASSING, subject="app1")
    assert (outcome["changed"], outcome["verdict"], outcome["msg"]) == (False, "pass", "1 check: 1 pass")
    assert outcome["counts"] == {"fail": 0, "unknown": 0, "warn": 0, "skip": 0, "pass": 1}
    (result,) = outcome["results"]
    assert (result["id"], result["subject"]) == ("operations.command.true", "app1")
    assert "warnings" not in outcome


def test_a_failing_check_fails_the_module_with_all_results(tmp_path):
    outcome = module(tmp_path, PASSING, FAILING)
    assert (outcome["failed"], outcome["changed"], len(outcome["results"])) == (True, False, 2)
    assert outcome["msg"].splitlines()[0] == "2 checks: 1 fail, 1 pass"
    assert "it ended with status 1, wanted 0" in outcome["msg"]


def test_the_message_stays_readable(tmp_path):
    lines = module(tmp_path, *[{**FAILING, "name": f"n{number}"} for number in range(60)])["msg"].splitlines()
    assert (len(lines), lines[-1]) == (102, "and 10 more, in results")


def test_which_verdicts_fail_is_the_operators_choice(tmp_path):
    assert "failed" not in module(tmp_path, FAILING, fail_on=[])
    assert "failed" not in module(tmp_path, {**FAILING, "severity": "warn"})
    assert module(tmp_path, {**FAILING, "severity": "warn"}, fail_on=["warn"])["failed"]
    assert module(tmp_path, {"kind": "container", "container": "x", "socket": "/nonexistent"})["failed"]


def test_check_mode_runs_the_checks(tmp_path):
    outcome = module(tmp_path, PASSING, _ansible_check_mode=True)
    assert (outcome["verdict"], outcome["changed"]) == ("pass", False)


def test_results_that_evidence_could_not_tell_apart_are_warned_of(tmp_path):
    (warning,) = module(tmp_path, PASSING, PASSING, subject="app1")["warnings"]
    assert "2 checks have the id operations.command.true and the subject app1" in str(warning)


def test_a_pace_that_makes_no_sense_is_refused(tmp_path):
    cases: list[tuple[dict, str]] = [
        ({"timeout": "0"}, "must be more than 0 s"),
        ({"interval": "soon"}, "'soon' is not a duration"),
        ({"concurrency": 0}, "from 1 to 1000"),
    ]
    for options, said in cases:
        outcome = module(tmp_path, PASSING, **options)
        assert (outcome["failed"], said in outcome["msg"]) == (True, True)
        assert "results" not in outcome


def test_nothing_checked_is_no_pass(tmp_path):
    outcome = module(tmp_path)
    assert (outcome["failed"], outcome["verdict"], outcome["results"]) == (True, "unknown", [])
    assert outcome["msg"] == "0 checks: nothing was checked"
    assert "failed" not in module(tmp_path, fail_on=["fail"])
