"""Jobs run as they are listed; their ends are told; silence is no approval; both runners keep the same times."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import journal_has, until
from playbook import module, play

INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
SCENARIO = Path(__file__).resolve().parents[1]
HOOKED = "/run/hooked"
HOOK = f"""
import http.server
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        open("{HOOKED}", "a").write(body + chr(10))
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8099), Hook).serve_forever()
"""


@pytest.fixture
def told(host) -> Iterator[Any]:
    """A receiver; returns the texts that have come."""
    host.check_output(f"rm -f {HOOKED}; touch {HOOKED}")
    host.check_output(f"systemd-run --unit=hook --collect python3 -c '{HOOK}'")
    assert until(lambda: host.run("bash -c '</dev/tcp/127.0.0.1/8099'").rc == 0)

    def texts() -> list[str]:
        return [json.loads(line)["text"] for line in host.check_output(f"cat {HOOKED}").splitlines()]

    yield texts
    host.check_output("systemctl stop hook")


def unit(host, name: str) -> int:
    """Runs a job as its timer does, to its end."""
    return host.run(f"systemctl start slipway-job@{name}").rc


def test_a_job_that_succeeds_tells_whom_it_names_and_no_other(host, told) -> None:
    assert unit(host, "well") == 0
    (text,) = told()
    assert text.startswith("kiwi: job well succeeded on controller1")
    assert journal_has(host, "-u slipway-job@well", "all is well")
    assert unit(host, "minutely") == 0 and len(told()) == 1


def test_a_failed_drill_is_told_with_its_reason(host, told) -> None:
    assert unit(host, "drill") != 0
    (text,) = told()
    assert text.startswith("kiwi: job drill failed (exit-code, 2) on controller1")
    assert "table items differs in 3 rows" in text


def test_a_job_that_takes_too_long_is_stopped_with_what_it_started_and_told(host, told) -> None:
    assert unit(host, "slow") != 0
    (text,) = told()
    assert text.startswith("kiwi: job slow took too long") and "It was stopped after 5 s" in text
    assert host.run("pgrep -f '^sleep 600'").rc != 0


def test_a_job_that_is_killed_is_told_too(host, told) -> None:
    host.check_output("systemctl start --no-block slipway-job@asked")
    assert until(lambda: host.file("/var/lib/slipway-jobs/asked.asked").exists)
    host.check_output("systemctl kill --signal=KILL slipway-job@asked")
    assert until(lambda: len(told()) == 1)
    assert "job asked failed (signal, KILL)" in told()[0]


def test_a_job_that_is_stopped_is_told_as_such(host, told) -> None:
    host.check_output("rm -f /var/lib/slipway-jobs/asked.asked")  # of the one that was killed
    host.check_output("systemctl start --no-block slipway-job@asked")
    assert until(lambda: host.file("/var/lib/slipway-jobs/asked.asked").exists)
    host.check_output("systemctl stop slipway-job@asked")
    assert until(lambda: len(told()) == 1)
    assert told()[0].startswith("kiwi: job asked was stopped on controller1")
    assert not host.file("/var/lib/slipway-jobs/asked.asked").exists


def test_root_starts_none_and_leaves_the_timer_what_it_writes(host, told) -> None:
    refused = host.run("slipway-job run well")
    assert refused.rc == 64 and "Jobs run as slipway-jobs: runuser -u slipway-jobs" in refused.stderr
    assert unit(host, "well") == 0


def test_nobody_s_yes_is_a_no(host, told) -> None:
    host.check_output("rm -f /var/lib/slipway-jobs/word")
    assert unit(host, "asked") != 0
    (text,) = told()
    assert text == "kiwi: job asked was not approved on controller1\nNobody approved it within 20 s."
    assert not host.file("/var/lib/slipway-jobs/word").exists


@pytest.mark.parametrize(("verb", "goes_on"), [("approve", True), ("deny", False)])
def test_it_waits_for_an_answer_and_keeps_to_it(host, told, verb: str, goes_on: bool) -> None:
    host.check_output("rm -f /var/lib/slipway-jobs/word")
    assert "waits for nobody's approval now" in host.run(f"slipway-job {verb} asked").stderr
    host.check_output("systemctl start --no-block slipway-job@asked")
    assert until(lambda: host.file("/var/lib/slipway-jobs/asked.asked").exists)
    assert not host.file("/var/lib/slipway-jobs/word").exists
    host.check_output(f"SUDO_USER=jiwoo slipway-job {verb} asked")
    assert until(lambda: host.check_output("systemctl show -P ActiveState slipway-job@asked") in ("inactive", "failed"))
    word = host.file("/var/lib/slipway-jobs/word")
    assert word.exists == goes_on and (not goes_on or word.content_string == "plum for production\n")
    assert journal_has(host, "-u slipway-job@asked", f"{'approved' if goes_on else 'denied'} by jiwoo")
    assert len(told()) == (0 if goes_on else 1)


def test_answers_are_held_against_the_survey_before_anything_runs(host) -> None:
    run = "runuser -u slipway-jobs -- slipway-job run asked"
    for answers, said in (("word=pear", "wanted is one of kiwi, plum"), ("wrd=kiwi", "wrd is asked by nobody")):
        done = host.run(f"{run} {answers}")
        assert done.rc == 64 and said in done.stderr and "Traceback" not in done.stderr
    assert "There is no job nosuch; there are" in host.run("slipway-job run nosuch").stderr


def test_both_runners_keep_the_same_times(host) -> None:
    """What AWX works out (dateutil, as it does) and what systemd says, over changes of the clock."""
    listed = "{{ jobs_list | slipway.ops.jobs(groups) | slipway.ops.jobs_timers(jobs_timezone) }}"
    scheduled = module(INVENTORY, "controller1", "ansible.builtin.debug", msg=listed)["controller1"]["msg"]
    assert len(scheduled) >= 7
    for job in scheduled:
        timer = host.file(f"/etc/systemd/system/slipway-job-{job['name']}.timer").content_string
        (calendar,) = [line.partition("=")[2] for line in timer.splitlines() if line.startswith("OnCalendar=")]
        base = "2027-02-20 00:00:00 UTC"
        shown = host.check_output(
            f"LC_ALL=C systemd-analyze calendar --base-time='{base}' --iterations=400 '{calendar}'"
        )
        lines = [line.partition(": ")[2] for line in shown.splitlines() if "(in UTC)" in line]
        ours = lines or [
            line.partition(": ")[2] for line in shown.splitlines() if line.lstrip().startswith(("Next", "Iter"))
        ]
        theirs = json.loads(host.check_output(f'python3 -c "{DATEUTIL.format(rrule=job["rrule"])}"'))
        assert [" ".join(line.split()[1:3]) for line in ours] == theirs[: len(ours)] and len(ours) == 400, job


DATEUTIL = """
import datetime, itertools, json
from dateutil import rrule, tz
base = datetime.datetime(2027, 2, 20, tzinfo=tz.UTC)
rule = rrule.rrulestr('{rrule}'.replace(' ', chr(10)))
found = itertools.islice((one.astimezone(tz.UTC) for one in rule.xafter(base, inc=False)), 400)
print(json.dumps([format(one, '%Y-%m-%d %H:%M:%S') for one in found]))
"""


def test_a_job_that_leaves_the_list_leaves_the_clock(host) -> None:
    active = "systemctl list-timers --all --no-legend 'slipway-job-*' | wc -l"
    before = int(host.check_output(active))
    listed = [{"name": name, "enabled": False} for name in ("health", "documents", "drill", "drift", "scan", "status")]
    run = play(SCENARIO / "converge.yml", INVENTORY, jobs_list=listed)
    assert run.code == 0, run.output
    assert before > 1 and int(host.check_output(active)) == 1
    assert not host.file("/etc/systemd/system/slipway-job-drill.timer").exists
    stamp = "/var/lib/systemd/timers/stamp-slipway-job-drill.timer"
    assert not host.file(stamp).exists, "who comes back to the list has missed nothing"
    again = play(SCENARIO / "converge.yml", INVENTORY, jobs_list=listed)
    assert again.code == 0 and again.changed == 0, again.output


def test_health_tells_a_job_that_failed() -> None:
    """By the job's own check alone: as a failed unit of the host, NO-GO would be a reason for the next NO-GO."""
    assert play(SCENARIO / "converge.yml", INVENTORY).code == 0
    found = module(INVENTORY, "controller1", "ansible.builtin.debug", msg="{{ query('slipway.ops.cards', 'checks') }}")
    wanted = ("operations.job-", "infrastructure.systemd.units")
    checks = [one for one in found["controller1"]["msg"] if one["id"].startswith(wanted)]
    module(INVENTORY, "controller1", "ansible.builtin.shell", _raw_params="systemctl start slipway-job@drill || true")
    results = module(INVENTORY, "controller1", "slipway.ops.health_check", checks=checks, fail_on=[], timeout="30s")
    verdicts = {one["id"]: one["verdict"] for one in results["controller1"]["results"]}
    bad = [name for name, verdict in verdicts.items() if verdict not in ("pass", "skip")]
    assert bad == ["operations.job-drill.succeeded"]
    # A reboot forgets that a unit failed.
    module(INVENTORY, "controller1", "ansible.builtin.command", _raw_params="systemctl reset-failed slipway-job@drill")
    results = module(INVENTORY, "controller1", "slipway.ops.health_check", checks=checks, fail_on=[], timeout="30s")
    assert {one["id"]: one["verdict"] for one in results["controller1"]["results"]} == verdicts


def test_what_cannot_be_meant_is_refused_before_anything_changes() -> None:
    run = play(
        SCENARIO / "converge.yml",
        INVENTORY,
        jobs_list=[{"name": "x", "playbook": "playbooks/well.yml", "schedule": "FREQ=DAILY;INTERVAL=2"}],
    )
    assert run.code != 0 and run.changed == 0
    assert "job x: 'FREQ=DAILY;INTERVAL=2' has INTERVAL=2; for DAILY it is 1." in run.said
