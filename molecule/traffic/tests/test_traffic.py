"""Probers that Ansible started: still there after it has gone, and right about what happened meanwhile."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from machine import until

OPTIONS = {
    "name": "again",
    "url": "https://www.example.test/",
    "address": "127.0.0.1",
    "ca_file": "/etc/nginx/ca.pem",
    "rates": {"keep_alive": 50, "fresh": 20},
    "max_duration": 60,
}


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


@pytest.fixture
def traffic(host):
    """Calls the module on the host as Ansible does; what the test started is gone afterwards."""

    changed = []

    def call(check: bool = False, **options):
        answer = host.ansible("slipway.ops.traffic", json.dumps({"name": "again", **options}), check=check)
        changed.append(answer["changed"] and not check)
        return answer

    yield call
    if any(changed):
        call(state="absent")


def probers(host) -> int:
    return int(host.run("pgrep -fc '[p]rober.pyz /run/slipway/traffic/again$'").stdout)


def test_it_goes_on_after_ansible_has_gone(traffic):
    seen = traffic(name="everything", state="read")["traffic"]
    assert seen["running"]
    assert set(seen["clients"]) == {"keep_alive", "fresh", "post", "http2"}
    assert seen["total"]["failed"] == 0, seen["reasons"]
    enough = seen["total"]["requests"] + 60
    assert until(lambda: traffic(name="everything", state="read")["traffic"]["total"]["requests"] >= enough)
    later = traffic(name="everything", state="read")["traffic"]
    assert later["clients"]["http2"]["answers"] == {"200": later["clients"]["http2"]["requests"]}
    assert later["versions"][0]["version"] == "1.0.0"


def test_its_code_is_not_in_ansibles_temporary_directory(host):
    command = host.check_output("pgrep -fa '[p]rober.pyz /run/slipway/traffic/everything$'")
    assert "/run/slipway/traffic/everything/prober.pyz" in command
    assert "ansible" not in host.check_output(f"ls -l /proc/{command.split()[0]}/fd /proc/{command.split()[0]}/cwd")


def test_an_ordinary_user_can_probe(host):
    directory = f"/tmp/slipway-traffic-{host.user('games').uid}"
    assert host.file(directory).mode == 0o700
    assert host.file(f"{directory}/ordinary/journal.jsonl").size > 0
    process = host.check_output("pgrep -f '[p]rober.pyz /tmp/slipway-traffic'")
    assert host.check_output(f"stat -c %U /proc/{process}") == "games"
    assert "a-secret-token" not in host.check_output("ps -ef")
    assert host.file(f"{directory}/ordinary/plan.json").mode & 0o077 == 0


def test_an_outage_and_a_new_version_are_seen(host, traffic):
    started = traffic(**OPTIONS)
    assert started["changed"]
    assert probers(host) == 1
    time.sleep(1)
    down = time.time()
    host.check_output("systemctl stop nginx")
    time.sleep(1)
    host.check_output("sed -i s/1.0.0/2.0.0/ /etc/nginx/version.conf && systemctl start nginx")
    up = time.time()
    time.sleep(1.5)
    stopped = traffic(state="stopped", id_prefix="delivery.deploy", limits={"longest_gap": "< 60 s"})
    host.check_output("sed -i s/2.0.0/1.0.0/ /etc/nginx/version.conf && systemctl reload nginx")
    seen = stopped["traffic"]
    assert stopped["changed"]
    assert seen["total"]["failed"] > 50
    assert "connection refused" in seen["reasons"]
    times = [(unix(failure["at"]), unix(failure["at"]) + failure["after"]) for failure in seen["failures"]]
    assert [(due, end) for due, end in times if end < down or due > up] == []
    assert [one["version"] for one in seen["versions"]] == ["1.0.0", "2.0.0"]
    assert 0.9 < seen["total"]["longest_gap"] < up - down + 5
    verdicts = {result["id"]: result["verdict"] for result in stopped["results"]}
    assert verdicts["delivery.deploy.longest_gap"] == "pass"
    assert verdicts["delivery.deploy.failed_requests"] == "pass"  # no limit was set for it
    again = traffic(state="stopped", id_prefix="delivery.deploy")
    assert not again["changed"]
    assert again["traffic"] == seen
    assert again["results"][0]["verdict"] == "fail"
    assert probers(host) == 0


def test_a_second_start(host, traffic):
    first = traffic(**OPTIONS)
    assert not traffic(**OPTIONS)["changed"]
    other = {**OPTIONS, "rates": {"keep_alive": 1}}
    assert "already running with other options" in traffic(**other)["msg"]
    replaced = traffic(**other, replace=True)
    assert replaced["changed"]
    assert replaced["pid"] != first["pid"]
    assert probers(host) == 1
    assert traffic(state="absent")["changed"]
    assert not traffic(state="absent")["changed"]
    assert not host.file("/run/slipway/traffic/again").exists


def test_check_mode_touches_nothing(host, traffic):
    assert traffic(check=True, **OPTIONS)["changed"]
    assert probers(host) == 0
    assert traffic(check=True, state="stopped")["traffic"] is None
    assert "was started on this host" in traffic(state="stopped")["msg"]
    traffic(**OPTIONS)
    assert traffic(check=True, state="stopped")["changed"]
    assert traffic(check=True, state="absent")["changed"]
    assert probers(host) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "www.example.test"}, "is not a URL such as"),
        ({"url": "https://nowhere.invalid/", "address": ""}, "cannot be resolved on edge1"),
        ({"ca_file": "/nope.pem"}, "does not exist on edge1"),
        ({"rates": {"keep_alive": 5000}}, "not exceed 2000"),
        ({"name": "No Good"}, "lower-case"),
        ({"state": "read", "id_prefix": "kitchen"}, "must be an area and a kind"),
    ],
)
def test_mistakes_are_explained(traffic, options, words):
    answer = traffic(**{**OPTIONS, **options})
    assert words in answer["msg"]
    assert "Traceback" not in str(answer)


def test_a_full_disk_is_explained_and_loses_nothing(host, traffic):
    """A file system of its own that fills up: what was seen meanwhile is written when there is room again."""
    small = "/mnt/small"
    host.check_output(f"mkdir -p {small} && mount -t tmpfs -o size=200k,mode=755 tmpfs {small}")
    try:
        traffic(**{**OPTIONS, "url": "https://www.example.test/full", "state_directory": small})
        host.run(f"cat /dev/zero > {small}/filler")
        time.sleep(2.5)
        assert host.run(f"echo x > {small}/more").rc != 0
        host.check_output(f"rm -f {small}/filler {small}/more")
        time.sleep(1.5)
        seen = traffic(state="stopped", state_directory=small)["traffic"]
        assert seen["total"]["requests"] == int(host.check_output("grep -c 'GET /full ' /var/log/nginx/access.log"))
        host.run(f"cat /dev/zero > {small}/filler")
        answer = traffic(**{**OPTIONS, "name": "other", "state_directory": small})
        assert "No space left on device" in answer["msg"]
    finally:
        host.check_output(f"umount -l {small}")
