"""Back up all, drill all, lose everything to somebody who is root on the data host, recover all, compare."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from data_hosts import (
    CONTAINER,
    ENGINES,
    INVENTORY,
    OWNER,
    RESTIC,
    SCENARIO,
    USERS,
    backup1,
    bucket,
    data,
    db1,
    states,
)
from playbook import ROOT, module, play

testinfra_hosts = ["db1"]
AGES = {
    engine: f"data.backup.age {subject}"
    for engine, subject in {
        "files": "db1 on db1",
        "mongodb": "mongodb on db1",
        "postgresql": "backup1",
        "redis": "redis on db1",
    }.items()
}
PGBACKREST = "runuser -u postgres -- pgbackrest --stanza=main"
LATE = {"health_deadline": "0s", "health_timeout": "60s"}  # a busy machine is no answer
KNOWN: dict[str, Any] = {}  # what was in every store when it was backed up, and the moment


def health(place: Path) -> dict[str, str]:
    """Verdict and reason of what health.yml finds of backups, by id and subject."""
    run = play("health", INVENTORY, health_report_dir=str(place), **LATE)
    assert (place / "health.json").exists(), run.output
    hosts = json.loads((place / "health.json").read_text())["hosts"]
    found = [one for results in hosts.values() for one in results if one["id"].startswith("data.backup.")]
    return {f"{one['id']} {one['subject']}": f"{one['verdict']}: {one.get('reason') or ''}" for one in found}


def test_one_order_backs_up_every_engine_and_one_view_has_them_all(tmp_path: Path):
    data("write")
    run = play("backup", INVENTORY, type="full")
    assert run.code == 0, run.output
    found = states()
    assert set(found) == {
        "files db1",
        "mongodb mongodb",
        "postgresql main/repo1",
        "postgresql main/repo2",
        "redis redis",
    }
    for name, one in found.items():
        assert one["last_success"] and one["age"] < one["limits"]["age"] and not one["trouble"], (name, one)
        assert name in run.stdout, "the table of backup.yml has it too"
    told = health(tmp_path)
    for what in AGES.values():
        assert told[what].startswith("pass"), told


def test_one_order_drills_every_engine_and_rto_and_rpo_of_each_are_evidence():
    run = play("drill", INVENTORY)
    assert run.code == 0, run.output
    records = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.drill.*"])["backup1"]["records"]
    found = {one["id"]: one for one in records}
    for engine in ENGINES:
        assert found[f"data.drill.{engine}.result"]["verdict"] == "pass"
        for what in ("rto", "rpo"):
            one = found[f"data.drill.{engine}.{what}"]
            assert one["verdict"] == "pass" and one["measured"] >= 0 and one["unit"] == "s", one


def test_a_known_state_is_backed_up():
    KNOWN["data"] = data("write")
    for engine in ENGINES:
        counted = KNOWN["data"][engine]
        assert counted and all(counted.values()), engine
    run = play("backup", INVENTORY, type="full")
    assert run.code == 0, run.output
    KNOWN["snapshots"] = snapshots()
    KNOWN["moment"] = float(backup1.check_output("date +%s.%N"))


def snapshots() -> set[str]:
    """restic's, by their labels."""
    told = json.loads(db1.check_output(f"{RESTIC} restic snapshots --json --no-lock"))
    return {one["id"] for one in told}


# From here on somebody is root on db1, and has what is on it.


@pytest.mark.parametrize(
    ("name", "credentials"),
    [("mongodb", "/etc/slipway/mongodump/bucket.json"), ("redis", "/etc/slipway/redis/bucket.json")],
)
def test_the_hosts_key_of_a_bucket_deletes_objects_and_no_version(name: str, credentials: str):
    found = bucket("db1", "attack", bucket=name, **json.loads(db1.check_output(f"cat {credentials}")))
    assert found["objects"] >= 4 and found["left"] == [] and found["delete"] == "done", found
    for tried in ("versioning", "policy", "acl", "bucket"):
        assert found[tried] == "AccessDenied", found
    assert found["versions"] == ["AccessDenied"], found


