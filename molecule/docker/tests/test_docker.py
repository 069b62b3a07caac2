"""Looks at what containers get from the engine, and what survives a restart of it or a clean-up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import testinfra
from machine import until
from playbook import play

SCENARIO = Path(__file__).resolve().parents[1]

IMAGE = "slipway-test:1"


def import_image(host, name: str) -> str:
    """Make an image of one static binary; `name` also goes in, so that every image is its own."""
    script = (
        "d=$(mktemp -d) && mkdir $d/bin $d/tmp && cp /usr/bin/busybox $d/bin/busybox && ln -s busybox $d/bin/sh"
        f" && echo {name} > $d/name && tar -C $d -c ."
        f" | docker import --change 'ENTRYPOINT [\"/bin/busybox\"]' - {name} && rm -r $d"
    )
    return host.check_output(script).strip()


def remove(host, *containers: str) -> None:
    host.run(f"docker rm --force --volumes {' '.join(containers)}")


@pytest.fixture
def image(host) -> str:
    if host.run(f"docker image inspect {IMAGE}").rc != 0:
        import_image(host, IMAGE)
    return IMAGE


@pytest.fixture
def name(host):
    remove(host, "probe")
    yield "probe"
    remove(host, "probe")


def on(host, hostname: str) -> None:
    if host.check_output("hostname") != hostname:
        pytest.skip(f"promised on {hostname}")


def test_compose_runs_a_project_with_limits(host, image):
    compose = {
        "services": {
            "web": {
                "image": image,
                "command": ["httpd", "-f", "-p", "8000"],
                "ports": ["127.0.0.1:8000:8000"],
                "mem_limit": "16m",
            },
            "greedy": {"image": image, "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M"], "mem_limit": "16m"},
        }
    }
    host.check_output(f"mkdir -p /root/project && echo '{json.dumps(compose)}' > /root/project/compose.yaml")
    up = host.run("cd /root/project && docker compose up --detach")
    try:
        assert up.rc == 0, up.stderr
        assert "404" in host.check_output("curl -s --retry 5 --retry-connrefused 127.0.0.1:8000/")
        assert host.check_output("docker wait project-greedy-1") == "137"
        assert host.check_output("docker inspect --format '{{.State.Running}}' project-web-1") == "true"
    finally:
        host.run("cd /root/project && docker compose down --timeout 1")


@pytest.mark.parametrize("option, rotated", [("", True), ("--log-opt max-size=50m", False)])
def test_logs_rotate_unless_a_container_asks_otherwise(host, image, name, option, rotated):
    on(host, "app1")
    host.check_output(f"docker run --name {name} {option} {image} seq 1 20000")
    log = host.check_output(f"docker inspect --format '{{{{.LogPath}}}}' {name}")
    size = int(host.check_output(f"cat {log}* | wc -c"))
    assert (size < 250_000) == rotated, size
    assert host.check_output(f"docker logs --tail 1 {name}") == "20000"


def test_logs_reach_the_journal_without_options_of_the_usual_driver(host, image, name):
    on(host, "app2")
    host.check_output(f"docker run --name {name} {image} echo said-by-a-container")
    look = f"journalctl --quiet --output=cat CONTAINER_NAME={name}"
    assert until(lambda: host.check_output(look) == "said-by-a-container")


def test_a_download_outlives_a_restart_of_the_engine(host, image, name):
    """The swarm's node has live restore off: there the same restart must break the download, or it proves nothing."""
    hostname = host.check_output("hostname")
    neighbour = testinfra.get_host(f"docker://slipway-docker-{'app2' if hostname == 'app1' else 'app1'}")
    serve = "dd if=/dev/zero of=/tmp/file bs=1M count=0 seek=4000 && exec httpd -f -p 8000 -h /tmp"
    host.check_output(f"docker run -d --name {name} --stop-timeout 1 -p 8001:8000 {image} sh -c '{serve}'")
    url = f"http://{hostname}:8001/file"
    neighbour.check_output(f"curl -s -I --fail --retry 9 --retry-all-errors --retry-delay 1 {url}")
    # Far faster than the receive buffer lasts, and given up when it stands still.
    download = f"curl -s --limit-rate 20M --speed-limit 1000 --speed-time 4 -o /dev/null {url}"
    neighbour.check_output(f"systemd-run --collect --unit=download {download}")
    try:
        host.check_output("systemctl restart docker")
        broken = until(lambda: neighbour.run("systemctl is-active download").rc != 0, 8 if hostname == "app1" else 60)
    finally:
        neighbour.run("systemctl stop download")
    assert broken == (hostname != "app1")
    again = neighbour.run(f"curl -s -m 30 -I --fail {url}")
    assert (again.rc == 0) == (hostname == "app1")


