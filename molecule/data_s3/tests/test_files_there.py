"""restic's repository in an object store: backed up, drilled, restored from there, and sabotaged."""

from __future__ import annotations

import pytest
from playbook import play
from stored import BUCKETS, FAILED, INVENTORY, changed, flip, host, objects, store, without

testinfra_hosts = ["db1"]
ENVIRONMENT = "/etc/slipway/restic/environment.json"


@pytest.fixture(scope="module", autouse=True)
def _a_backup():
    made = play("backup", INVENTORY, engine="files", type="full")
    assert made.code == 0 and "44 files" in made.stdout, made.output


def drill_fails(reason: str) -> None:
    drill = host.run("slipway-drill files")
    assert drill.rc == FAILED and reason in drill.stdout, drill.stdout


def test_what_is_there_is_sealed_and_comes_back():
    assert store.run(f"grep -ra 'upload number 7' {BUCKETS}/files").rc == 1 and len(objects("files/db1/*")) > 5
    drill = play("drill", INVENTORY, engine="files")
    assert drill.code == 0 and "1 of 1 tables the same" in drill.stdout, drill.output
    restored = play("restore", INVENTORY, engine="files", restore_host="db1", restore_into={"uploads": "/srv/copy"})
    assert restored.code == 0, restored.output
    compared = "cd {} && find . -path ./cache -prune -o -type f -exec sha256sum {{}} + | sort | sha256sum"
    before, after = (host.check_output(compared.format(place)) for place in ("/srv/uploads", "/srv/copy/srv/uploads"))
    assert before == after
    host.check_output("rm -r /srv/copy")


def test_a_host_without_the_files_is_recovered():
    host.check_output("rm -rf /srv/uploads")
    made = play("recover", INVENTORY, engine="files", recover_host="db1")
    assert made.code == 0, made.output
    assert host.check_output("tail -n 1 /srv/uploads/large") == "400000"


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda: without("store"), "opening it failed"),
        (lambda: without("files"), "The specified bucket does not exist"),
        (lambda: changed(ENVIRONMENT, AWS_SECRET_ACCESS_KEY="x" * 40), "signature"),
        (lambda: changed(ENVIRONMENT, RESTIC_CACERT="/root/stranger.pem"), "certificate signed by unknown authority"),
    ],
    ids=["store", "bucket", "secret", "authority"],
)
def test_a_store_that_is_not_to_be_had_is_named(trouble, reason):
    host.check_output(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null"
        " -out /root/stranger.pem 2>/dev/null"
    )
    with trouble():
        drill_fails(reason)
        made = host.run("slipway-backup --engine files incr")
        assert made.rc == FAILED and reason in made.stdout, made.stdout
    assert host.run("slipway-drill files").rc == 0


@pytest.mark.parametrize("damage", [flip, lambda pack: store.check_output(f"rm {pack}")], ids=["a byte", "all of it"])
def test_a_pack_that_is_damaged_or_missing_is_found(damage):
    packs = objects("files/db1/data/*")
    pack = max(packs, key=lambda path: int(store.check_output(f"stat -c %s {path}")))
    store.check_output(f"cp --preserve=all {pack} /srv/object-store/whole")
    damage(pack)
    try:
        drill_fails("restoring uploads")
        restore = host.run("slipway-restore files --confirm db1/db1")
        assert restore.rc == 1 and "restoring uploads" in restore.stderr, restore.stderr
        assert host.check_output("tail -n 1 /srv/uploads/large") == "400000", "nothing of the live files was touched"
        assert any(host.run("slipway-backup --engine files verify").rc == FAILED for _ in range(4))
    finally:
        store.check_output(f"mv /srv/object-store/whole {pack}")
    assert host.run("slipway-drill files").rc == 0
    for _ in range(4):
        assert host.run("slipway-backup --engine files verify").rc == 0
