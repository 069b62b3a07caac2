"""Dumps in an object store: made, drilled, restored and recovered from there, and sabotaged."""

from __future__ import annotations

import pytest
from playbook import module, play
from stored import BUCKETS, FAILED, INVENTORY, changed, flip, host, mongo, objects, store, without

testinfra_hosts = ["db1"]
HERE = "/var/lib/mongodump"
CREDENTIALS, SETTINGS = "/etc/slipway/mongodump/bucket.json", "/etc/slipway/{}/mongodb.json"


@pytest.fixture
def dump():
    """A fresh dump, the newest; of those before nothing is left. Its object on the store's disk."""
    store.check_output(f"rm -rf {BUCKETS}/dumps/modelops")
    made = host.run("slipway-backup --engine mongodb full")
    assert made.rc == 0, made.stdout
    (found,) = objects("dumps/modelops/*.age")
    return found


def here() -> str:
    return host.check_output(f"find {HERE} -type f ! -name .lock")


def refused(reason: str) -> None:
    """Drill, restore and verification name it, and nothing changes or stays."""
    before = mongo("tell")
    drill = host.run("slipway-drill mongodb")
    assert drill.rc == FAILED and reason in drill.stdout, drill.stdout
    restore = host.run("slipway-restore mongodb --confirm db1/modelops")
    assert restore.rc == 1 and reason in restore.stderr and "Nothing was changed" in restore.stderr, restore.stderr
    assert len(restore.stderr.splitlines()) == 1
    verified = host.run("slipway-backup --engine mongodb verify")
    assert verified.rc == FAILED and reason in verified.stdout, verified.stdout
    assert mongo("tell") == before and here() == ""


def test_the_playbooks_back_up_drill_and_restore_from_the_store():
    store.check_output(f"rm -rf {BUCKETS}/dumps/modelops")
    mongo("noise", "40")  # some parts of an upload
    before = mongo("tell")
    made = play("backup", INVENTORY, engine="mongodb", type="full")
    assert made.code == 0 and "it is sent to https://objects1:7070/dumps/modelops/" in made.stdout, made.output
    (dump,) = objects("dumps/modelops/*.age")
    assert int(store.check_output(f"stat -c %s {dump}")) > 2 * 16 * 2**20
    assert store.check_output(f"head -c 21 {dump}") == "age-encryption.org/v1" and here() == ""
    (state,) = module(INVENTORY, "db1", "slipway.ops.backup_info", engines=["mongodb"])["db1"]["backups"]
    assert (state["name"], state["backups"], state["trouble"]) == ("modelops", 1, None)
    drill = play("drill", INVENTORY, engine="mongodb")
    assert drill.code == 0 and "4 of 4 tables the same" in drill.stdout, drill.output
    restored = play("restore", INVENTORY, engine="mongodb", restore_into={"app": "copy"})
    assert restored.code == 0, restored.output
    assert "2000 documents of 1 collections are the same as in the dump, indexes too" in restored.stdout
    after = mongo("tell")
    assert after.pop("copy.models") == before["app.models"] and after == before and here() == ""
    mongo("drop", "copy")
    mongo("drop", "large")


def test_a_restore_over_can_be_undone(dump):
    whole = mongo("tell")
    mongo("insert", "app.later", "files.meta")
    damaged = mongo("tell")
    host.check_output("slipway-restore mongodb --confirm db1/modelops")
    assert mongo("tell") == whole | {"app.later": damaged["app.later"]}
    host.check_output("slipway-restore mongodb undo --confirm db1/modelops")
    assert mongo("tell") == damaged and here() == ""
    mongo("drop", "app.later")
    mongo("fill")


def test_an_empty_server_on_a_bare_host_is_recovered(dump):
    before = mongo("tell")
    mongo("drop", "app")
    mongo("drop", "files")
    host.check_output(
        f"rm -r /etc/slipway/mongodump {HERE} /etc/systemd/system/slipway-*mongodb*;"
        " find /usr/local/lib/slipway -path '*/engines/mongodb*' -delete"
    )
    made = play("recover", INVENTORY, engine="mongodb")
    assert made.code == 0, made.output
    assert mongo("tell") == before and len(objects("dumps/modelops/*.age")) == 2, "a dump followed"
    assert play("recover", INVENTORY, engine="mongodb").code != 0, "it fills an empty server alone"


