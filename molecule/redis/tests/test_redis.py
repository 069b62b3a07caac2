"""Redis, a replica and Valkey from outside; backups made, drilled, restored, and sabotaged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import testinfra
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
STORE = "/var/lib/redis-backup"
FAILED = 3  # what was to be shown is not so; 1 is for what could not be tried
SECRETS = ("only-for-this-scenario", "sells-in-this-scenario", "tests-in-this-scenario")
TLS = "--tls --cacert /etc/ssl/certs/ca-certificates.crt"


def redis(host, words: str, user: str = "tester", password: str = "tests-in-this-scenario") -> str:
    """What the server answers to a client by the network; errors too."""
    name = host.check_output("hostname")
    server, options = ("valkey", "") if host.run("test -e /etc/valkey/users.acl").rc == 0 else ("redis", TLS)
    secret = f"REDISCLI_AUTH={password}" if password else ""
    given = f"--user {user}" if user else ""
    return host.run(f"{secret} {server}-cli -h {name} {options} {given} {words}").stdout.strip()


@pytest.fixture(scope="module")
def replica():
    return testinfra.get_host("docker://slipway-redis-cache2")


@pytest.fixture(scope="module")
def valkey():
    return testinfra.get_host("docker://slipway-redis-cache3")


def fill(host, count: int = 500, short: int = 9999) -> None:
    redis(host, "FLUSHALL")
    script = (
        "for i=1,tonumber(ARGV[1]) do redis.call('SET','text:'..i,'value '..i) end "
        "redis.call('HSET','hash','a',1,'b',2) redis.call('RPUSH','list',3,1,2) redis.call('SADD','set','x','y') "
        "redis.call('ZADD','zset',1.5,'m') redis.call('XADD','stream','*','f','v') "
        "redis.call('SET','short','gone soon','EX',ARGV[2]) redis.call('SELECT',3) redis.call('SET','elsewhere','1') "
        "return 'filled'"
    )
    assert redis(host, f'EVAL "{script}" 0 {count} {short}') == "filled"


@pytest.fixture
def backup(host):
    """A fresh backup, the newest; of those before nothing is left."""
    fill(host)
    host.check_output(f"rm -rf {STORE}/*")
    assert host.run("slipway-backup --engine redis full").rc == 0
    return host.check_output(f"ls {STORE}/*.age")


def drill_failure(host) -> str:
    ended = host.run("slipway-drill redis")
    assert ended.rc == FAILED, ended.stdout
    return next(line for line in ended.stdout.splitlines() if " FAILED: " in line)


def test_nobody_comes_in_without_a_name_and_only_over_tls(host):
    name = host.check_output("hostname")
    assert "NOAUTH" in redis(host, "PING", user="", password="")
    assert "WRONGPASS" in redis(host, "PING", password="wrong") or "NOAUTH" in redis(host, "PING", password="wrong")
    assert redis(host, "PING", "shop", SECRETS[1]) == "PONG"
    assert "NOPERM" in redis(host, "FLUSHALL", "shop", SECRETS[1])
    assert "NOPERM" in redis(host, "GET text:1", "slipway", SECRETS[0]), "who backs up reads no key by name"
    plain = host.run(f"timeout 5 redis-cli -h {name} PING")
    assert "PONG" not in plain.stdout and "NOAUTH" not in plain.stdout
    assert redis(host, "CONFIG GET maxmemory").split()[-1] == str(64 * 2**20)


def test_writes_outlive_the_server_and_reach_the_replica(host, replica):
    redis(host, "SET kept yes")
    host.check_output("sleep 1.2; systemctl kill --signal=SIGKILL redis-server")
    until = time.monotonic() + 60
    while redis(host, "GET kept") != "yes":
        assert time.monotonic() < until, "the append-only file did not come back"
        time.sleep(0.2)
    redis(host, "SET followed yes")
    while redis(replica, "GET followed") != "yes":
        assert time.monotonic() < until, "the replica does not follow"
        time.sleep(0.2)
    assert "READONLY" in redis(replica, "SET other no")


def test_the_playbooks_back_up_and_drill(host):
    fill(host)
    made = play("backup", INVENTORY, "--limit", "cache1", engine="redis", type="full")
    assert made.code == 0, made.stdout
    assert "507 keys" in made.stdout
    drill = play("drill", INVENTORY, "--limit", "cache1", engine="redis")
    assert drill.code == 0, drill.stdout
    assert "2 of 2 tables the same, 507 rows" in drill.stdout
    assert host.run("ls -d /var/lib/slipway-redis/.scratch-*").rc != 0
    assert not any(secret in made.stdout + drill.stdout for secret in SECRETS)


def test_what_expired_since_is_compared_and_stays_away(host):
    fill(host, short=20)
    host.check_output("slipway-backup --engine redis full")
    until = time.monotonic() + 60
    while redis(host, "EXISTS short") == "1":
        assert time.monotonic() < until
        time.sleep(0.5)
    assert "2 of 2 tables the same, 507 rows" in host.check_output("slipway-drill redis")
    host.check_output("slipway-restore redis --confirm cache1/cache1; slipway-restore redis discard")
    assert redis(host, "EXISTS short") == "0" and redis(host, "GET text:1") == "value 1"


def test_a_replica_and_valkey_are_backed_up_and_drilled(replica, valkey):
    fill(valkey, 50)
    for one in (replica, valkey):
        assert one.run("slipway-backup --engine redis full").rc == 0
        assert one.run("slipway-drill redis").rc == 0
    refused = replica.run("slipway-restore redis")
    assert refused.rc == 1 and "this server is a replica of cache1: restore that, and it follows" in refused.stderr
    redis(valkey, "FLUSHALL")
    valkey.check_output("slipway-restore redis")
    assert redis(valkey, "GET text:50") == "value 50"


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        ("dd if=/dev/zero of={backup} bs=1 seek=2000 count=64 conv=notrunc status=none", "so it is corrupted"),
        ("truncate --size=-100 {backup}", "it is truncated"),
        ("rm {backup}", "is missing"),
        ('sed -i \'s/"began": [0-9.]*/"began": 1000000000.0/\' {store}/*.json', "old, more than 1d2h"),
        (
            'sed -i \'s/"keys": 506/"keys": 505/\' {store}/*.json',
            "differ from the source after the restore: db0 has 506",
        ),
    ],
)
def test_damage_fails_the_drill_and_changes_nothing(host, backup, sabotage, reason):
    host.check_output(sabotage.format(backup=backup, store=STORE))
    assert reason in drill_failure(host)
    assert redis(host, "GET text:7") == "value 7"
    assert host.run("ls -d /var/lib/slipway-redis/.scratch-*").rc != 0
    if "began" in sabotage:
        assert "fail  redis cache1" in host.run("slipway-backup status").stdout
    else:
        assert host.run("slipway-backup --engine redis verify").rc == FAILED
        ended = host.run("slipway-restore redis --confirm cache1/cache1")
        assert ended.rc == 1 and "Nothing was changed" in ended.stderr
        assert redis(host, "GET text:7") == "value 7"


def test_a_snapshot_that_no_server_loads_is_named(host, backup):
    """Sealed and described as it should be, so that only loading it shows."""
    seal = "age {way} -i /etc/slipway/redis/identity.age"
    host.check_output(f"{seal.format(way='-d')} {backup} | head -c 3000 | {seal.format(way='-e')} > /root/cut")
    host.check_output(f"mv /root/cut {backup}")
    size, checksum = host.check_output(f"stat -c %s {backup}; sha256sum {backup} | cut -d' ' -f1").split()
    described = json.loads(host.check_output(f"cat {STORE}/*.json")) | {"stored": int(size), "sha256": checksum}
    host.run(f"cat > $(ls {STORE}/*.json) <<'END'\n{json.dumps(described)}\nEND")
    assert "the snapshot cannot be loaded: " in drill_failure(host)


def test_a_backup_cannot_be_read_without_its_key(host, backup):
    assert host.run(f"grep -a 'value 7' {backup}").rc == 1
    host.check_output("age-keygen -o /root/other.age 2>/dev/null; cp /etc/slipway/redis/identity.age /root/right.age")
    host.check_output("cat /root/other.age > /etc/slipway/redis/identity.age; rm /root/other.age")
    try:
        assert "no identity matched" in drill_failure(host)
    finally:
        host.check_output("cat /root/right.age > /etc/slipway/redis/identity.age; rm /root/right.age")


def test_a_restore_is_confirmed_exact_and_can_be_undone(host, replica, backup):
    redis(host, "FLUSHALL")
    redis(host, "SET later 1")
    refused = play("restore", INVENTORY, engine="redis", restore_host="cache1")
    assert refused.code != 0
    assert "1 keys that would be replaced: restore_confirm=cache1/cache1" in refused.said
    assert redis(host, "GET later") == "1"
    made = play("restore", INVENTORY, engine="redis", restore_host="cache1", restore_confirm="cache1/cache1")
    assert made.code == 0, made.stdout
    assert redis(host, "GET text:500") == "value 500" and redis(host, "EXISTS later") == "0"
    assert redis(host, "-n 3 GET elsewhere") == "1" and redis(host, "LRANGE list 0 -1").split() == ["3", "1", "2"]
    host.check_output("systemctl restart redis-server")
    assert redis(host, "GET text:500") == "value 500", "it is in the append-only file"
    until = time.monotonic() + 60
    while redis(replica, "GET text:500") != "value 500":
        assert time.monotonic() < until, "the replica does not follow"
        time.sleep(0.2)
    host.check_output("slipway-restore redis undo --confirm cache1/cache1")
    assert redis(host, "GET later") == "1" and redis(host, "EXISTS text:1") == "0"
    again = host.run("slipway-restore redis undo --confirm cache1/cache1")
    assert again.rc == 1 and "keeps what it replaced" in again.stderr
    assert "data.restore.redis.result" in host.check_output("cat /var/lib/slipway/results/*")


def test_a_server_that_is_down_fails_the_backup_and_the_last_one_stays(host, backup):
    host.check_output("systemctl stop redis-server")
    try:
        ended = host.run("slipway-backup --engine redis full")
        assert ended.rc == FAILED and "cannot be asked" in ended.stdout
        assert host.check_output(f"ls {STORE}/*.age") == backup
    finally:
        host.check_output("systemctl start redis-server")


def test_no_secret_is_in_argv_logs_or_readable(host, backup):
    host.check_output("systemctl start slipway-backup-redis@full.service slipway-drill@redis.service")
    latest = json.loads(host.check_output("cat /var/lib/slipway/results/latest.json"))
    assert "data.drill.redis.result" in json.dumps(latest)
    for secret in SECRETS:
        assert host.run(f"grep -rl {secret} /etc/slipway/backup /var/lib/slipway /run/slipway-* /var/log").rc != 0
        assert host.run(f"journalctl | grep -v REDISCLI | grep {secret}").rc == 1
    assert host.file("/etc/slipway/redis/server.json").mode == 0o600
    assert host.run("runuser -u nobody -- cat /etc/redis/redis.conf").rc != 0
