"""What exporters tell Prometheus is what the servers do, and nobody learns more from them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import testinfra
from machine import crowding, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
URL = "http://127.0.0.1:9090/api/v1"
PASSWORD = 'scrapes "in" \\this$ scenario'
IN_TIME = 60 * crowding()


def machine(name: str):
    return testinfra.get_host(f"docker://slipway-exporters-{name}")


@pytest.fixture(scope="module")
def cache():
    return machine("cache1")


@pytest.fixture(scope="module")
def edge():
    return machine("edge1")


def ask(host, query: str) -> dict[str, float]:
    answer = host.check_output(f"curl -s --get --data-urlencode {shlex.quote('query=' + query)} {URL}/query")
    return {one["metric"]["host"]: float(one["value"][1]) for one in json.loads(answer)["data"]["result"]}


def firing(host, name: str) -> set[str]:
    alerts = json.loads(host.check_output(f"curl -s {URL}/alerts"))["data"]["alerts"]
    return {one["labels"]["host"] for one in alerts if (one["state"], one["labels"]["alertname"]) == ("firing", name)}


def redis(host, *words: str, user: str = "tester", password: str = "tests-in-this-scenario") -> str:
    command = ["redis-cli", "--tls", "-h", "cache1", "--user", user, *words]
    return host.check_output(f"REDISCLI_AUTH={shlex.quote(password)} {shlex.join(command)}")


def converge(limit: str, **variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit", limit, **variables)


def test_redis_with_tls_valkey_without_and_nginx_are_measured(host):
    both = {"cache1": 1.0, "cache2": 1.0}
    assert until(lambda: ask(host, "redis_up") == both, IN_TIME, 1), ask(host, "redis_exporter_last_scrape_error")
    assert until(lambda: ask(host, "nginx_up") == {"edge1": 1.0}, IN_TIME, 1)
    assert ask(host, "redis_memory_max_bytes") == {"cache1": 64 * 2**20, "cache2": 64 * 2**20}


def test_hits_and_misses_are_the_servers(host, cache):
    query = "redis_keyspace_hits_total + redis_keyspace_misses_total"
    before = ask(host, query)["cache1"]
    for word in ("set thing 1", "get thing", "get thing", "get none"):
        redis(cache, *word.split())
    assert until(lambda: ask(host, query)["cache1"] == before + 3, IN_TIME, 1)


def test_requests_are_nginxs(host, edge):
    before = ask(host, "nginx_http_requests_total")["edge1"]
    edge.check_output("for i in $(seq 50); do curl -s -o /dev/null -H 'Host: www.example.test' http://127.0.0.1/; done")
    assert until(lambda: ask(host, "nginx_http_requests_total")["edge1"] >= before + 50, IN_TIME, 1)


def test_the_exporters_user_can_ask_for_info_and_nothing_else(cache):
    def say(*words: str) -> str:
        return redis(cache, *words, user="exporter", password=PASSWORD)

    assert "redis_version" in say("info", "server")
    for refused in (["get", "thing"], ["config", "get", "requirepass"], ["acl", "list"], ["client", "list"]):
        assert "NOPERM" in say(*refused)


def test_the_password_is_nobodys_but_the_exporters(cache):
    path = "/etc/prometheus/redis-exporter.json"
    assert cache.run(f"runuser -u prometheus -- cat {path}").rc == 0
    assert cache.run(f"runuser -u games -- cat {path}").rc != 0
    pid = cache.check_output("systemctl show --property=MainPID --value prometheus-redis-exporter")
    assert "redis.password-file" in cache.check_output(f"cat /proc/{pid}/cmdline")
    assert "scrapes" not in cache.check_output(f"cat /proc/{pid}/cmdline /proc/{pid}/environ")
    assert cache.run("grep -rlF scrapes /etc/systemd/system").stdout == ""
    assert cache.run("journalctl --no-pager | grep -F 'scrapes \"in\"'").rc == 1


def test_a_server_that_stops_is_told_and_the_exporter_stays(host, cache, edge):
    cache.check_output("systemctl stop redis-server")
    edge.check_output("systemctl stop nginx")
    try:
        assert until(lambda: firing(host, "RedisDown") == {"cache1"}, IN_TIME, 1)
        assert until(lambda: firing(host, "NginxDown") == {"edge1"}, IN_TIME, 1)
        assert set(ask(host, 'up{job=~"redis|nginx"} == 1')) == {"cache1", "cache2", "edge1"}
    finally:
        edge.check_output("systemctl start nginx")
        cache.check_output("systemctl start redis-server")
    assert until(lambda: not firing(host, "RedisDown") | firing(host, "NginxDown"), IN_TIME, 1)


def test_memory_that_is_used_up_is_told(host, cache):
    assert firing(host, "RedisMemoryHigh") == set()
    redis(cache, "eval", "for i=1,61 do redis.call('set', 'fill'..i, string.rep('x', 1048576)) end", "0")
    try:
        assert until(lambda: firing(host, "RedisMemoryHigh") == {"cache1"}, IN_TIME, 1)
    finally:
        redis(cache, "flushall")
    assert until(lambda: firing(host, "RedisMemoryHigh") == set(), IN_TIME, 1)


def test_on_loopback_nothing_is_there_for_others(host, edge):
    assert host.run("curl -s -m 9 http://edge1:9113/metrics").rc == 0
    assert converge("edge1", nginx_exporter_address="127.0.0.1").code == 0
    try:
        assert edge.run("curl -s -m 9 http://127.0.0.1:9113/metrics").rc == 0
        assert host.run("curl -s -m 9 http://edge1:9113/metrics").rc == 7
    finally:
        assert converge("edge1").code == 0


def test_a_user_that_may_do_more_is_refused(cache):
    before = cache.check_output("systemctl show --property=MainPID prometheus-redis-exporter")
    run = converge("cache1", redis_exporter_user="tester")
    assert run.code != 0 and "redis_users needs {name: tester" in run.said
    assert cache.check_output("systemctl show --property=MainPID prometheus-redis-exporter") == before


@pytest.mark.parametrize(("name", "unit", "port"), [("cache1", "redis", 9121), ("edge1", "nginx", 9113)])
def test_it_comes_back_when_killed(name, unit, port):
    there = machine(name)
    there.check_output(f"systemctl kill --signal=KILL prometheus-{unit}-exporter")
    assert until(lambda: there.run(f"curl -s --fail http://127.0.0.1:{port}/metrics").rc == 0, IN_TIME, 1)