def test_the_hosts_certificate_deletes_what_pgbackrest_keeps_for_it():
    """Whatever the repository host keeps it deletes for who shows the database host's certificate, so that a repository
    has to be elsewhere too: the key of that bucket is not on the host, and its versions stay."""
    for repository in (1, 2):
        db1.check_output(f"{PGBACKREST} stop && {PGBACKREST} --repo={repository} --force stanza-delete")
    told = backup1.check_output(f"{PGBACKREST} info")
    assert "repo1: error (missing stanza" in told and "repo2: error (missing stanza" in told, told
    looked = subprocess.run(
        ["docker", "exec", "--interactive", f"{CONTAINER}db1", "grep", "-rlFf", "-", "/etc", "/var/lib", "/root"],
        input=USERS["postgresql"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (looked.returncode, looked.stdout) == (1, ""), looked


def test_restics_server_deletes_nothing_for_the_host():
    kept = KNOWN["snapshots"]
    db1.run(f"{RESTIC} restic forget --prune {' '.join(kept)}")
    curl = "curl -s -o /dev/null -w '%{http_code}' -u $RESTIC_REST_USERNAME:$RESTIC_REST_PASSWORD -X DELETE"
    for what in ("config", f"snapshots/{min(kept)}"):
        assert db1.check_output(f"{RESTIC} {curl} https://backup1:8000/db1/{what}") == "403"
    assert kept <= snapshots()


def test_it_is_reported(tmp_path: Path):
    """Everything on the host is emptied or encrypted, and the hour of the next backup of files comes."""
    for wiped in (
        "find /srv/uploads -type f -exec shred --iterations=1 --exact {} +",
        "REDISCLI_AUTH=sells-in-this-scenario redis-cli --user shop FLUSHALL",
        "python3 /root/mongo.py drop shop",
        "systemctl stop postgresql@17-main; rm -rf /var/lib/postgresql/17/main",
        "rm -rf /var/lib/redis-backup /var/lib/mongodump",
    ):
        db1.check_output(wiped)
    made = play("backup", INVENTORY, engine="files")
    assert made.code != 0 and "files in" in made.said and "are new or changed since" in made.said, made.output
    told = health(tmp_path)
    for engine in ("mongodb", "postgresql", "redis"):
        assert told[AGES[engine]].startswith("fail"), told
    assert told["data.backup.rewritten db1/uploads"].startswith("fail"), told


# Nothing of the host is left; its owners have the inventory, the vault, and what is on backup1.


def test_the_owner_brings_the_buckets_back_to_the_moment_before():
    for name in USERS:
        found = bucket("backup1", "rewind", bucket=name, moment=KNOWN["moment"], **OWNER)
        assert found["back"] >= 4, (name, found)


def test_the_host_is_lost_with_its_volumes_and_every_engine_recovered():
    subprocess.run(["docker", "rm", "--force", "--volumes", f"{CONTAINER}db1"], check=True, capture_output=True)
    for bare in (ROOT / "testbed/create.yml", SCENARIO / "prepare.yml"):
        made = play(bare, INVENTORY)
        assert made.code == 0, made.output
    # What the preparation of other scenarios put there, too.
    db1.check_output(
        "python3 /root/mongo.py drop app; python3 /root/mongo.py drop files; rm -rf /srv/uploads /etc/shop"
    )
    for engine in ENGINES:
        options = {"recover_repository": 2} if engine == "postgresql" else {}
        run = play("recover", INVENTORY, engine=engine, **options)
        assert run.code == 0, run.output
    records = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.recover.*"])["backup1"]["records"]
    assert {one["id"]: one["verdict"] for one in records} == {
        f"data.recover.{engine}.result": "pass" for engine in ENGINES
    }


def test_files_that_were_encrypted_are_restored_from_the_snapshot_that_was_named():
    # The recovery has backed up since, and found nothing rewritten beside what it had restored.
    told = module(INVENTORY, "backup1", "slipway.ops.evidence_info", ids=["data.backup.rewritten"], history=True)
    (reason,) = {one["reason"] for one in told["backup1"]["history"] if one["verdict"] == "fail"}
    label = reason.rpartition("restore ")[2]
    restored = {"restore_set": label, "restore_confirm": "db1/db1"}
    run = play("restore", INVENTORY, engine="files", restore_host="db1", **restored)
    assert run.code == 0, run.output
    discarded = play("restore", INVENTORY, engine="files", restore_host="db1", restore_discard=True)
    assert discarded.code == 0, discarded.output


def test_everything_is_as_it_was():
    there = data()
    for engine in ENGINES:
        assert there[engine] == KNOWN["data"][engine], engine


def test_a_second_run_changes_nothing_and_what_follows_is_backed_up_and_drilled():
    for changes in (True, False):
        run = play("site", INVENTORY)
        assert run.code == 0 and (changes or run.changed == 0), run.output
    for verb in ("backup", "drill"):
        run = play(verb, INVENTORY)
        assert run.code == 0, run.output