def test_what_is_beyond_its_days_goes_and_the_last_one_stays(dump):
    description = dump.replace(".archive.age", ".json")
    store.check_output(
        f"""old=$(sed 's/"ended": [0-9.]*/"ended": 1000000000.0/' {description}); echo "$old" > {description}"""
    )
    made = host.run("slipway-backup --engine mongodb full")
    assert made.rc == 0 and "is beyond its 7 days and removed" in made.stdout, made.stdout
    (left,) = objects("dumps/modelops/*.age")
    assert left != dump and len(objects("dumps/modelops/*")) == 2
    assert host.run("slipway-drill mongodb").rc == 0


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip, "is not what was written: its checksum is another, so it is corrupted"),
        (lambda dump: store.check_output(f"truncate --size=-1 {dump}"), "it is truncated"),
        (lambda dump: store.check_output(f"rm {dump}"), "is missing: https://objects1:7070/dumps/modelops/"),
    ],
    ids=["a byte", "the end", "all of it"],
)
def test_damage_is_found_before_anything_is_touched(dump, damage, reason):
    damage(dump)
    refused(reason)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda: without("store"), "no answer ([Errno 111] Connection refused); does it run"),
        (lambda: without("dumps"), "404 NoSuchBucket"),
        (lambda: changed(CREDENTIALS, secret="x" * 40), "403 SignatureDoesNotMatch"),
        (lambda: changed(CREDENTIALS, key="nobody"), "403 InvalidAccessKeyId"),
    ],
    ids=["store", "bucket", "secret", "key"],
)
def test_a_store_that_is_not_to_be_had_is_named(dump, trouble, reason):
    with trouble():
        refused(reason)
        made = host.run("slipway-backup --engine mongodb full")
        assert made.rc == FAILED and reason in made.stdout and here() == "", made.stdout
        assert "fail" in host.run("slipway-backup --engine mongodb status").stdout.splitlines()[1]
    assert host.run("slipway-drill mongodb").rc == 0


def test_a_certificate_of_another_authority_is_refused(dump):
    host.check_output(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null -out /root/other.pem 2>/dev/null"
    )
    with (
        changed(SETTINGS.format("backup"), ca="/root/other.pem"),
        changed(SETTINGS.format("drill"), ca="/root/other.pem"),
    ):
        refused("its certificate is not accepted")
    assert host.run("slipway-drill mongodb").rc == 0


def test_a_full_disk_where_dumps_are_made_and_fetched_to_is_named(dump):
    mongo("noise", "2")
    assert host.run("slipway-backup --engine mongodb full").rc == 0
    host.check_output(f"mount -t tmpfs -o size=600k,mode=0700 none {HERE}")
    try:
        made = host.run("slipway-backup --engine mongodb full")
        assert made.rc == FAILED and f"the disk of {HERE} is full" in made.stdout, made.stdout
        refused(f"the disk of {HERE} is full, so ")
    finally:
        host.check_output(f"umount {HERE}")
        mongo("drop", "large")
    assert len(objects("dumps/modelops/*.age")) == 2 and host.run("slipway-drill mongodb").rc == 0


def test_a_full_disk_of_the_store_fails_the_dump_and_the_last_one_stays(dump):
    small, place = "/mnt/small", f"{BUCKETS}/dumps"
    store.check_output(
        f"mkdir -p {small} && mount -t tmpfs -o size=600k none {small} && cp --archive {place}/. {small}/"
        f" && mount --bind {small} {place} && systemctl restart versitygw"  # it sees mounts when it starts
    )
    try:
        mongo("noise", "2")
        made = host.run("slipway-backup --engine mongodb full")
        assert made.rc == FAILED and "fail: the object store: PUT /dumps/modelops/" in made.stdout, made.stdout
        assert here() == "" and host.run("slipway-drill mongodb").rc == 0
    finally:
        store.check_output(
            f"systemctl stop versitygw; umount {place} && umount --lazy {small}; systemctl start versitygw"
        )
        mongo("drop", "large")
    assert objects("dumps/modelops/*.age") == [dump]


def test_one_that_was_killed_while_it_was_sent_leaves_nothing(dump):
    parts = f"find {BUCKETS}/dumps/.sgwtmp -type f -size +1M | grep ."
    mongo("noise", "240")
    host.check_output("systemctl start --no-block slipway-backup-mongodb@full.service")
    store.check_output(f"timeout 240 sh -c 'until {parts}; do sleep 0.02; done'")
    host.check_output("systemctl kill --signal=SIGKILL slipway-backup-mongodb@full.service")
    mongo("drop", "large")
    assert objects("dumps/modelops/*.age") == [dump], "it does not count"
    made = host.run("slipway-backup --engine mongodb full")
    assert made.rc == 0, made.stdout
    assert store.run(parts).rc != 0 and here() == "" and len(objects("dumps/modelops/*.age")) == 2


def test_a_second_run_changes_nothing(dump):
    play_again = play(INVENTORY.with_name("converge.yml"), INVENTORY)
    assert play_again.code == 0 and play_again.changed == 0, play_again.output
