"""Redis that fails over: what is lost and what is not, who leads afterwards, and what the sentinels let whom do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from caches import (
    HOSTS,
    INVENTORY,
    SECRETS,
    SENTINEL,
    caches,
    converge,
    follows,
    kept,
    leader,
    redis,
    replication,
    sentinel,
    whole,
    writing,
)
from machine import until
from playbook import attempt, module

testinfra_hosts = ["cache1"]
SERVER = "redis-server.service"


@pytest.fixture(autouse=True)
def _all_well() -> Iterator[None]:
    """All run, and agree who leads; the same after a test that failed in between."""
    for host in HOSTS:
        caches[host].check_output(f"systemctl start {SERVER} {SENTINEL}")
    assert until(whole, 180), [replication(host) for host in HOSTS]
    yield
    for host in HOSTS:
        caches[host].check_output(f"systemctl start {SERVER} {SENTINEL}")


def lose(host: str) -> None:
    """The server dies in the middle, and stays away."""
    caches[host].run(f"systemctl kill --signal=SIGKILL {SERVER}; systemctl stop {SERVER}")


def fail_over(name: str, place: Path, wait: bool, record_property) -> tuple[str, str, set[int]]:
    """Loses the primary while an application writes, until it writes to another. Who led, who leads, and the numbers
    that were acknowledged and are gone."""
    former = leader()
    with writing(name, place, wait) as application:
        lose(former)
        before = len(application.acknowledged)
        assert until(lambda: leader() != former, 120), "nobody took over"
        reached = max(application.acknowledged)
        assert until(lambda: len(application.acknowledged) > before + 300, 120), "the application did not follow"
    now = leader()
    acknowledged, there = set(application.acknowledged), kept(now, name)
    lost = acknowledged - there
    told = f"{len(lost)} of {len(acknowledged)} acknowledged writes were lost{' that a replica had' if wait else ''}"
    record_property("lost", told)
    print(told)
    # What was written to the new primary stays, and what went is the end of what the old one took.
    assert all(number <= reached for number in lost)
    old = sorted(number for number in acknowledged if number <= reached)
    assert sorted(lost) == old[len(old) - len(lost) :] if lost else True
    return former, now, lost


def test_a_failover_under_load_and_a_run_after_it(tmp_path: Path, record_property):
    name = f"load-{uuid.uuid4().hex[:8]}"
    former, now, _lost = fail_over(name, tmp_path, wait=False, record_property=record_property)
    assert former != now and replication(now)["role"] == "master"

    # A run starts the old primary again, as a replica, and turns nothing back.
    run = converge()
    assert run.code == 0, run.output
    assert leader() == now and until(lambda: follows(former, now), 120)
    journal = caches[former].check_output(f"journalctl --no-pager --boot --unit {SERVER} --grep 'this server follows'")
    assert f"this server follows {now}" in journal.splitlines()[-1], "it asked before it started"
    assert kept(former, name) == kept(now, name)
    assert until(whole, 120)
    again = converge()
    assert again.code == 0 and again.changed == 0, again.output
    assert leader() == now


def test_what_a_replica_has_acknowledged_outlives_a_failover(tmp_path: Path, record_property):
    name = f"wait-{uuid.uuid4().hex[:8]}"
    former, now, lost = fail_over(name, tmp_path, wait=True, record_property=record_property)
    assert lost == set()
    caches[former].check_output(f"systemctl start {SERVER}")
    assert until(lambda: follows(former, now), 120)


def test_who_restarts_within_the_time_stays_what_it_was():
    leads = leader()
    caches[leads].check_output(f"systemctl restart {SERVER}")
    assert until(whole, 180)
    # With no sentinel to ask it is what the last answer said, not what the inventory says.
    other = next(host for host in HOSTS if host != leader())
    for host in HOSTS:
        caches[host].check_output("systemctl start slipway-redis-sentinel-metrics")  # as its timer does
        caches[host].check_output(f"systemctl stop {SENTINEL}")
    leads = replication(other)["master_host"]
    for host in HOSTS:
        caches[host].check_output(f"systemctl restart {SERVER}")
    assert until(lambda: replication(leads).get("role") == "master", 60)
    assert until(lambda: all(follows(host, leads) for host in HOSTS if host != leads), 60)


def test_everybody_may_no_more_than_is_needed():
    leads = leader()
    assert "NOAUTH" in sentinel(leads, "PING", user="") and "NOAUTH" in redis(leads, "PING", user="")
    assert leader(leads) == leads
    for words in (
        "SENTINEL FAILOVER redis",
        "SENTINEL REMOVE redis",
        "SENTINEL SET redis quorum 1",
        "SENTINEL RESET redis",
    ):
        assert "NOPERM" in sentinel(leads, words), words
    redis(leads, "SET secret words")
    for words in ("GET secret", "SET secret others", "FLUSHALL", "CONFIG GET requirepass", "ACL LIST"):
        assert "NOPERM" in redis(leads, words, user="sentinel"), words
    assert "NOPERM" in sentinel(leads, "SENTINEL REMOVE redis", user="sentinel")
    plain = caches["cache3"].run(f"timeout 5 redis-cli -h {leads} -p 26379 PING").stdout
    assert "PONG" not in plain and "NOAUTH" not in plain


def checked(host: str) -> dict:
    told = module(INVENTORY, host, "ansible.builtin.debug", msg="{{ query('slipway.ops.cards', 'checks') }}")
    ours = [check for check in told[host]["msg"] if check.get("id") == "data.redis.failover"]
    _code, found = attempt(INVENTORY, host, "slipway.ops.health_check", {"checks": ours, "deadline": "0"})
    return found[host]["results"][0]


def metrics(host: str) -> dict[str, float]:
    unit = "slipway-redis-sentinel-metrics.service"
    caches[host].check_output(f"systemctl reset-failed {unit}; systemctl start {unit}")  # however often in a while
    text = caches[host].file("/var/lib/prometheus/node-exporter/slipway_redis_sentinel.prom").content_string
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.split("{")[0].removeprefix("slipway_redis_sentinel_"): float(line.split()[-1]) for line in lines}


def test_sentinels_that_are_too_few_are_told():
    assert checked("cache1")["verdict"] == "pass"
    well = {host: metrics(host) for host in HOSTS}
    assert all((one["up"], one["quorum"], one["sentinels"]) == (1, 1, 3) for one in well.values()), well
    assert sum(one["leads"] for one in well.values()) == 1
    for host in ("cache2", "cache3"):
        caches[host].check_output(f"systemctl stop {SENTINEL}")
    assert metrics("cache2").items() >= {"up": 0}.items() and "quorum" not in metrics("cache2")
    assert sum(metrics(host)["leads"] for host in HOSTS) == 1  # by the one that is left
    assert until(lambda: metrics("cache1")["quorum"] == 0, 60)
    told = checked("cache1")
    assert told["verdict"] == "fail" and "the sentinel on cache2 does not answer" in told["reason"], told


def test_replicas_that_could_not_take_over_are_told():
    leads = leader()
    one, other = [host for host in HOSTS if host != leads]
    assert until(lambda: metrics(leads)["replicas"] == 2, 60)
    lose(one)
    assert until(lambda: metrics(leads)["replicas"] == 1, 60)
    assert checked(leads)["verdict"] == "pass", "one is enough"
    lose(other)
    assert until(lambda: metrics(leads)["replicas"] == 0, 60), "the sentinels count whom they have once known"
    told = checked(leads)
    assert told["verdict"] == "fail" and leader() == leads, told
    assert all(f"{host}:6379 does not answer" in told["reason"] for host in (one, other)), told


def test_a_sentinel_keeps_what_it_has_learnt_and_takes_what_the_inventory_says():
    state = "/var/lib/slipway-redis-sentinel/sentinel.conf"
    identity = caches["cache1"].check_output(f"grep 'sentinel myid' {state}")
    caches["cache1"].check_output(f"systemctl kill --signal=SIGKILL {SENTINEL}")
    assert until(whole, 120)
    text = caches["cache1"].file(state).content_string
    assert identity in text and text.count("sentinel known-sentinel redis") == 2
    assert caches["cache1"].check_output(f"stat --format='%U %a' {state}") == "redis 600"


def test_a_restore_that_a_failover_would_undo_is_refused():
    leads = leader()
    redis(leads, "SET kept yes")
    assert caches[leads].run("slipway-backup --engine redis full").rc == 0
    refused = caches[leads].run(f"slipway-restore redis --confirm {leads}/{leads}")
    assert refused.rc != 0 and "would replace this server while it is stopped" in refused.stdout + refused.stderr
    redis(leads, "SET kept no")
    for host in HOSTS:
        caches[host].check_output(f"systemctl stop {SENTINEL}")
    done = caches[leads].run(f"slipway-restore redis --confirm {leads}/{leads}")
    assert done.rc == 0, done.stdout + done.stderr
    assert redis(leads, "GET kept") == "yes"
    caches[leads].check_output("slipway-restore redis discard")
    for host in HOSTS:
        caches[host].check_output(f"systemctl start {SENTINEL}")
    assert until(whole, 180) and leader() == leads


def test_no_secret_is_in_what_a_run_shows():
    run = converge("--check", "--diff")
    assert run.code == 0 and run.changed == 0, run.output
    assert not any(secret in run.output for secret in SECRETS.values())
