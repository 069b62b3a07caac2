"""Pushes and pulls as publishers, app hosts and strangers do, and collects garbage under them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import testinfra
from machine import until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
LOGIN = "--authfile /etc/slipway/registry/login.json"
REGISTRY = "docker://registry1:5000"


@pytest.fixture(scope="module")
def app():
    return testinfra.get_host("docker://slipway-registry-app1")


@pytest.fixture
def archive(host):
    """A function that makes an image archive on the registry's host."""
    script = base64.b64encode((SCENARIO / "make_image.py").read_bytes()).decode()
    host.check_output(f"echo {script} | base64 -d > /root/make_image.py")

    def make(name: str, size: int = 1000) -> str:
        host.check_output(f"python3 /root/make_image.py /var/tmp/image.tar {name} {size}")
        return "docker-archive:/var/tmp/image.tar"

    yield make
    host.run("rm -f /var/tmp/image.tar")


@pytest.fixture
def repository() -> str:
    """A name of this test's own, so that the tests can be run again on the same registry."""
    return f"test-{time.time_ns()}"


def test_an_app_host_pulls_what_was_published(app):
    app.check_output("docker pull registry1:5000/sample:1.1.0")
    app.check_output("docker create --name look registry1:5000/sample:1.1.0")
    try:
        assert app.check_output("docker cp look:/version - | tar --extract --to-stdout") == "sample:1.1.0"
    finally:
        app.run("docker rm look; docker image rm registry1:5000/sample:1.1.0")


def test_the_engine_refuses_the_registry_without_its_authority(app):
    link = "/etc/docker/certs.d/registry1:5000/ca.crt"
    app.check_output(f"mv {link} /root/link")
    try:
        pull = app.run("docker pull registry1:5000/sample:1.0.0")
    finally:
        app.check_output(f"mv /root/link {link}")
    assert pull.rc != 0 and "certificate signed by unknown authority" in pull.stderr


def test_the_engine_refuses_a_missing_version(app):
    pull = app.run("docker pull registry1:5000/sample:9.9.9")
    assert pull.rc != 0 and "manifest unknown" in pull.stderr


@pytest.mark.parametrize("credentials", ["--dest-no-creds", "--dest-creds publisher:wrong", "--dest-creds nobody:x"])
def test_strangers_cannot_push(host, archive, credentials):
    push = host.run(f"skopeo copy {credentials} {archive('stranger:1')} {REGISTRY}/stranger:1")
    assert push.rc != 0
    assert host.run(f"skopeo inspect {LOGIN} {REGISTRY}/stranger:1").rc != 0


def test_strangers_cannot_read(app):
    answer = app.check_output("curl -s --cacert /root/ca.pem -w '%{http_code}' https://registry1:5000/v2/_catalog")
    assert answer.endswith("401") and "sample" not in answer


def test_every_user_can_log_in(app):
    for user in ["app:pulls-in-this-scenario", "publisher:pushes-in-this-scenario"]:
        app.check_output(f"curl -s --fail --cacert /root/ca.pem -u {user} https://registry1:5000/v2/")


def test_only_tls_and_no_old_one(app):
    assert app.check_output("curl -s -o /dev/null -w '%{http_code}' http://registry1:5000/v2/") == "400"
    assert app.run("curl -s --cacert /root/ca.pem --tls-max 1.1 https://registry1:5000/v2/").rc == 35
    assert app.run("curl -s https://registry1:5000/v2/").rc == 60


def test_health_and_metrics_stay_on_the_host(host, app):
    assert host.check_output("curl -s http://127.0.0.1:5001/debug/health") == "{}"
    assert "registry_http_requests_total" in host.check_output("curl -s http://127.0.0.1:5001/metrics")
    assert app.run("curl -s -m 5 http://registry1:5001/metrics").rc == 7


def test_secrets_are_roots_and_in_no_log(host):
    for path in ["/etc/docker/registry/htpasswd", "/etc/slipway/registry/login.json", "/root/tls/registry.key"]:
        assert host.run(f"runuser -u docker-registry -- cat {path}").rc != 0
    assert host.run("journalctl --no-pager | grep -F pushes-in-this-scenario").rc == 1


def test_it_comes_back_when_killed(host):
    host.check_output("systemctl kill --signal=KILL docker-registry")
    host.check_output("curl -s --retry 60 --retry-all-errors --retry-delay 1 --fail http://127.0.0.1:5001/debug/health")


