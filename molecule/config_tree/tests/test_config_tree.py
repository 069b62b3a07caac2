"""Configuration sets as nginx and its readers meet them: served when good, refused when bad, never half."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from machine import until
from playbook import Run

SCENARIO = Path(__file__).resolve().parents[1]
SITE = {"text": "first", "locations": ["/", "/text"]}
PASSWORD = "correct-horse-battery"


def start(*options, playbook="converge.yml", timeout=300, **variables) -> Run:
    """Converge again with other variables, in the background."""
    return Run(SCENARIO / playbook, SCENARIO / "inventory.yml", *options, timeout=timeout, **variables)


def play(*options, **variables) -> Run:
    """Converge again with other variables."""
    return start(*options, **variables).end()


def page():
    with urllib.request.urlopen("http://127.0.0.1:18411/text", timeout=5) as answer:
        return answer.read().decode().strip()


def digests(host, place="/etc/nginx"):
    return host.check_output(f"find {place} -type f -exec sha256sum {{}} + | sort -k2; stat -c %i {place}")


@pytest.fixture
def restored(host):
    """The scenario's own set again, whatever the test did."""
    yield
    run = play()
    assert run.code == 0, run.output


def test_the_set_is_served(host):
    assert page() == "first"


def test_distribution_files_stay(host):
    # By the package's own list of checksums, for all but the file that the set replaces.
    changed = host.run("dpkg --verify nginx-common").stdout
    assert [line.split()[-1] for line in changed.splitlines()] in ([], ["/etc/nginx/nginx.conf"])
    assert host.check_output("readlink /etc/nginx/sites-enabled/default") == "/etc/nginx/sites-available/default"


def test_a_directory_of_the_images_layer_is_configured_too(host, restored):
    run = play("-v", layer="second")
    assert run.code == 0, run.output
    assert "swap: rename" in run.output
    dump = host.check_output("apt-config dump Scenario")
    assert 'Scenario::One "second"' in dump
    assert 'Scenario::Two "second"' in dump


def test_a_good_change_is_served(host, restored):
    run = play("--diff", "-v", site={**SITE, "text": "second"}, htpasswd="operator:{PLAIN}second")
    assert run.code == 0, run.output
    assert "swap: exchange" in run.output
    assert '-    location /text { return 200 "first' in run.output
    assert '+    location /text { return 200 "second' in run.output
    assert until(lambda: page() == "second")  # workers of before the reload end


def test_a_bad_set_never_replaces_a_good_one(host):
    before = digests(host)
    bad = {**SITE, "text": "bad", "extra": "    no_such_directive on;"}
    run = play(site=bad, htpasswd="operator:{PLAIN}other")
    assert run.code != 0
    assert "unknown directive" in run.output
    assert "/etc/nginx/sites/first.conf" in run.output
    assert ".slipway" not in run.output
    assert "Nothing was changed" in run.output
    assert digests(host) == before
    assert page() == "first"


def test_a_bad_sudoers_file_never_gets_near_sudo(host):
    run = play(playbook="sudoers.yml")
    assert run.code != 0
    assert "/etc/sudoers.d/operators" in run.output
    host.check_output("visudo -c")
    host.check_output("sudo -n true")


def test_strays_go_and_their_site_with_them(host):
    host.check_output("sh -c 'echo nonsense > /etc/nginx/sites/stray.conf'")
    assert host.run("nginx -t").rc != 0
    run = play("--diff")
    assert run.code == 0, run.output
    assert "/etc/nginx/sites/stray.conf (removed)" in run.output
    host.check_output("nginx -t")


def test_check_mode_tells_and_changes_nothing(host):
    before = digests(host)
    run = play("--check", "--diff", site={**SITE, "text": "other"})
    assert run.code == 0, run.output
    assert '"other' in run.output
    assert "refuses" not in run.output
    assert digests(host) == before
    run = play("--check", site={**SITE, "extra": "    no_such_directive on;"})
    assert "unknown directive" in run.output
    assert digests(host) == before


def test_a_secret_is_in_the_file_and_nowhere_else(host, restored):
    secret = "other-secret-battery"
    run = play("--diff", "-vvv", htpasswd=f"operator:{{PLAIN}}{secret}")
    assert run.code == 0, run.output
    assert "(secret) changed" in run.output
    for word in (secret, PASSWORD):
        assert word not in run.output.replace(f'"htpasswd": "operator:{{PLAIN}}{secret}"', "")
    assert secret in host.check_output("cat /etc/nginx/htpasswd")
    assert secret not in host.check_output("journalctl --no-pager")
    assert host.check_output("stat -c '%U:%G %a' /etc/nginx/htpasswd") == "root:www-data 640"


def test_a_killed_run_is_cleared_away_by_the_next(host):
    before = digests(host)
    host.check_output("mv /usr/sbin/nginx /usr/sbin/nginx.real")
    host.check_output("sh -c 'printf \"#!/bin/sh\\nexec sleep 300\\n\" > /usr/sbin/nginx; chmod 755 /usr/sbin/nginx'")
    try:
        running = start(site={**SITE, "text": "killed"}, htpasswd="operator:{PLAIN}killed")
        assert until(lambda: host.run("pgrep -x sleep").rc == 0, 120)
        assert host.run("ls -d /etc/.slipway-staged").rc == 0
        # The module is the checker's parent: it dies without a chance to tidy up.
        host.check_output("sh -c 'kill -9 $(ps -o ppid= -p $(pgrep -x sleep))'")
        assert running.end().code != 0
    finally:
        host.check_output("mv /usr/sbin/nginx.real /usr/sbin/nginx")
        host.run("pkill -x sleep")
    assert digests(host) == before
    assert page() == "first"
    run = play()
    assert run.code == 0, run.output
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
    run = play(extra_files=[entry])
    assert run.code != 0
    assert message in run.said
    assert digests(host) == before
