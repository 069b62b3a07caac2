"""Configuration sets as nginx and its readers meet them: served when good, refused when bad, never half."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
SITE = {"text": "first", "locations": ["/", "/text"]}
PASSWORD = "correct-horse-battery"


def start(*options, playbook=SCENARIO / "converge.yml", **variables):
    """Converge again with other variables, in the background."""
    return subprocess.Popen(
        ["ansible-playbook", "-i", SCENARIO / "inventory.yml", playbook, "-e", json.dumps(variables), *options],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.memory",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def play(*options, **variables):
    """Converge again with other variables; returns exit code and output."""
    with start(*options, **variables) as running:
        output, _ = running.communicate(timeout=300)
    return running.returncode, output


def page():
    with urllib.request.urlopen("http://127.0.0.1:18411/text", timeout=5) as answer:
        return answer.read().decode().strip()


def digests(host, place="/etc/nginx"):
    return host.check_output(f"find {place} -type f -exec sha256sum {{}} + | sort -k2; stat -c %i {place}")


@pytest.fixture
def restored(host):
    """The scenario's own set again, whatever the test did."""
    yield
    code, output = play()
    assert code == 0, output


def test_the_set_is_served(host):
    assert page() == "first"


def test_distribution_files_stay(host):
    # By the package's own list of checksums, for all but the file that the set replaces.
    changed = host.run("dpkg --verify nginx-common").stdout
    assert [line.split()[-1] for line in changed.splitlines()] in ([], ["/etc/nginx/nginx.conf"])
    assert host.check_output("readlink /etc/nginx/sites-enabled/default") == "/etc/nginx/sites-available/default"


def test_a_directory_of_the_images_layer_is_configured_too(host, restored):
    code, output = play("-v", layer="second")
    assert code == 0, output
    assert "swap: rename" in output
    dump = host.check_output("apt-config dump Scenario")
    assert 'Scenario::One "second"' in dump
    assert 'Scenario::Two "second"' in dump


def test_a_good_change_is_served(host, restored):
    code, output = play("--diff", "-v", site={**SITE, "text": "second"}, htpasswd="operator:{PLAIN}second")
    assert code == 0, output
    assert "swap: exchange" in output
    assert '-    location /text { return 200 "first' in output
    assert '+    location /text { return 200 "second' in output
    time.sleep(0.5)  # workers of before the reload end
    assert page() == "second"


def test_a_bad_set_never_replaces_a_good_one(host):
    before = digests(host)
    bad = {**SITE, "text": "bad", "extra": "    no_such_directive on;"}
    code, output = play(site=bad, htpasswd="operator:{PLAIN}other")
    assert code != 0
    assert "unknown directive" in output
    assert "/etc/nginx/sites/first.conf" in output
    assert ".slipway" not in output
    assert "Nothing was changed" in output
    assert digests(host) == before
    assert page() == "first"


def test_a_bad_sudoers_file_never_gets_near_sudo(host):
    code, output = play(playbook=SCENARIO / "sudoers.yml")
    assert code != 0
    assert "/etc/sudoers.d/operators" in output
    host.check_output("visudo -c")
    host.check_output("sudo -n true")


def test_strays_go_and_their_site_with_them(host):
    host.check_output("sh -c 'echo nonsense > /etc/nginx/sites/stray.conf'")
    assert host.run("nginx -t").rc != 0
    code, output = play("--diff")
    assert code == 0, output
    assert "/etc/nginx/sites/stray.conf (removed)" in output
    host.check_output("nginx -t")


def test_check_mode_tells_and_changes_nothing(host):
    before = digests(host)
    code, output = play("--check", "--diff", site={**SITE, "text": "other"})
    assert code == 0, output
    assert '"other' in output
    assert "refuses" not in output
    assert digests(host) == before
    code, output = play("--check", site={**SITE, "extra": "    no_such_directive on;"})
    assert "unknown directive" in output
    assert digests(host) == before


def test_a_secret_is_in_the_file_and_nowhere_else(host, restored):
    secret = "other-secret-battery"
    code, output = play("--diff", "-vvv", htpasswd=f"operator:{{PLAIN}}{secret}")
    assert code == 0, output
    assert "(secret) changed" in output
    for word in (secret, PASSWORD):
        assert word not in output.replace(f'"htpasswd": "operator:{{PLAIN}}{secret}"', "")
    assert secret in host.check_output("cat /etc/nginx/htpasswd")
    assert secret not in host.check_output("journalctl --no-pager")
    assert host.check_output("stat -c '%U:%G %a' /etc/nginx/htpasswd") == "root:www-data 640"


def test_a_killed_run_is_cleared_away_by_the_next(host):
    before = digests(host)
    host.check_output("mv /usr/sbin/nginx /usr/sbin/nginx.real")
    host.check_output("sh -c 'printf \"#!/bin/sh\\nexec sleep 30\\n\" > /usr/sbin/nginx; chmod 755 /usr/sbin/nginx'")
    try:
        running = start(site={**SITE, "text": "killed"}, htpasswd="operator:{PLAIN}killed")
        for _ in range(100):
            if host.run("pgrep -x sleep").rc == 0:
                break
            time.sleep(0.2)
        assert host.run("ls -d /etc/.slipway-staged").rc == 0
        # The module is the checker's parent: it dies without a chance to tidy up.
        host.check_output("sh -c 'kill -9 $(ps -o ppid= -p $(pgrep -x sleep))'")
        running.communicate(timeout=60)
        assert running.returncode != 0
    finally:
        host.check_output("mv /usr/sbin/nginx.real /usr/sbin/nginx")
        host.run("pkill -x sleep")
    assert digests(host) == before
    assert page() == "first"
    code, output = play()
    assert code == 0, output
    assert host.run("ls -d /etc/.slipway-staged /var/lib/slipway/config_tree/journal.json").rc != 0
    assert digests(host) == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "/etc/nginx/nginx.conf", "content": "x"}, "nginx.conf: is listed twice"),
        ({"path": "a.conf", "content": "x", "owner": "nobody-here"}, "no user nobody-here"),
    ],
)
def test_what_only_the_host_can_tell_is_refused_by_name(host, entry, message):
    before = digests(host)
    code, output = play(extra_files=[entry])
    assert code != 0
    assert message in " ".join(output.split())
    assert digests(host) == before