def controller_archive(directory: Path, name: str, size: int) -> Path:
    archive = directory / "image.tar"
    subprocess.run([sys.executable, SCENARIO / "make_image.py", archive, name, str(size)], check=True)
    return archive


def publish(name: str, *options: str, **source: str) -> Run:
    return play("publish", SCENARIO / "inventory.yml", *options, publish_images=[{"name": name, **source}])


def test_a_published_version_never_changes_unawares(host, repository, tmp_path):
    look = f"skopeo inspect --raw {LOGIN} {REGISTRY}/{repository}:1"
    name = f"{repository}:1"
    assert publish(name, archive=str(controller_archive(tmp_path, name, 10))).code == 0
    before = host.check_output(look)
    other = str(controller_archive(tmp_path, name, 20))
    refused = publish(name, archive=other)
    assert refused.code != 0 and "with other content" in refused.stdout
    assert host.check_output(look) == before
    assert publish(name, "-e", "publish_replace=true", archive=other).code == 0
    assert host.check_output(look) != before
    assert host.run("ls /run/slipway-publish-login.json /var/tmp/slipway-publish.tar").rc == 2


def test_an_image_comes_out_of_the_controllers_engine(host, repository, tmp_path):
    name = f"{repository}:1"
    subprocess.run(["docker", "image", "load", "--input", controller_archive(tmp_path, name, 10)], check=True)
    try:
        first, second = publish(name, image=name), publish(name, image=name)
    finally:
        subprocess.run(["docker", "image", "rm", name], check=True)
    assert first.code == 0 and second.code == 0, first.output + second.output
    assert first.changed > 0 and second.changed == 0
    host.check_output(f"skopeo inspect {LOGIN} {REGISTRY}/{name}")


def test_garbage_goes_and_what_is_to_stay_stays(host, archive, repository, app):
    """The two newest and 1.0.0 are to stay, and with 1.0.0 the other name of its content."""

    def size() -> int:
        return int(host.check_output("du -sb /var/lib/docker-registry").split()[0])

    def tags() -> set[str]:
        return set(json.loads(host.check_output(f"skopeo list-tags {LOGIN} {REGISTRY}/{repository}"))["Tags"])

    name = f"{REGISTRY}/{repository}"
    for version in ["1.0.0", "2.0.0", "2.1.0", "2.2.0"]:
        source = archive(f"{repository}:{version}", 20_000_000)
        host.check_output(f"skopeo copy --dest-{LOGIN[2:]} {source} {name}:{version}")
        if version == "1.0.0":
            host.check_output(f"skopeo copy {LOGIN} {name}:1.0.0 {name}:first")
    used = size()

    host.check_output("slipway-registry-gc --dry-run")
    assert len(tags()) == 5
    assert f"{repository}: tags to go: 2.0.0;" in host.check_output("slipway-registry-gc")
    assert tags() == {"1.0.0", "first", "2.1.0", "2.2.0"}
    assert 20_000_000 < used - size() < 25_000_000
    for tag in tags():
        app.check_output(f"docker pull registry1:5000/{repository}:{tag}")
    again = host.run(f"skopeo copy --dest-{LOGIN[2:]} {archive('later:1')} {name}:3.0.0")
    assert again.rc == 0, "the registry was left read-only"


def test_collecting_refuses_pushes_and_ends_writable_when_stopped(host, archive):
    """A garbage collection that hangs, so that there is time to look: its program is replaced for once."""
    slow = "/root/slow"
    host.check_output(
        f"mkdir -p {slow} && printf '#!/bin/sh\\nexec sleep 600' > {slow}/runuser && chmod +x {slow}/runuser"
    )
    path = f"{slow}:/usr/local/sbin:/usr/sbin:/usr/bin"
    host.check_output(f"systemd-run --collect --unit=collect --setenv=PATH={path} slipway-registry-gc")
    push = f"skopeo copy --dest-{LOGIN[2:]} {archive('late:1')} {REGISTRY}/late:1"
    try:
        health = "curl -s http://127.0.0.1:5001/debug/health"
        assert until(lambda: host.run(f"pgrep -fx 'sleep 600' && {health}").rc == 0)
        assert host.run(f"skopeo inspect {LOGIN} {REGISTRY}/sample:1.0.0").rc == 0
        assert host.run(push).rc != 0
    finally:
        host.run("systemctl stop collect")
    host.check_output("curl -s --retry 60 --retry-all-errors --retry-delay 1 --fail http://127.0.0.1:5001/debug/health")
    assert host.run(push).rc == 0
