"""Dumps of a real server by the real tools: made, drilled, restored, and sabotaged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from machine import journal, journal_has
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
STORE = "/var/lib/mongodump"
FAILED = 3  # what was to be shown is not so; 1 is for what could not be tried
PASSWORD = "only-for-this-scenario"


@pytest.fixture
def mongo(host):
    """What is in the server, after something is done to it."""
    return lambda *words: json.loads(host.check_output(f"python3 /root/mongo.py {' '.join(words)}"))


@pytest.fixture
def dump(host):
    """A fresh dump, the newest; of those before nothing is left."""
    host.check_output(f"rm -rf {STORE}/*")
    assert host.run("slipway-backup full").rc == 0
    return host.check_output(f"ls {STORE}/*.age")


@pytest.fixture
def drilled(host):
    """Why a drill fails."""

    def run() -> str:
        ended = host.run("slipway-drill mongodb")
        assert ended.rc == FAILED
        return next(line for line in ended.stdout.splitlines() if " FAILED: " in line)

    return run


def test_the_playbooks_back_up_and_drill(host, mongo):
    before = mongo("tell")
    made = play("backup", INVENTORY, engine="mongodb", type="full")
    assert made.code == 0, made.stdout
    assert "2300 documents of 2 collections" in made.stdout and PASSWORD not in made.stdout
    drill = play("drill", INVENTORY)
    assert drill.code == 0, drill.stdout
    assert "2 of 2 tables the same, 2300 rows" in drill.stdout
    assert mongo("tell") == before


def test_a_dump_cannot_be_read_without_its_key(host, dump):
    assert host.run(f"grep -a 'model 7' {dump}").rc == 1
    assert host.check_output(f"head -c 21 {dump}") == "age-encryption.org/v1"
    assert host.file(dump).mode & 0o077 == 0 or host.file(STORE).mode & 0o077 == 0
    host.check_output("age-keygen -o /root/other.age 2>/dev/null")
    host.check_output("cp /etc/slipway/mongodump/identity.age /root/right.age")
    host.check_output("cat /root/other.age > /etc/slipway/mongodump/identity.age; rm /root/other.age")
    try:
        ended = host.run("slipway-drill mongodb")
        assert ended.rc == FAILED
        assert "age ended with status 1; it says: age: error: no identity matched" in ended.stdout
        assert host.run("slipway-restore mongodb --into app=copy").rc == 1
    finally:
        host.check_output("cat /root/right.age > /etc/slipway/mongodump/identity.age; rm /root/right.age")


def test_a_restore_beside_is_the_same_with_indexes(mongo, dump):
    before = mongo("tell")
    made = play("restore", INVENTORY, restore_into={"app": "copy"})
    assert made.code == 0, made.stdout
    assert "2000 documents of 1 collections are the same as in the dump, indexes too" in made.stdout
    after = mongo("tell")
    assert after.pop("copy.models") == before["app.models"] == [2000, ["_id_", "name_1", "score_-1_name_1"]]
    assert after == before
    mongo("drop", "copy")


def test_a_restore_over_is_confirmed_and_can_be_undone(host, mongo, dump):
    whole = mongo("tell")
    mongo("drop", "app.models")
    mongo("insert", "app.later", "files.meta")
    damaged = mongo("tell")
    refused = play("restore", INVENTORY)
    assert refused.code != 0
    assert "app, files is there and would be replaced: restore_confirm=db1/modelops" in refused.said
    assert play("restore", INVENTORY, "--check", restore_confirm="db1/modelops").code == 0
    assert mongo("tell") == damaged
    made = play("restore", INVENTORY, restore_confirm="db1/modelops")
    assert made.code == 0, made.stdout
    assert mongo("tell") == whole | {"app.later": damaged["app.later"]}, "what is not in the dump stays"
    assert "data.restore.mongodb.result" in host.check_output("cat /var/lib/slipway/results/*")
    assert play("restore", INVENTORY, restore_undo=True).code != 0, "this replaces, too"
    assert play("restore", INVENTORY, restore_undo=True, restore_confirm="db1/modelops").code == 0
    assert mongo("tell") == damaged
    assert (
        "keeps what it replaced" in play("restore", INVENTORY, restore_undo=True, restore_confirm="db1/modelops").said
    )
    host.check_output("slipway-restore mongodb --confirm db1/modelops && slipway-restore mongodb discard")
    mongo("drop", "app.later")
    assert mongo("tell") == whole and host.run(f"ls {STORE}/former").rc != 0


def test_a_restore_that_cannot_be_names_why_and_changes_nothing(host, mongo, dump):
    before = mongo("tell")
    for words, reason in (
        ("--set 19990101T000000Z", "there is no dump 19990101T000000Z; there are"),
        ("--into nothing=copy", "has no database nothing"),
        ("--into app=copy --into files=copy", "two databases cannot both become copy"),
        ("recover", "the server has app, files: recover.yml fills an empty server alone"),
    ):
        ended = host.run(f"slipway-restore mongodb {words}")
        assert ended.rc == 1 and reason in ended.stderr and "Nothing was changed" in ended.stderr
    assert "does not know restore_type" in play("restore", INVENTORY, restore_type="time", restore_target="x").said
    assert mongo("tell") == before


def test_an_empty_server_on_a_bare_host_is_recovered(host, mongo, dump):
    before = mongo("tell")
    refused = play("recover", INVENTORY)
    assert refused.code != 0 and "the server has app, files" in refused.said
    mongo("drop", "app")
    mongo("drop", "files")
    host.check_output(
        "rm -r /etc/slipway /usr/local/lib/slipway /usr/local/sbin/slipway-*; rm /etc/systemd/system/slipway-*"
    )
    made = play("recover", INVENTORY)
    assert made.code == 0, made.stdout
    assert mongo("tell") == before
    assert "data.recover.mongodb.result" in host.check_output("cat /var/lib/slipway/results/*")
    assert len(host.check_output(f"ls {STORE}/*.age").split()) == 2, "a dump followed"


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        ("dd if=/dev/zero of={dump} bs=1 seek=2000 count=64 conv=notrunc status=none", "so it is corrupted"),
        ("truncate --size=-100 {dump}", "it is truncated"),
        ("rm {dump}", "is missing"),
        ('sed -i \'s/"began": [0-9.]*/"began": 1000000000.0/\' {store}/*.json', "old, more than 1d2h"),
    ],
)
def test_damage_fails_the_drill_and_leaves_nothing(host, mongo, dump, drilled, sabotage, reason):
    before = mongo("tell")
    host.check_output(sabotage.format(dump=dump, store=STORE))
    assert reason in drilled()
    assert mongo("tell") == before
    if "began" not in sabotage:
        assert host.run("slipway-backup verify").rc == FAILED
        ended = host.run("slipway-restore mongodb --confirm db1/modelops")
        assert ended.rc == 1 and "Nothing was changed" in ended.stderr
        assert mongo("tell") == before
    else:
        assert "fail  mongodb modelops" in host.run("slipway-backup status").stdout


def test_a_listed_collection_that_is_gone_fails_the_dump(host, mongo, dump):
    mongo("drop", "app.models")
    try:
        ended = host.run("slipway-backup full")
        assert ended.rc == FAILED and "the dump lacks app.models, so it was not kept" in ended.stdout
        assert host.check_output(f"ls {STORE}/*.age") == dump
    finally:
        host.check_output("slipway-restore mongodb --confirm db1/modelops")
    mongo("drop", "files")
    shrunk = host.run("slipway-backup full")
    assert shrunk.rc == 0, "it is told, and the dump is the newest there is"
    spooled = host.check_output("cat /var/lib/slipway/results/*")
    assert "files.meta was in the last dump and is in this one no more" in spooled
    mongo("fill")


def test_a_server_that_is_killed_in_the_middle_fails_the_dump(host, mongo, dump):
    mongo("grow", "30")
    try:
        host.check_output("systemctl start --no-block slipway-backup-mongodb@full.service")
        until = time.monotonic() + 30
        while host.run(f"test -s {STORE}/.*.partial").rc != 0:
            assert time.monotonic() < until, "no dump began"
        host.check_output("systemctl kill --signal=SIGKILL ferretdb.service")
        while host.run("systemctl is-active slipway-backup-mongodb@full.service").stdout.strip() == "activating":
            time.sleep(0.2)
        unit = "-u slipway-backup-mongodb@full.service"
        assert journal_has(host, unit, "fail: mongodump ended with status") and PASSWORD not in journal(host, unit)
        assert host.check_output(f"ls {STORE}/*.age") == dump
    finally:
        host.check_output("systemctl start ferretdb.service")
        time.sleep(2)
        mongo("drop", "large")


def test_a_full_disk_fails_the_dump_and_the_last_one_stays(host, mongo, dump):
    host.check_output(
        f"mkdir -p /tmp/kept && cp {STORE}/* /tmp/kept && mount -t tmpfs -o size=256k,mode=0700 none {STORE}"
    )
    try:
        host.check_output(f"cp /tmp/kept/* {STORE}")
        mongo("grow", "3")
        host.check_output(f"head -c 200000 /dev/urandom > {STORE}/filler || true")
        ended = host.run("slipway-backup full")
        assert ended.rc == FAILED and "fail: " in ended.stdout
        assert "No space left" in ended.stdout or "no space left" in ended.stdout
        assert host.check_output(f"ls {STORE}/*.age") == dump
    finally:
        host.check_output(f"umount {STORE}; rm -r /tmp/kept")
        mongo("drop", "large")


def test_no_secret_is_in_argv_or_readable(host, dump):
    host.check_output("systemctl start slipway-backup-mongodb@full.service")
    host.check_output("systemctl start slipway-drill@mongodb.service")
    assert (
        host.run(f"grep -rl {PASSWORD} /etc/slipway/backup /etc/slipway/drill /var/lib/slipway /run/slipway-*").rc == 1
    )
    for name in ("server.json", "identity.age"):
        assert host.file(f"/etc/slipway/mongodump/{name}").mode == 0o600
    assert host.run(f"journalctl -u 'slipway-*' | grep {PASSWORD}").rc == 1
