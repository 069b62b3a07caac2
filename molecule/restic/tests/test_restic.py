"""Files backed up, drilled, restored and recovered, sabotaged, and what root on a client cannot do to its backups."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import testinfra
from playbook import ROOT, play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
REPOSITORIES = "/var/lib/restic-rest-server"
FAILED = 3  # what was to be shown is not so; 1 is for what could not be tried
SECRETS = ("only-for-app1-in-this-scenario", "only-for-app2-in-this-scenario")
# restic as root on the client has it, with all that is on that host.
RESTIC = (
    "export RESTIC_REPOSITORY=rest:https://backup1:8000/app1/ RESTIC_PASSWORD_FILE=/etc/slipway/restic/password; "
    "eval $(python3 -c \"import json; print('export', *(f'{k}={v}' for k, v in "
    "json.load(open('/etc/slipway/restic/environment.json')).items()))\"); restic "
)


@pytest.fixture(scope="module")
def server():
    return testinfra.get_host("docker://slipway-restic-backup1")


@pytest.fixture(scope="module")
def other():
    return testinfra.get_host("docker://slipway-restic-app2")


@pytest.fixture
def files(host):
    """The files as they are made, with a backup of each that is the newest."""
    host.check_output("systemctl stop slipway-backup-files-config.path; /root/fill.sh")
    made = host.run("slipway-backup --engine files full")
    assert "uploads: " in made.stdout, made.stderr


def backup(host, kind: str = "full", code: int = 0) -> str:
    ended = host.run(f"slipway-backup --engine files {kind}")
    assert ended.rc == code, ended.stdout + ended.stderr
    return ended.stdout


def drill_failure(host) -> str:
    ended = host.run("slipway-drill files")
    assert ended.rc == FAILED, ended.stdout
    assert host.run("ls -d /var/lib/slipway-restic/drill-*").rc != 0, "something of the drill is left"
    return next(line for line in ended.stdout.splitlines() if " FAILED: " in line)


def labels(host) -> list[str]:
    return [one["id"] for one in json.loads(host.check_output(f"{RESTIC} snapshots --json --no-lock"))]


def test_the_playbooks_back_up_and_drill(host, files):
    made = play("backup", INVENTORY, "--limit", "app1", engine="files", type="full")
    assert made.code == 0, made.said
    assert "uploads: " in made.stdout and "44 files" in made.stdout
    drill = play("drill", INVENTORY, "--limit", "app1", engine="files")
    assert drill.code == 0, drill.said
    assert "3 of 3 tables the same" in drill.stdout and "46 files by content" in drill.stdout
    assert not any(secret in made.said + drill.said for secret in SECRETS)


def test_a_change_of_configuration_is_backed_up(host, files):
    before = len(labels(host))
    assert "config on app1 data.backup.watched inactive" in play("health", INVENTORY, "--limit", "app1").said
    host.check_output("systemctl start slipway-backup-files-config.path; echo 'debug: true' > /etc/shop/shop.yml")
    until = time.monotonic() + 120
    while len(labels(host)) == before:
        assert time.monotonic() < until, "no backup came of the change"
        time.sleep(2)
    # Its end, so that the next backup is not in the way of it.
    while host.check_output("systemctl is-active slipway-backup-files-changed@config || true") != "inactive":
        assert time.monotonic() < until
        time.sleep(1)
    assert "debug: true" in host.check_output(f"{RESTIC} dump --tag config latest /etc/shop/shop.yml")


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        ("mv /srv/uploads /srv/gone", "/srv/uploads is not there, so nothing was backed up"),
        ("rm -r /srv/uploads/2026/[1-3]*", "shrank: it has 11 files"),
        ("rm -r /srv/uploads/*", "shrank: it has no files"),
    ],
)
def test_a_source_that_vanished_or_shrank_fails_though_restic_does_not(host, files, sabotage, reason):
    host.check_output(sabotage)
    ended = backup(host, "incr", FAILED)
    results = host.check_output("cat /var/lib/slipway/results/latest.json")
    assert reason in ended + results
    host.check_output("rm -rf /srv/gone; slipway-restore files --into uploads --confirm app1/app1")
    assert host.check_output("ls /srv/uploads/2026 | wc -l") == "41", "the newest that did not shrink came back"
    host.check_output("slipway-restore files discard")


@pytest.mark.parametrize(
    ("where", "sabotage", "mend", "reason"),
    [
        ("server", "mv {repo} {repo}.away", "mv {repo}.away {repo}", "there is no repository at"),
        ("server", "systemctl stop restic-rest-server", "systemctl start restic-rest-server", "opening it failed"),
        (
            "server",
            "cp -p /etc/slipway/restic-server/users /root/users; sed -i /^app1/d /etc/slipway/restic-server/users;"
            " systemctl restart restic-rest-server",
            "mv /root/users /etc/slipway/restic-server/users; systemctl restart restic-rest-server",
            "401",
        ),
        (
            "client",
            "cp /etc/slipway/restic/password /root/key; echo another-key-than-it-was > /etc/slipway/restic/password",
            "mv /root/key /etc/slipway/restic/password",
            "does not open with the key in /etc/slipway/restic/password",
        ),
    ],
)
def test_a_repository_that_is_gone_or_refuses_is_named(host, server, files, where, sabotage, mend, reason):
    broken = server if where == "server" else host
    broken.check_output(sabotage.format(repo=f"{REPOSITORIES}/app1"))
    try:
        assert reason in backup(host, "incr", FAILED)
        if "systemctl stop" in sabotage:  # which is waited for each time
            return
        assert reason in drill_failure(host)
        refused = host.run("slipway-restore files --confirm app1/app1")
        assert refused.rc == 1 and reason in refused.stderr and "Nothing was changed" in refused.stderr
        assert "fail" in host.run("slipway-backup status").stdout.splitlines()[1]
    finally:
        broken.check_output(mend.format(repo=f"{REPOSITORIES}/app1"))
    assert server.run(f"test -e {REPOSITORIES}/app1/config").rc == 0
    backup(host, "incr")


def test_a_corrupted_pack_fails_drill_restore_and_verification(host, server, files):
    packs = f"find {REPOSITORIES}/app1/data -type f -size +100k"
    host.check_output("seq 900000 > /srv/uploads/large")
    backup(host, "incr")
    server.check_output(f"mkdir /root/whole; for pack in $({packs}); do cp -p $pack /root/whole; done")
    damage = "dd if=/dev/zero of=$pack bs=1 seek=60000 count=512 conv=notrunc status=none"
    server.check_output(f"for pack in $({packs}); do {damage}; done")
    try:
        assert "restoring uploads" in drill_failure(host)
        refused = host.run("slipway-restore files --into uploads --confirm app1/app1")
        assert refused.rc == 1 and "restoring uploads" in refused.stderr
        assert host.check_output("tail -n 1 /srv/uploads/large") == "900000", "nothing of the live files was touched"
        found = [host.run("slipway-backup --engine files verify") for _ in range(4)]
        assert any(ended.rc == FAILED and "is damaged" in ended.stdout for ended in found), found
    finally:
        server.check_output(
            f"for pack in $({packs}); do cp -p /root/whole/$(basename $pack) $pack; done; rm -r /root/whole"
        )
    for _ in range(4):
        backup(host, "verify")


def test_a_stale_backup_fails_the_drill(host, files):
    settings = "/etc/slipway/drill/files.json"
    host.check_output(f'cp -p {settings} /root/settings; sed -i \'s/"age": [0-9.]*/"age": 0.5/\' {settings}')
    try:
        assert "old, more than" in drill_failure(host)
    finally:
        host.check_output(f"mv /root/settings {settings}")


def test_a_restore_is_confirmed_exact_and_can_be_undone(host, files):
    listed = "cd /srv/uploads && find . -path ./cache -prune -o -printf '%p %s %m %U %T@\\n' | sort | sha256sum"
    before = host.check_output(listed)
    host.check_output("echo changed > /srv/uploads/large; echo later > /srv/uploads/later")
    refused = play("restore", INVENTORY, engine="files", restore_host="app1", restore_into={"uploads": "uploads"})
    assert refused.code != 0 and "restore_confirm=app1/app1" in refused.said
    assert host.check_output("cat /srv/uploads/later") == "later"
    made = play(
        "restore",
        INVENTORY,
        engine="files",
        restore_host="app1",
        restore_into={"uploads": "uploads"},
        restore_confirm="app1/app1",
    )
    assert made.code == 0, made.said
    assert host.check_output(listed) == before
    host.check_output("slipway-restore files undo --confirm app1/app1")
    assert host.check_output("cat /srv/uploads/large /srv/uploads/later").split() == ["changed", "later"]
    host.check_output("slipway-restore files --into uploads=/srv/copy")
    assert host.check_output("tail -n 1 /srv/copy/srv/uploads/large; rm -r /srv/copy") == "400000"


def test_root_on_the_client_cannot_take_yesterdays_backup(host, server, files):
    """It destroys what it can reach: its files, and its repository by every verb that the server offers."""
    kept = labels(host)[-3:]
    before = host.check_output("sha256sum /srv/uploads/large")
    host.check_output(
        "for file in $(find /srv/uploads -type f -name '*.txt' -path '*2026*') /srv/uploads/large;"
        " do head -c 500 /dev/urandom > $file; done"
    )
    host.run(f"{RESTIC} forget --prune {' '.join(kept)}")
    curl = "curl -s -o /dev/null -w '%{http_code}' -u $RESTIC_REST_USERNAME:$RESTIC_REST_PASSWORD"
    env = RESTIC.removesuffix("restic ")
    for verb, what in (("DELETE", f"snapshots/{kept[0]}"), ("DELETE", "config"), ("POST", f"snapshots/{kept[0]}")):
        code = host.check_output(f"{env} {curl} -X {verb} https://backup1:8000/app1/{what} -d x")
        assert code in ("403", "405", "400"), (verb, what, code)
    code = host.check_output(f"{env} {curl} https://backup1:8000/app2/config")
    assert code in ("401", "403"), "another host's repository is another's"
    host.run(f"{RESTIC} backup --tag uploads --host app1 --time '2035-01-01 00:00:00' /etc/hostname")
    told = backup(host, "incr", FAILED)
    assert "new or changed" in told and "uploads: fail: " in told, "the anomaly is reported"
    assert set(kept) <= set(labels(host))
    verified = server.run("slipway-backup --engine files verify")
    assert verified.rc == FAILED and "says a time" in verified.stdout and "after it came" in verified.stdout
    assert set(kept) <= set(labels(host)), "made-up dates expire nothing"
    good = next(one for one in kept if "large" in host.run(f"{RESTIC} ls {one}").stdout)
    host.check_output(f"slipway-restore files --set {good[:8]} --confirm app1/app1")
    assert host.check_output("sha256sum /srv/uploads/large") == before
    host.check_output("slipway-restore files discard")
    liar = json.loads(host.check_output(f"{RESTIC} snapshots --json --no-lock"))[-1]["id"]
    key = "/etc/slipway/restic/keys/app1"
    server.check_output(
        f"restic -r {REPOSITORIES}/app1 -p {key} --no-cache forget {liar}; chown -R restic-rest-server: {REPOSITORIES}"
    )


def test_the_backup_host_removes_what_is_beyond_its_days(host, server, files):
    old = labels(host)[0]
    newest = labels(host)[-1]
    server.check_output(f"touch -d '400 days ago' {REPOSITORIES}/app1/snapshots/{old}")
    ended = server.run("slipway-backup --engine files verify")
    assert "app1: " in ended.stdout and "1 were removed" in ended.stdout
    assert old not in labels(host) and newest in labels(host)
    backup(host, "incr")
    assert host.run("slipway-drill files").rc == 0


def test_a_backup_that_was_killed_leaves_the_last_one_and_the_next_succeeds(host, files):
    count = len(labels(host))
    host.check_output(
        "head -c 600000000 /dev/urandom > /srv/uploads/huge; systemctl start --no-block slipway-backup-files@incr"
    )
    until = time.monotonic() + 60
    while host.run("pgrep -x restic").rc:
        assert time.monotonic() < until
        time.sleep(0.05)
    drill = host.run("slipway-drill files")  # a second backup would wait for its turn
    assert drill.rc == 0 and "skip  files app1 beside another run: another backup, drill or restore of" in drill.stdout
    host.check_output("systemctl kill --signal=SIGKILL slipway-backup-files@incr; rm /srv/uploads/huge")
    assert len(labels(host)) - count in (0, 1, 2)
    backup(host, "incr")
    assert host.run("slipway-drill files").rc == 0


def test_no_secret_is_in_argv_logs_or_readable(host, server, files):
    for unit in ("slipway-backup-files@full", "slipway-drill@files"):  # at once, the drill would be refused
        host.check_output(f"systemctl start {unit}")
    assert "data.drill.files.result" in host.check_output("cat /var/lib/slipway/results/latest.json")
    for one in (host, server):
        for secret in SECRETS:
            assert one.run(f"grep -rl {secret} /etc/slipway/backup /var/lib/slipway /run/slipway-* /var/log").rc != 0
            assert one.run(f"journalctl | grep {secret}").rc == 1
        assert one.run("find /etc/slipway/restic /etc/slipway/restic-server -type f -perm /077 | grep .").rc != 0
    assert server.run(f"grep -ra 'upload number 7' {REPOSITORIES}").rc == 1


def test_a_lost_host_is_recovered_from_inventory_vault_and_repository(host, files):
    refused = play("recover", INVENTORY, engine="files", recover_host="app1")
    assert refused.code != 0 and "recover.yml fills a host that has none of it" in refused.said
    before = host.check_output("cat /srv/uploads/large /etc/shop/shop.yml /var/log/shop/shop.log | sha256sum")
    host.backend.run_local("docker rm --force --volumes slipway-restic-app1")
    made = play(ROOT / "testbed/create.yml", INVENTORY)
    assert made.code == 0, made.said
    converge = Path(__file__).resolve().parents[1] / "trust.yml"
    made = play(converge, INVENTORY)
    assert made.code == 0, made.said
    made = play("recover", INVENTORY, engine="files", recover_host="app1")
    assert made.code == 0, made.said
    assert host.check_output("cat /srv/uploads/large /etc/shop/shop.yml /var/log/shop/shop.log | sha256sum") == before
    assert host.check_output("stat -c '%a %u' /srv/uploads") == "750 1234"
    assert "data.recover.files.result" in host.check_output("cat /var/lib/slipway/results/latest.json")