def test_setuid_programs_gain_nothing(host, image, name):
    expected = "1" if host.check_output("hostname") == "app1" else "0"
    status = host.check_output(f"docker run --name {name} {image} grep NoNewPrivs /proc/self/status")
    assert status.split()[-1] == expected


def test_networks_come_from_the_pool(host):
    host.check_output("docker network create probe")
    try:
        created = host.check_output("docker network inspect probe")
    finally:
        host.check_output("docker network rm probe")
    assert ("10.210." in created) == (host.check_output("hostname") == "app1")


def test_metrics_only_on_loopback(host):
    local = host.run("curl -s -m 5 127.0.0.1:9323/metrics")
    assert ("engine_daemon_engine_info" in local.stdout) == (host.check_output("hostname") == "app1")
    assert host.run("curl -s -m 5 app1:9323/metrics").rc == 7


def test_only_listed_users_reach_the_engine(host):
    allowed = host.check_output("hostname") == "app1"
    assert (host.run("runuser -u games -- docker ps").rc == 0) == allowed
    refused = host.run("runuser -u nobody -- docker ps")
    assert refused.rc != 0 and "permission denied" in refused.stderr


def test_login_is_roots_alone(host):
    on(host, "app1")
    assert host.run("runuser -u games -- cat /root/.docker/config.json").rc != 0
    login = json.loads(host.check_output("cat /root/.docker/config.json"))["auths"]["registry1:5000"]
    assert list(login) == ["auth"]
    assert host.file("/etc/docker/certs.d/registry1:5000/ca.crt").content_string.startswith("-----BEGIN CERTIFICATE")


def test_a_login_that_left_the_list_leaves_the_host_and_an_operators_own_stays(host):
    on(host, "app1")
    run = play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", "--limit", "app1", docker_registry_logins=[])
    assert run.code == 0, run.output
    assert host.run("ls /root/.docker/config.json").rc != 0
    host.check_output("echo '{}' > /root/.docker/config.json")
    again = play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", "--limit", "app1", docker_registry_logins=[])
    assert again.code == 0 and again.changed == 0, again.output
    assert host.check_output("cat /root/.docker/config.json") == "{}"
    assert play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", "--limit", "app1").code == 0


@pytest.fixture
def store(host, image):
    """Images for the clean-up: one without any use, and one for each reason to stay."""
    names = ["junk:1", "registry1:5000/sample:1.0.0", "registry1:5000/sample:0.9.0", "stopped:1", "pinned:1"]
    for each in names:
        import_image(host, each)
    dangling = import_image(host, "moved:1")
    import_image(host, "moved:2")
    host.check_output("docker tag moved:2 moved:1")
    release = "/srv/slipway/sample/releases/1.0.0"
    host.check_output(f"mkdir -p {release} && echo 'image: \"registry1:5000/sample:1.0.0\"' > {release}/compose.yaml")
    host.check_output(f"chown -R nobody {release} && chmod 0700 {release}")
    remove(host, "idle")
    host.check_output("docker create --name idle stopped:1 true")
    yield {"dangling": dangling}
    remove(host, "idle")
    host.run("rm -rf /srv/slipway && docker image rm --force " + " ".join([*names, "moved:1", "moved:2"]))


def present(host) -> set[str]:
    listed = host.check_output("docker image ls --all --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}'")
    return set(listed.split())


def test_cleanup_removes_junk_and_never_a_release(host, store):
    on(host, "app1")
    time.sleep(1)
    cleanup = host.run("systemctl start slipway-docker-prune.service")
    assert cleanup.rc == 0, host.run("journalctl -n 20 -u slipway-docker-prune").stdout
    left = present(host)
    assert {"registry1:5000/sample:1.0.0", "stopped:1", "pinned:1"} <= left
    assert not {"junk:1", "registry1:5000/sample:0.9.0", "moved:1", store["dangling"]} & left


def test_cleanup_leaves_what_has_just_come(host, store):
    on(host, "app2")
    before = present(host)
    host.check_output("/usr/local/sbin/slipway-docker-prune")
    assert present(host) == before


def test_cleanup_removes_nothing_when_it_cannot_know(host, store):
    """It runs as root everywhere but here: a user of the engine who may not read the release."""
    on(host, "app1")
    before = present(host)
    blind = host.run("runuser -u games -- /usr/local/sbin/slipway-docker-prune")
    assert blind.rc != 0 and "nothing was removed" in blind.stderr
    assert present(host) == before


def test_cleanup_has_a_date(host):
    timers = host.check_output("systemctl list-timers --no-legend slipway-docker-prune.timer")
    assert ("slipway-docker-prune.service" in timers) == (host.check_output("hostname") == "app1")
