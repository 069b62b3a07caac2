"""A service on one host: what its containers may do, what they see, and what is kept."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playbook import ROOT, Run, play

SCENARIO = Path(__file__).parents[1]
IMAGE = "slipway/sample-service"
HOST = "slipway-app-app1"

testinfra_hosts = ["app1"]


def converge(**variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", **variables)


def try_release(**variables: Any) -> Run:
    """What the deploy role does on one host."""
    return play(SCENARIO / "release.yml", SCENARIO / "inventory.yml", **variables)


def release(version: str, colour: str, states: str, **more: Any) -> str:
    done = try_release(version=version, colour=colour, states=states, **more)
    assert done.code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def live() -> None:
    """1.0.0 runs in blue; its image has four more names, as later versions would."""
    with subprocess.Popen(["docker", "save", f"{IMAGE}:1.0.0"], stdout=subprocess.PIPE) as save:
        subprocess.run(["docker", "exec", "-i", HOST, "docker", "load", "-q"], stdin=save.stdout, check=True)
    for number in (1, 2, 3, 4):
        tag = ["docker", "tag", f"{IMAGE}:1.0.0", f"{IMAGE}:1.0.{number}"]
        subprocess.run(["docker", "exec", HOST, *tag], check=True)
    subprocess.run(["docker", "exec", HOST, "mkdir", "-p", "/etc/$odd"], check=True)
    release("1.0.0", "blue", "started,live")


def inspect(host: Any, name: str) -> dict[str, Any]:
    return json.loads(host.check_output("docker inspect %s", name))[0]


def running(host: Any) -> set[str]:
    return set(host.check_output("docker ps --format '{{.Names}}'").split())


def test_instances_answer_on_the_hosts_own_address_only(host: Any) -> None:
    address = host.check_output("hostname -i").split()[0]
    for number, port in ((1, 8000), (2, 8001)):
        answer = json.loads(
            host.check_output("curl -s --retry 20 --retry-all-errors http://%s:%s/version", address, str(port))
        )
        assert (answer["version"], answer["colour"], answer["instance"]) == ("1.0.0", "blue", f"app1-{number}")
    assert host.run("curl -s --max-time 2 http://127.0.0.1:8000/version").rc != 0


def test_a_container_is_shut_in(host: Any) -> None:
    for name in ("sample-blue-1", "sample-blue-worker-1"):
        config = inspect(host, name)["HostConfig"]
        assert config["ReadonlyRootfs"] and config["CapDrop"] == ["ALL"] and not config["CapAdd"]
        assert "no-new-privileges:true" in config["SecurityOpt"] and not config["Privileged"]
        assert (config["Memory"], config["NanoCpus"], config["PidsLimit"]) == (128 * 2**20, 500_000_000, 64)
        assert config["RestartPolicy"]["Name"] == "unless-stopped"
    assert host.run("docker exec sample-blue-1 touch /etc/x").rc != 0
    assert host.run("docker exec sample-blue-1 touch /tmp/x /data/x").rc == 0
    status = host.check_output("docker exec sample-blue-1 cat /proc/1/status")
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Uid:\t10001" in status


def test_environment_arrives_as_it_was_written(host: Any) -> None:
    text = host.run("docker exec sample-blue-1 env -0").stdout
    seen = dict(item.split("=", 1) for item in text.split("\0") if item)
    expected = {
        "QUOTES": "a\"b'c",
        "MAP": '{"a":[1,"é"]}',
        "CRLF": "a\r\nb",
        "DOLLAR": "$HOME ${X} $$",
        "LINES": "one\ntwo",
        "HASH": "a # b",
        "BACK": "a\\nb\\",
    }
    assert {name: seen[name] for name in expected} == expected
    assert seen["PORT"] == "8000"


def test_a_dollar_is_a_dollar(host: Any) -> None:
    config = inspect(host, "sample-blue-1")
    assert {(mount["Source"], mount["Destination"]) for mount in config["Mounts"]} >= {("/etc/$odd", "/$odd")}
    assert config["HostConfig"]["LogConfig"]["Config"]["tag"] == "$odd"


def test_the_containers_check_asks_for_its_path_and_fails_when_nobody_answers(host: Any) -> None:
    test = inspect(host, "sample-blue-1")["Config"]["Healthcheck"]["Test"]
    assert test[-1] == "http://127.0.0.1:8000/health?full=1&deep='1'"
    assert host.run("docker exec sample-blue-1 " + " ".join(map(shlex.quote, test[1:]))).rc == 0
    nobody = [*test[1:-1], test[-1].replace(":8000", ":9")]
    assert host.run("docker exec sample-blue-1 " + " ".join(map(shlex.quote, nobody))).rc != 0


def test_a_secret_is_a_file_of_the_containers_user_and_nowhere_else(host: Any) -> None:
    secret = host.file("/srv/slipway/sample/secrets/api_token")
    assert (secret.mode, secret.uid) == (0o400, 10001)
    assert host.check_output("docker exec sample-blue-1 cat /run/secrets/api_token") == "first-token"
    assert "first-token" not in host.check_output("docker inspect sample-blue-1 sample-blue-worker-1")
    assert host.run("grep -r first-token /srv/slipway/sample/releases /srv/slipway/sample/history.jsonl").rc == 1


def test_a_changed_secret_reaches_the_running_container(host: Any) -> None:
    before = inspect(host, "sample-blue-1")["Id"]
    done = converge(token="second-token")
    assert done.code == 0, done.output
    assert "second-token" not in done.stdout
    assert host.check_output("docker exec sample-blue-1 cat /run/secrets/api_token") == "second-token"
    assert inspect(host, "sample-blue-1")["Id"] == before and inspect(host, "sample-blue-1")["RestartCount"] == 0


def test_containers_share_the_named_network_and_not_the_engines_own(host: Any) -> None:
    networks = inspect(host, "sample-blue-1")["NetworkSettings"]["Networks"].keys()
    assert networks == {"shared", "sample-blue_default"}


def test_a_process_that_dies_is_started_again(host: Any) -> None:
    pid = inspect(host, "sample-blue-2")["State"]["Pid"]
    host.check_output("kill -9 %s", str(pid))
    state = "$(docker inspect -f {{.State.Running}}:{{.RestartCount}} sample-blue-2)"
    host.check_output(f"timeout 120 sh -c 'until [ {state} = true:1 ]; do sleep 0.3; done'")


def test_the_same_release_again_changes_nothing(host: Any) -> None:
    before = host.check_output("docker ps -q --no-trunc | sort")
    assert "changed=0" in release("1.0.0", "blue", "started")
    assert host.check_output("docker ps -q --no-trunc | sort") == before


def test_workers_run_in_the_live_colour_only(host: Any) -> None:
    release("1.0.1", "green", "started")
    assert {"sample-green-1", "sample-green-2", "sample-blue-worker-1"} <= running(host)
    assert "sample-green-worker-1" not in running(host)
    release("1.0.1", "green", "live")
    assert "sample-green-worker-1" in running(host) and "sample-blue-worker-1" not in running(host)
    release("1.0.0", "blue", "live", run="back")
    assert "sample-blue-worker-1" in running(host) and "sample-green-worker-1" not in running(host)


def test_a_worker_that_starts_again_for_ever_is_found_and_taken_away(host: Any) -> None:
    release("1.0.1", "green", "started,working", worker=["nonsense"])
    count = "$(docker inspect -f {{.RestartCount}} sample-green-worker-1)"
    host.check_output(f"timeout 120 sh -c 'until [ {count} -ge 1 ]; do sleep 0.3; done'")
    done = try_release(version="1.0.1", colour="green", states="steady")
    assert done.code != 0 and "sample-green-worker-1 does not go on" in " ".join(done.stdout.split())
    release("1.0.0", "blue", "working,steady")
    left = set(host.check_output("docker ps --all --format '{{.Names}}'").split())
    assert "sample-green-worker-1" not in left and "sample-blue-worker-1" in left


def test_old_releases_go_and_the_live_and_the_warm_one_stay(host: Any) -> None:
    for number, colour in ((2, "green"), (3, "green"), (4, "green")):
        release(f"1.0.{number}", colour, "started,live", keep=2)
    left = set(host.check_output("ls /srv/slipway/sample/releases").split())
    images = set(host.check_output("docker images --format '{{.Tag}}' %s", IMAGE).split())
    assert left == images == {"1.0.0", "1.0.3", "1.0.4"}  # blue still runs 1.0.0
    events = [json.loads(line) for line in host.file("/srv/slipway/sample/history.jsonl").content_string.splitlines()]
    assert [event["version"] for event in events][-3:] == ["1.0.2", "1.0.3", "1.0.4"]


def test_what_was_never_released_cannot_be_started_again() -> None:
    done = try_release(version="7.7.7", colour="green", states="live")
    assert done.code != 0 and "no release 7.7.7" in done.stdout.replace("\n", " ")


def test_a_misspelt_option_of_a_service_is_refused() -> None:
    services = [{"name": "sample", "image": "x", "port": 1, "ports": {"blue": 1, "green": 2}, "instanses": 2}]
    done = converge(app_services=services)
    assert done.code != 0 and "instanses" in done.stdout


def test_a_service_out_of_the_inventory_is_said_and_can_be_retired(host: Any) -> None:
    def retire(**variables: Any) -> Run:
        return play(ROOT / "playbooks/retire.yml", SCENARIO / "inventory.yml", service="sample", **variables)

    refused = retire()
    assert refused.code != 0 and "sample is still in app_services of app1" in " ".join(refused.stdout.split())
    said = converge(app_services=[])
    assert said.code == 0 and "app1: sample is not in app_services any more and left" in said.stdout, said.output
    gone = retire(app_services=[])
    assert gone.code == 0 and "app1: removed containers sample-blue-1, " in gone.stdout, gone.output
    assert not [name for name in host.check_output("docker ps --all --format '{{.Names}}'").split() if "sample" in name]
    assert IMAGE not in host.check_output("docker images --format '{{.Repository}}'")
    assert set(host.check_output("ls /srv/slipway/sample").split()) == {"volumes"}
    again = retire(app_services=[])
    assert "app1: nothing was to do" in again.stdout and "changed=0" in again.stdout, again.output
