"""The store as its writers, readers and Prometheus see it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from machine import journal_has
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
STORE = "/var/lib/slipway/evidence"
TEXTFILE = "/var/lib/prometheus/node-exporter/slipway_evidence.prom"


def record(**changes):
    return {
        "id": "delivery.rollback.duration",
        "area": "delivery",
        "subject": f"subject-{uuid.uuid4().hex[:8]}",
        "claim": "The previous release answers again within five seconds",
        "measured": 1.84,
        "unit": "s",
        "limit": "<= 5",
        "verdict": "pass",
        "at": "2026-11-20T11:40:00.123Z",
        "source": "rollback 0.1.0",
        **changes,
    }


def append(host, *records, store=STORE, artifacts=(), check=False):
    arguments = {"store": store, "run": "molecule", "records": list(records), "artifacts": list(artifacts)}
    return host.ansible("slipway.ops.evidence", json.dumps(arguments), check=check)


def latest(host, store=STORE, **arguments):
    return host.ansible("slipway.ops.evidence_info", json.dumps({"store": store, **arguments}), check=False)


def as_user(host, user, command):
    return host.run("runuser -u %s -- sh -c %s", user, command)


def test_what_is_appended_can_be_read_back_with_its_artifact(host):
    one = record(artifacts=["timeline.json"])
    assert append(host, one, artifacts=[{"name": "timeline.json", "content": "{}"}])["changed"]
    answer = latest(host, subjects=[one["subject"]], artifacts=True)
    assert [found["measured"] for found in answer["records"]] == [1.84]
    (artifact,) = answer["artifacts"].values()
    assert artifact == {"bytes": 2, "intact": True, "content": "{}"}


def test_an_artifact_that_was_changed_is_not_intact(host):
    one = record()
    path = append(host, one, artifacts=[{"name": "raw.txt", "content": "as measured"}])["records"][0]["artifacts"][0]
    host.check_output("echo edited > %s", f"{STORE}/{path}")
    (artifact,) = latest(host, subjects=[one["subject"]], artifacts=True)["artifacts"].values()
    assert not artifact["intact"]


def test_check_mode_validates_and_writes_nothing(host):
    one = record()
    assert append(host, one, check=True)["changed"]
    assert latest(host, subjects=[one["subject"]])["records"] == []


def test_a_bad_record_is_refused_with_the_good_one_beside_it(host):
    good = record()
    answer = append(host, good, record(verdict="excellent", took=-1))
    assert "record 2 of 2" in answer["msg"]
    assert "'excellent' is not one of pass, warn, fail, skip, unknown" in answer["msg"]
    assert latest(host, subjects=[good["subject"]])["records"] == []


@pytest.mark.parametrize("path", [STORE, f"{STORE}/records", f"{STORE}/latest.json"])
def test_strangers_see_nothing(host, path):
    append(host, record())
    assert as_user(host, "nobody", f"cat {path} 2>&- || ls {path}/").failed


def test_readers_read_and_do_not_write(host):
    append(host, record())
    assert "rollback" in as_user(host, "audit", f"cat {STORE}/records/*.jsonl").stdout
    for command in (
        f"echo >> {STORE}/records/*.jsonl",
        f"rm {STORE}/latest.json",
        f"touch {STORE}/records/2026-01.jsonl",
    ):
        assert as_user(host, "audit", command).failed


def test_the_node_exporter_shows_the_latest_verdict(host):
    one = record(verdict="fail", reason="it took 7 s", measured=7)
    append(host, record(subject=one["subject"], at="2026-11-19T00:00:00Z"), one)
    metrics = host.check_output("curl -fsS http://127.0.0.1:9100/metrics")
    labels = f'{{area="delivery",id="{one["id"]}",subject="{one["subject"]}"}}'
    assert f"slipway_evidence_verdict{labels} 2" in metrics
    assert "node_textfile_scrape_error 0" in metrics


def test_a_host_that_is_gone_is_asked_for_no_more_and_others_are(host):
    gone, others = ("app9", "app9 /var", "app9:443", "shop on app9"), ("app90", "shop on app90", "app")
    append(host, *(record(subject=subject) for subject in (*gone, *others)))
    looked = play("forget", INVENTORY, "--check", host="app9")
    assert looked.code == 0 and "shop on app9: its evidence is asked for no more" in looked.said, looked.output
    assert {one["verdict"] for one in latest(host, subjects=list(gone))["records"]} == {"pass"}
    assert play("forget", INVENTORY, host="app9").code == 0
    found = {one["subject"]: one["verdict"] for one in latest(host, subjects=[*gone, *others])["records"]}
    assert found == dict.fromkeys(gone, "skip") | dict.fromkeys(others, "pass")
    again = play("forget", INVENTORY, host="app9")
    assert again.code == 0 and again.changed == 0 and "Nothing was known of app9, or" in again.said
    many = play("forget", INVENTORY, host="app*")
    assert many.code != 0 and "app* is no name of one host" in many.said, many.output
    wanted = play("forget", INVENTORY, host="monitor1")
    assert wanted.code != 0 and "monitor1 is in the inventory" in wanted.said


def test_a_torn_line_costs_only_itself(host):
    before, after = record(), record()
    append(host, before)
    host.check_output('printf \'{"id":"delivery.torn\' >> "$(ls %s/*.jsonl | tail -1)"', f"{STORE}/records")
    append(host, after)
    subjects = {found["subject"] for found in latest(host)["records"]}
    assert {before["subject"], after["subject"]} <= subjects
    assert latest(host)["damaged"]


def test_the_timer_removes_what_is_old_but_the_last_word(host):
    only, twice = record(), record()
    lines = [
        {**only, "at": "2020-01-02T00:00:00.000Z", "run": "old"},
        {**twice, "at": "2020-01-02T00:00:00.000Z", "run": "old"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    host.check_output("printf %%s %s > %s", text, f"{STORE}/records/2020-01.jsonl")
    append(host, twice)
    host.check_output("systemctl start slipway-evidence.service")
    left = host.check_output("cat %s", f"{STORE}/records/2020-01.jsonl")
    assert only["subject"] in left
    assert twice["subject"] not in left
    assert journal_has(host, "-u slipway-evidence", "removed 1 records")


def test_the_timer_is_armed_and_its_service_confined(host):
    assert host.service("slipway-evidence.timer").is_running
    assert host.service("slipway-evidence.timer").is_enabled
    exposure = host.check_output("systemd-analyze security --no-pager slipway-evidence.service | tail -1")
    assert float(exposure.split("slipway-evidence.service: ")[1].split()[0]) < 2.0


def test_a_full_disk_is_said_and_leaves_nothing_half_written(host):
    host.check_output("mkdir -p /mnt/tiny && mount -t tmpfs -o size=64k tmpfs /mnt/tiny")
    try:
        assert append(host, record(), store="/mnt/tiny/store")["changed"]
        # Leaves room for a part of the next batch.
        host.run("head -c 1M /dev/zero > /mnt/tiny/filler; truncate -s -4096 /mnt/tiny/filler")
        before = host.check_output("cat /mnt/tiny/store/records/*.jsonl")
        answer = append(host, *(record(claim="x" * 400) for _ in range(40)), store="/mnt/tiny/store")
        assert "No space left on device" in answer["msg"]
        assert "free space" in answer["msg"]
        assert host.check_output("cat /mnt/tiny/store/records/*.jsonl") == before
        host.check_output("rm /mnt/tiny/filler")
        assert append(host, record(), store="/mnt/tiny/store")["changed"]
        assert len(latest(host, store="/mnt/tiny/store")["records"]) == 2
    finally:
        host.check_output("umount /mnt/tiny")


def test_killed_writers_leave_a_store_that_reads_and_takes_more(host):
    """Writers that are killed at random moments: what one was told is recorded stays recorded."""
    host.check_output("printf %%s %s > /root/writer.py", WRITER)
    host.check_output("mkdir -p /root/acknowledged; rm -f /root/acknowledged/*")
    host.check_output("printf %%s %s > /root/kill.sh && bash /root/kill.sh", KILL_WRITERS)
    acknowledged = set(host.check_output("cat /root/acknowledged/*").split())
    answer = latest(host, store="/root/killed", history=True)
    assert acknowledged
    assert acknowledged <= {found["subject"] for found in answer["history"]}
    assert append(host, record(), store="/root/killed")["changed"]


# Each writer is killed a moment after its first record, wherever it is then.
KILL_WRITERS = """
for n in 1 2 3 4 5 6 7 8; do
  python3 /root/writer.py $n & writer=$!
  for attempt in $(seq 600); do test -s /root/acknowledged/$n && break; sleep 0.05; done
  sleep 0.0$n
  kill -KILL $writer
  wait $writer
done 2>/dev/null
true
"""

WRITER = """
import os, sys
sys.path.insert(0, "/usr/local/lib/slipway/slipway_evidence")
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
name = sys.argv[1]
store = Store("/root/killed")
out = os.open("/root/acknowledged/" + name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for number in range(100000):
    subject = f"{name}-{number}"
    store.append([{"id": "operations.writer.alive", "area": "operations", "subject": subject, "claim": "alive" * 50,
                   "verdict": "pass", "at": "2026-11-20T00:00:00Z", "source": "test"}], "run")
    os.write(out, (subject + "\\n").encode())
"""
