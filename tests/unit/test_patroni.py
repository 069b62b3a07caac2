"""Patroni: presets that keep their promise, what is shared and what is a member's own, and how a cluster is told."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, keeper
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import cluster as server_data
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import (
    PatroniError,
    ctl,
    data,
    member,
    settings,
    status,
    switch,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.client import Answer
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni.restart import (
    Installed,
    reasons,
    server_version,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.server import Server
from ansible_collections.slipway.ops.plugins.module_utils.etcd.member import former_selves
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import patroni as kind
from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended

SETTINGS = {"max_connections": 40, "wal_level": "replica", "shared_buffers": "128MB", "jit": False, "port": 5432}


def dynamic(preset: str = "fast", synchronous: str = "on", **overrides: Any) -> dict[str, Any]:
    return settings.dynamic(preset, synchronous, 1 << 20, SETTINGS, overrides)


@pytest.mark.parametrize("preset", settings.PRESETS.values(), ids=settings.PRESETS)
def test_presets_keep_their_promise_within_patronis_rules(preset):
    assert preset.worst < preset.recovery
    assert preset.ttl >= max(20, preset.loop_wait + 2 * preset.retry_timeout)
    assert 2 * preset.loop_wait + preset.start_timeout + settings.ELECTION < preset.recovery


def test_settings_go_where_they_belong():
    assert dynamic()["postgresql"]["parameters"] == {"max_connections": 40, "wal_level": "replica"}
    assert settings.local(SETTINGS) == {"shared_buffers": "128MB", "jit": "off"}


def test_only_who_has_everything_may_wait_for_its_own_server():
    assert dynamic(synchronous="on")["primary_start_timeout"] == 0
    assert dynamic(synchronous="off")["primary_start_timeout"] == 10


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("off", (False, False)), ("on", (True, False)), ("strict", (True, True)), ("quorum", ("quorum", False))],
)
def test_synchronous_modes(mode, wanted):
    found = dynamic(synchronous=mode)
    assert (found["synchronous_mode"], found["synchronous_mode_strict"]) == wanted


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"ttl": 15}, "ttl 15 is less than 20"),
        ({"retry_timeout": 10}, "ttl 20 is less than 25"),
        ({"retry_timeout": 2}, "less than 3"),
        ({"postgresql": {"parameters": {"work_mem": "8MB"}}}, "work_mem is a member's own"),
    ],
)
def test_what_patroni_would_change_in_silence_is_refused(overrides, said):
    assert said in "; ".join(settings.problems(dynamic(**overrides)))


def test_the_roles_own_settings_have_no_problem():
    assert settings.problems(dynamic()) == []


def test_nothing_is_sent_when_all_have_it():
    assert settings.patch({**dynamic(), "slots": {"other": {}}}, dynamic()) == {}


def test_what_differs_is_sent_and_what_went_is_removed():
    current = dynamic(postgresql={"parameters": {"max_wal_senders": 4}}) | {"ttl": 30}
    found = settings.patch(current, dynamic())
    assert found == {"ttl": 20, "postgresql": {"parameters": {"max_wal_senders": None}}}
    assert settings.told(found) == ["ttl: 20", "postgresql.parameters.max_wal_senders: removed"]


def entry(name: str, role: str = "replica", state: str = "", **more: Any) -> dict[str, Any]:
    state = state or ("running" if role == "leader" else "streaming")
    return {"name": name, "role": role, "state": state, "api_url": f"https://{name}:8008/patroni", "timeline": 1} | more


def cluster(*entries: dict[str, Any], **more: Any) -> status.Cluster:
    return status.read({"members": entries, **more})


WHOLE = (entry("db1", "leader"), entry("db2", "sync_standby", lag=0), entry("db3", lag=0))


def test_a_whole_cluster_has_no_problem():
    assert status.problems(cluster(*WHOLE), ["db1", "db2", "db3"], 0, synchronous=True) == []


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((entry("db1"),), "nobody leads"),
        ((entry("db1", "leader"), entry("db2", "leader")), "db1 and db2 leads"),
        ((entry("db1", "leader"),), "db2 is not in the cluster"),
        ((entry("db1", "leader"), entry("db2", state="starting")), "db2 (replica) is starting, not streaming"),
        ((entry("db1", "leader"), entry("db2", lag=2000)), "db2 is behind by 2000 bytes"),
        ((entry("db1", "leader"), entry("db2", lag="unknown")), "db2 is behind by unknown"),
        ((entry("db1", "leader"), entry("db2", lag=0, timeline=2)), "different timelines: 1, 2"),
        ((entry("db1", "leader"), entry("db2", lag=0)), "no replica is synchronous"),
    ],
)
def test_problems_of_clusters(entries, said):
    found = status.problems(cluster(*entries), ["db1", "db2"], 1000, synchronous=True)
    assert said in "; ".join(found)


def plan(found: status.Cluster, candidate: str = "", synchronous: bool = True) -> str:
    return switch.plan(found, switch.Wanted(candidate, ["db1", "db2", "db3"]), synchronous)


def test_the_synchronous_replica_is_the_best():
    late = (WHOLE[0], entry("db2", lag=500), entry("db3", "sync_standby", lag=900))
    assert plan(cluster(*late)) == "db3"
    assert plan(cluster(*late), synchronous=False) == "db2"
    assert plan(cluster(*WHOLE), "db1") == "db1"


@pytest.mark.parametrize(
    ("found", "candidate", "said"),
    [
        (cluster(*WHOLE), "db3", "db3 is not synchronous, and may lack rows; db2 may lead"),
        (cluster(*WHOLE), "db9", "db9 is not in the cluster, which has db1, db2, db3"),
        (cluster(*WHOLE[:2]), "", "db3 is not in the cluster"),
        (cluster(*WHOLE, pause=True), "", "paused"),
        (cluster(WHOLE[0], entry("db2", lag=0), entry("db3", lag=0)), "", "no replica is synchronous"),
    ],
)
def test_switches_that_are_refused(found, candidate, said):
    with pytest.raises(PatroniError, match="Nothing was switched") as error:
        plan(found, candidate)
    assert said in str(error.value)


class Members:
    """A cluster whose leader goes at the first switch; the new one answers after the given seconds."""

    def __init__(self, after: float) -> None:
        self.after, self.switched = after, 0.0

    def ask(self, path: str, base: str = "", timeout: float = 0) -> Answer:
        if path == "/config":
            return Answer(200, {"synchronous_mode": True})
        if path == "/cluster":
            roles = ("replica", "leader") if self.switched else ("leader", "sync_standby")
            return Answer(200, {"members": [entry(f"db{n}", role, lag=0) for n, role in enumerate(roles, 1)]})
        leads = time.monotonic() >= self.switched + self.after if self.switched else False
        return Answer(200 if (leads if "db2" in base else not self.switched) else 503, None)

    def send(self, method: str, path: str, body: Any, base: str, timeout: float) -> Answer:
        time.sleep(0.2)
        self.switched = time.monotonic()
        return Answer(200, "")

    def lets_in(self, host: str) -> bool:
        return True


def test_a_switch_measures_how_long_nobody_led():
    done = switch.switch(Members(0.5), switch.Wanted(timeout=5))  # type: ignore[arg-type]
    assert (done.former, done.leader, done.problems) == ("db1", "db2", [])
    assert done.gap and done.gap > 0
    results = {result.id.rpartition(".")[2]: result for result in done.results("main", "test")}
    assert results["gap"].measured == done.gap
    assert [result.verdict for result in results.values()] == ["pass", "pass"]


def test_a_switch_can_be_waited_for_later():
    members: Any = Members(0)
    done = switch.switch(members, switch.Wanted(timeout=5, follow=False))
    assert [result.id for result in done.results("main", "test")] == ["data.switchover.postgresql.gap"]
    late = switch.followed(members, switch.Wanted(members=["db1", "db2", "db3"], timeout=0), done.former)
    (result,) = late.results("main", "test")
    assert (result.id, result.verdict) == ("data.switchover.postgresql.result", "fail")
    assert (late.former, late.leader) == ("db1", "db2")


def test_a_look_switches_nothing():
    members = Members(0)
    done = switch.switch(members, switch.Wanted(), check_mode=True)  # type: ignore[arg-type]
    assert (done.leader, members.switched, done.results("main", "test")) == ("db2", 0.0, [])


def check(monkeypatch: pytest.MonkeyPatch, found: status.Cluster, **options: Any) -> list[tuple[str, str]]:
    """Verdicts and reasons of the health check."""
    monkeypatch.setattr(kind, "_look", lambda: (found, True))
    (defined,) = define([{"kind": "patroni", **options}], KINDS)
    findings = asyncio.run(defined.measure(HttpClient()))
    return [(finding.verdict, finding.reason or "") for finding in findings]


def test_the_health_check_tells_lag_and_what_waits(monkeypatch):
    assert check(monkeypatch, cluster(*WHOLE)) == [("pass", "")]
    late = (*WHOLE[:2], entry("db3", lag=5000, pending_restart=True))
    assert [verdict for verdict, _ in check(monkeypatch, cluster(*late), lag="< 1000")] == ["warn", "fail"]
    assert "resume" in check(monkeypatch, cluster(*WHOLE, pause=True))[0][1]


def test_the_health_check_fails_without_a_leader_or_a_member(monkeypatch):
    with pytest.raises(CheckFailed, match="nobody leads; one member must"):
        check(monkeypatch, cluster(*WHOLE[1:]))
    with pytest.raises(CheckFailed, match="3 of 4 members"):
        check(monkeypatch, cluster(*WHOLE), members=4)


def test_restarts_are_for_what_runs_older_than_it_is():
    installed = Installed(170006, "4.0.7")
    told = {"role": "replica", "server_version": 170006, "patroni": {"version": "4.0.7"}}
    assert reasons(told, installed, False) == []
    assert reasons(told | {"server_version": 170005}, installed, False) == ["PostgreSQL 17.5 runs, 17.6 is installed"]
    assert reasons(told | {"patroni": {"version": "4.0.6"}}, installed, True) == [
        "Patroni 4.0.6 runs, 4.0.7 is installed",
        "its unit has changed",
    ]
    waiting = told | {"pending_restart": True, "pending_restart_reason": {"max_connections": {}}}
    assert reasons(waiting, installed, False) == ["settings wait for it: max_connections"]
    assert server_version("postgres (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)") == 170006


def test_a_member_that_lost_its_data_is_known_by_name_or_address():
    listed = [
        {"ID": 1, "name": "db1", "peerURLs": ["https://db1:2380"]},
        {"ID": 2, "name": "db2", "peerURLs": ["https://old:2380"]},
        {"ID": 3, "peerURLs": ["https://db2:2380"]},
    ]
    assert former_selves(listed, "db2", "https://db2:2380") == [2, 3]
    assert former_selves(listed, "db4", "https://db4:2380") == []


def test_the_leader_is_found_in_what_patronictl_lists():
    replica = {"Cluster": "main", "Member": "db2", "Role": "Sync Standby", "State": "streaming", "TL": 3}
    leader = {"Cluster": "main", "Member": "db1", "Role": "Leader", "State": "running", "TL": 3}
    assert ctl.leader_of(json.dumps([replica, leader])) == "db1"
    assert ctl.leader_of(json.dumps([replica])) == ""
    assert ctl.leader_of("[]") == ""


def test_another_major_version_is_not_begun_by_site(tmp_path, monkeypatch):
    """Patroni would copy the old version's leader with the new version's programs."""
    old, new = tmp_path / "15", tmp_path / "17"
    old.mkdir()
    new.mkdir()
    (old / "PG_VERSION").write_text("15\n")
    configuration = tmp_path / "config.yml"
    configuration.write_text(f"postgresql:\n  data_dir: {old}\n")
    monkeypatch.setattr(data, "CONFIGURATION", configuration)
    monkeypatch.setattr(server_data, "look", lambda _: server_data.Found())
    wanted = server_data.Wanted(17, "main", str(new))
    with pytest.raises(
        PostgresqlError, match=r"data of PostgreSQL 15 in .*/15, and the inventory says 17.*upgrade.yml"
    ):
        data.hand_over(wanted, False, check_mode=True)
    assert data.hand_over(wanted, True, check_mode=True) is False
    (old / "PG_VERSION").write_text("17\n")
    assert data.hand_over(wanted, False, check_mode=True) is False


def test_a_cluster_that_is_held_is_of_an_identifier_that_patroni_compares(monkeypatch):
    """With any other word a member that comes back begins it anew, with the data that it has."""
    claimed: list[str] = []
    monkeypatch.setattr(ctl, "forget", lambda scope: None)
    monkeypatch.setattr(ctl, "claim", claimed.append)
    held = keeper.Member("main", Server(17, "main", 5432), Path("/data"))
    held.hold("restoring")
    held.hold("7713326865987279891")
    assert all(len(identifier) >= 10 and identifier.isdigit() for identifier in claimed)
    assert claimed[0] != claimed[1] == "7713326865987279891"


def test_restored_data_leads_before_anybody_else_can(monkeypatch):
    """Other members have data of the same identifier: nothing lies between what keeps them out and the lead."""
    steps: list[str] = []
    told = Ended(0, "Database system identifier:           7713326865987279891\n", "")

    def systemctl(*words: str) -> str:
        steps.append(" ".join(words))
        return ""

    monkeypatch.setattr(keeper, "systemctl", systemctl)
    monkeypatch.setattr(keeper.control, "read", lambda *_: told)
    monkeypatch.setattr(ctl, "forget", lambda _: steps.append("forget"))
    monkeypatch.setattr(ctl, "lead", lambda identifier: steps.append(f"lead {identifier}"))
    monkeypatch.setattr(keeper.Member, "serve", lambda _: steps.append("serve"))
    keeper.Member("main", Server(17, "main", 5432), Path("/data")).take_over()
    assert steps[0] == "stop slipway-restore-17-main.service"
    assert [step for step in steps[1:] if "is-active" not in step] == ["lead 7713326865987279891", "serve"]


def test_a_leader_of_data_that_was_there_has_its_configuration_a_loop_later(monkeypatch):
    monkeypatch.setattr(member, "_POLL", 0)
    answers = [Answer(502, "<html>"), Answer(502, "<html>"), Answer(200, {"ttl": 20})]
    asked: Any = SimpleNamespace(ask=lambda path: answers.pop(0))
    assert member._share(asked, {"ttl": 20}, check_mode=False) == []
    monkeypatch.setattr(member, "_CONFIGURED", 0)
    with pytest.raises(PatroniError, match=r"has no configuration \(status 502\)"):
        member._share(SimpleNamespace(ask=lambda path: Answer(502, "")), {}, check_mode=False)  # type: ignore[arg-type]
