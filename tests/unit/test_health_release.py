"""What health says of a service's containers: the live release counts, loops and leftovers are named."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.containers import published, trouble_of
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, worst
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import Answer
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.release import Recorded, Release, recorded
from ansible_collections.slipway.ops.plugins.module_utils.release import history

NOW = datetime.datetime(2026, 11, 29, 23, 33, 20, tzinfo=datetime.timezone.utc).timestamp()
LATELY, LONG_AGO = "2026-11-29T23:33:00.123456789Z", "2026-11-20T00:00:00Z"


def container(name, colour="green", version="2.0.0", role="instance", **state):
    restarts = state.pop("restarts", 0)
    health = state.pop("health", "healthy" if role == "instance" else None)
    return {
        "Id": name,
        "Name": f"/{name}",
        "RestartCount": restarts,
        "Config": {
            "Labels": {
                "slipway.service": "shop",
                "slipway.colour": colour,
                "slipway.version": version,
                "slipway.role": role,
            }
        },
        "State": {"Status": "running", "StartedAt": LONG_AGO, "ExitCode": 0}
        | ({"Health": {"Status": health}} if health else {})
        | state,
        "NetworkSettings": {"Ports": {"8000/tcp": [{"HostIp": "10.0.0.5", "HostPort": f"81{name[-1]}0"}]}},
    }


class Host:
    """An app host: its engine answers with these containers, instances are ready but those named in ``unready``."""

    def __init__(self, directory, *containers, events=(), workers=(), unready=()):
        self.root, self.containers, self.unready = directory, {one["Id"]: one for one in containers}, unready
        for number, (event, version, colour) in enumerate(events):
            told = {"at": f"2026-11-2{number}T00:00:00Z", "run": str(number), "action": "deploy"}
            (directory / "shop").mkdir(exist_ok=True)
            history.append(
                directory / "shop" / "history.jsonl", told | {"event": event, "version": version, "colour": colour}
            )
        place = directory / "shop" / "releases" / "2.0.0" / "green"
        place.mkdir(parents=True)
        (place / "release.json").write_text(json.dumps({"workers": list(workers)}))

    async def fetch(self, request):
        if request.socket is None:
            down = any(unready in request.url for unready in self.unready)
            return answer(503 if down else 200, '{"ready": false, "reason": "the database is away"}' if down else "{}")
        found = re.fullmatch(r"http://docker/containers/(\w[\w.-]*)/json", request.url)
        if found:
            return answer(200, json.dumps(self.containers[found[1]]))
        assert "slipway.service=shop" in unquote(request.url)
        return answer(200, json.dumps([{"Id": name} for name in self.containers]))

    def check(self, **options):
        check = Release(service="shop", root=str(self.root), ready="/ready", instances=2, **options)
        client: Any = self
        return worst(asyncio.run(check.measure(client)))


def answer(status, text):
    return Answer(status, {}, text.encode(), False, 0.0)


BOTH = (("done", "1.0.0", "blue"), ("begun", "2.0.0", "green"), ("done", "2.0.0", "green"))
GREEN = [container("shop-green-1"), container("shop-green-2")]
BLUE = [container("shop-blue-1", "blue", "1.0.0"), container("shop-blue-2", "blue", "1.0.0")]


def test_only_the_live_colour_counts(tmp_path):
    """The fault: one of two live instances stopped beside two warm ones made three of two."""
    stopped = container("shop-green-2", Status="exited", ExitCode=137, health=None)
    found = Host(tmp_path, GREEN[0], stopped, *BLUE, events=BOTH).check()
    assert (found.verdict, found.measured, found.limit) == ("fail", 1, ">= 2")
    assert "shop 2.0.0 (green)" in found.reason
    assert "shop-green-2 is exited, exit code 137; see docker logs shop-green-2" in found.reason


def test_a_live_release_that_is_whole_passes_whatever_the_other_colour_is(tmp_path):
    dead = container("shop-blue-1", "blue", "1.0.0", Status="exited", health=None)
    assert Host(tmp_path, *GREEN, dead, events=BOTH).check().verdict == "pass"


def test_a_release_under_way_is_not_live_yet(tmp_path):
    events = (("done", "1.0.0", "blue"), ("begun", "2.0.0", "green"))
    assert Host(tmp_path, *BLUE, events=events).check().measured == 2


def test_a_healthy_instance_that_is_not_ready_does_not_count(tmp_path):
    found = Host(tmp_path, *GREEN, events=BOTH, unready=["8110"]).check()
    assert (found.verdict, found.measured) == ("fail", 1)
    assert "shop-green-1 is healthy, but answers /ready with 503" in found.reason
    assert "the database is away" in found.reason


def test_a_host_that_never_had_a_release_says_so(tmp_path):
    with pytest.raises(CheckFailed, match=r"no release of shop ever went live on this host; deploy\.yml"):
        Host(tmp_path).check()


def test_the_way_back_is_warm_or_says_why_not(tmp_path):
    assert Host(tmp_path, *GREEN, *BLUE, events=BOTH).check(part="warm").verdict == "pass"


def test_a_warm_release_that_lost_its_database_is_no_way_back(tmp_path):
    found = Host(tmp_path, *GREEN, BLUE[0], container("shop-blue-3", "blue", "1.0.0"), events=BOTH, unready=["8130"])
    told = found.check(part="warm")
    assert told.verdict == "fail"
    assert told.reason.startswith("a rollback to 1.0.0 would have to start it first: ")
    assert "shop-blue-3 is healthy, but answers /ready with 503" in told.reason


def test_the_other_colour_with_another_version_is_no_way_back(tmp_path):
    refused = [container(f"shop-blue-{n}", "blue", "3.0.0") for n in (1, 2)]
    assert Host(tmp_path, *GREEN, *refused, events=BOTH).check(part="warm").verdict == "fail"


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
def test_a_strategy_that_keeps_nothing_warm_is_not_warned_of(tmp_path, strategy):
    found = Host(tmp_path, *BLUE, events=BOTH).check(part="warm", strategy=strategy)
    assert (found.verdict, found.reason) == ("skip", f"strategy {strategy} keeps no release warm; a rollback starts it")


def test_a_first_release_has_no_way_back_to_warn_of(tmp_path):
    found = Host(tmp_path, *BLUE, events=(("done", "1.0.0", "blue"),)).check(part="warm")
    assert (found.verdict, found.reason) == ("skip", "the history of shop has no release before 1.0.0")


def test_a_rollback_takes_what_it_left_off_the_history():
    events = [
        {"at": "1", "run": "1", "event": "done", "version": "1", "colour": "blue"},
        {"at": "2", "run": "2", "event": "done", "version": "2", "colour": "green"},
        {"at": "3", "run": "3", "event": "done", "version": "1", "colour": "blue", "action": "rollback"},
    ]
    live, earlier = recorded(events)
    assert (live, earlier) == (Recorded("1", "blue"), None)


def worker(colour="green", version="2.0.0", **state):
    return container(f"shop-{colour}-mailer-1", colour, version, role="worker", **state)


def test_workers_run_in_the_live_colour_alone(tmp_path):
    waiting = worker("blue", "1.0.0", Status="exited")
    assert (
        Host(tmp_path, *GREEN, worker(), waiting, events=BOTH, workers=["mailer-1"]).check(part="workers").verdict
        == "pass"
    )


def test_a_worker_that_restarts_for_ever_is_named(tmp_path):
    looping = worker(Status="restarting", ExitCode=3, restarts=41)
    found = Host(tmp_path, *GREEN, looping, events=BOTH, workers=["mailer-1"]).check(part="workers")
    assert (found.verdict, found.measured, found.limit) == ("fail", 0, ">= 1")
    assert "shop-green-mailer-1 is restarting, exit code 3" in found.reason


def test_a_worker_that_is_gone_is_named(tmp_path):
    found = Host(tmp_path, *GREEN, events=BOTH, workers=["mailer-1"]).check(part="workers")
    assert found.reason == "shop-green-mailer-1 is not there; deploy.yml starts it"


@pytest.mark.parametrize("state", ["running", "restarting"])
def test_a_worker_of_another_release_beside_the_new_is_a_leftover(tmp_path, state):
    left = worker("blue", "1.0.0", Status=state)
    found = Host(tmp_path, *GREEN, left, events=BOTH).check(part="workers")
    assert found.verdict == "fail"
    assert found.reason == f"shop-blue-mailer-1 of another release is {state}; stop it: docker stop shop-blue-mailer-1"


@pytest.mark.parametrize(
    ("restarts", "started", "loops"), [(3, LATELY, True), (2, LATELY, False), (40, LONG_AGO, False), (3, "", False)]
)
def test_restarts_that_do_not_end_are_trouble_while_the_container_runs(restarts, started, loops):
    found = trouble_of(container("shop-green-1", StartedAt=started, restarts=restarts), now=NOW)
    assert (found is not None) == loops
    if found:
        assert found.startswith(f"shop-green-1 restarts again and again: {restarts} times, the last 20 s ago")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.5", "http://10.0.0.5:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::5", "http://[fd00::5]:8000"),
    ],
)
def test_where_a_port_is_reached(address, place):
    ports = {"9/tcp": None, "8000/tcp": [{"HostIp": address, "HostPort": "8000"}]}
    assert published({"NetworkSettings": {"Ports": ports}}) == place


def test_what_a_bake_went_back_from_is_told_until_another_release_is_live(tmp_path):
    done = {"event": "done", "run": "r1", "at": "2026-11-29T23:00:00Z", "version": "1.0.0", "colour": "blue"}
    baked = done | {"run": "r2", "by": "bake on edge1", "previous": {"version": "2.0.0"}, "reason": "it fails"}
    place = tmp_path / "shop" / "history.jsonl"
    place.parent.mkdir()
    check = Release(service="shop", part="bake", root=str(tmp_path))
    for events, verdict in (([], "pass"), ([done], "pass"), ([done, baked], "fail"), ([done, baked, done], "pass")):
        place.write_text("".join(json.dumps(event) + "\n" for event in events))
        found = check.baked()
        assert found.verdict == verdict
        assert verdict == "pass" or "2.0.0 was rolled back by its bake" in str(found.reason)
