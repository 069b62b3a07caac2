"""The first play of site.yml, on hosts that cannot be reached: facts come from a cache, so that it alone can run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import cache_loader
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from ansible_collections.slipway.ops.plugins.plugin_utils.preflight import playbook_options
from playbook import ROOT, SETTINGS, play

DEMO = ROOT / "inventories" / "demo"
FACTS = {
    "_ansible_facts_gathered": True,
    "ansible_distribution": "Debian",
    "ansible_distribution_release": "trixie",
    "ansible_distribution_major_version": "13",
    "ansible_processor_nproc": 2,
    "ansible_default_ipv4": {"address": "192.0.2.7"},
}
GROUPS = ["edge", "app", "postgresql", "pgbouncer", "backup", "monitor", "registry"]
Site = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Runs a playbook over hosts by group, with the demo's group variables and others; returns what it said."""
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))

    def run(
        groups: dict[str, list[str]],
        *options: str,
        playbook: str = "site",
        facts: dict[str, Any] | None = None,
        host_vars: dict[str, dict[str, Any]] | None = None,
        **variables: Any,
    ) -> str:
        inventory = tmp_path / "inventory"
        inventory.mkdir(exist_ok=True)
        if not (inventory / "group_vars").exists():
            (inventory / "group_vars").symlink_to(DEMO / "group_vars")
        hosts: dict[str, Any] = {name: {} for members in groups.values() for name in members}
        unreachable = {
            "ansible_host": "127.0.0.1",
            "ansible_port": 1,
            "ansible_connection": "ssh",
            "testbed_name": "test",
        }
        children = {group: {"hosts": dict.fromkeys(members)} for group, members in groups.items()}
        tree = {"all": {"hosts": hosts | (host_vars or {}), "vars": unreachable, "children": children}}
        (inventory / "hosts.yml").write_text(yaml.safe_dump(tree))
        for name in hosts:
            cache_loader.get("ansible.builtin.jsonfile").set(name, FACTS | (facts or {}))
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        done = subprocess.run(
            [
                "ansible-playbook",
                "-i",
                str(inventory / "hosts.yml"),
                str(ROOT / f"playbooks/{playbook}.yml"),
                *options,
                *extra,
            ],
            cwd=tmp_path,
            env=os.environ | SETTINGS | {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "PWD": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0  # it reaches nobody in any case
        return done.stdout + done.stderr

    return run


def test_one_host_that_is_everything_is_as_good_as_the_demo(site: Site) -> None:
    said = site({group: ["one"] for group in GROUPS})
    assert "PLAY [Every host]" in said


def test_everything_that_is_wrong_is_said_at_once_one_line_each(site: Site) -> None:
    wrong = {
        "app_services": "text",
        "baseline_admins": [{"name": "a", "sudo": "perhaps"}],
        "deploy_user": "x",
        "health_deadlin": "2m",
        "node_exporter_download_url": "https://example.test/node_exporter",
        "registry_address": "{{ nosuch }}",
        "nginx_user": "www-data",
    }
    said = site(
        {group: ["one"] for group in GROUPS} | {"edge": ["edge1"]},
        host_vars={"one": wrong | {"slipway_foreign_variables": ["nginx_user"]}},
    )
    lines = [line.strip() for line in said.splitlines()]
    for expected in (
        "one: app_services is 'text', wanted is a list of mappings",
        "one: baseline_admins[0].sudo is 'perhaps', wanted is true or false",
        "one: node_exporter_download_url needs node_exporter_download_checksum as sha256:<64 hexadecimal digits>.",
        "one: registry_address cannot be worked out: 'nosuch' is undefined",
    ):
        assert expected in lines
    assert "one: deploy_user: Slipway knows no such variable of deploy" in said
    assert "health_deadlin: Slipway knows no such variable of health; did you mean health_deadline?" in said
    assert "nginx_user:" not in said
    # Nobody goes on, not even the host that is right.
    assert "Nothing was changed." in lines
    assert "PLAY [Every host]" not in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "absent"}, "the account"),
        ({"sudo": False}, "sudo"),
        ({"authorized_keys": None}, "every key"),
        ({"authorized_keys": []}, "every key"),
    ],
)
def test_nobody_takes_the_way_in_from_whoever_runs_it(site: Site, change: dict[str, Any], told: str) -> None:
    admin = {"name": "ops", "authorized_keys": ["ssh-ed25519 AAAA ops"]} | change
    admin = {name: value for name, value in admin.items() if value is not None}
    said = site({"app": ["app1"]}, ansible_user="ops", baseline_admins=[admin])
    assert f"app1: baseline_admins takes {told} away from ops, as whom this very run comes" in said
    assert "PLAY [Every host]" not in said


def test_who_runs_it_may_be_in_the_list_and_may_take_others_out(site: Site) -> None:
    admins = [{"name": "ops", "authorized_keys": ["ssh-ed25519 AAAA ops"]}, {"name": "gone", "state": "absent"}]
    assert "PLAY [Every host]" in site({"app": ["app1"]}, ansible_user="ops", baseline_admins=admins)


def test_checks_that_cannot_be_worked_out_are_refused_in_one_line(site: Site) -> None:
    said = site({"app": ["app1"]}, playbook="health", host_vars={"app1": {"app_services": "text"}})
    assert "app1: app_services is 'text', wanted is a list of mappings" in said and "Nothing was changed." in said
    assert "Finalization of task args" not in said


def test_a_database_without_a_repository_is_refused_before_it_is_made(site: Site) -> None:
    said = site({"postgresql": ["db1"], "backup": ["backup1"]}, pgbackrest_repositories=[])
    assert "pgbackrest_repositories" in said
    assert "PLAY [Every host]" not in said


def test_pools_make_no_edge_of_a_host_outside_the_group(site: Site) -> None:
    pools = [{"name": "a", "bind": "127.0.0.1:1800", "servers": [{"name": "b", "address": "192.0.2.1", "port": 80}]}]
    said = site({"edge": ["edge1"], "app": ["app1"]}, host_vars={"app1": {"haproxy_pools": pools}})
    assert "app1: haproxy_pools is set for a host that is not in group edge" in said
    assert "PLAY [Every host]" not in said


def test_sign_in_needs_its_role_and_one_way_in(site: Site) -> None:
    place = {"path": "/", "respond": 204, "oidc": True}
    www = {"name": "www", "domains": ["www.test"], "certificate": {"name": "www"}, "locations": [place]}
    said = site({"edge": ["edge1"]}, nginx_sites=[www])
    assert "edge1: nginx_sites: www: oidc needs role oauth2_proxy on this host; put the host into group" in said
    twice = www | {"locations": [place | {"users": ["alice"]}]}
    said = site({"edge": ["edge1"], "oauth2_proxy": ["edge1", "app1"]}, nginx_sites=[twice])
    assert "edge1: nginx_sites: www /: oidc and users ask twice who comes" in said
    assert "app1, edge1: oauth2_proxy_issuer (empty) is the provider's issuer" in said
    assert "app1, edge1: Nobody could sign in" in said
    assert "app1: app1 is in group oauth2_proxy and not in edge" in said
    assert "PLAY [Every host]" not in said


def test_two_edges_cannot_both_prove_a_name_by_http(site: Site) -> None:
    def edges(**more: Any) -> dict[str, Any]:
        entry = {"name": "www", "source": "acme", "names": ["www.example.test", "edge.example.test"]} | more
        own = {"name": "own", "source": "acme", "names": ["{{ inventory_hostname }}.example.test"]}
        return {host: {"certificate_list": [entry, own]} for host in ("edge1", "edge2")}

    said = site({"edge": ["edge1", "edge2"]}, host_vars=edges())
    assert "Another edge wants a certificate for edge.example.test, www.example.test too" in said
    assert "PLAY [Every host]" not in said
    dns = {"server": "192.0.2.53", "zone": "example.test", "key": "slipway", "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQ="}
    assert "Another edge wants" not in site({"edge": ["edge1", "edge2"]}, host_vars=edges(dns=dns))


def test_hosts_outside_the_group_slipway_are_left_alone(site: Site) -> None:
    said = site(
        {"app": ["app1"], "slipway": ["app1"], "printers": ["printer1"]}, host_vars={"printer1": {"nginx_x": 1}}
    )
    assert "PLAY [Every host]" in said
    assert "app1" in said
    assert "printer1" not in said


@pytest.mark.parametrize("playbook", ["site", "health", "drill", "backup", "readiness"])
def test_a_misspelt_variable_on_the_command_line_is_refused(site: Site, playbook: str) -> None:
    said = site({"postgresql": ["db1"], "monitor": ["monitor1"]}, playbook=playbook, health_deadlin="2m")
    assert "did you mean health_deadline?" in said


def test_the_demo_is_right_for_hosts_without_ipv4(site: Site) -> None:
    facts = {"ansible_default_ipv4": {}, "ansible_default_ipv6": {"address": "2001:db8::7"}}
    said = site({group: ["one"] for group in GROUPS}, facts=facts)
    assert "PLAY [Every host]" in said


# What the demo's groups say is gathered by name: nothing is lost where one host is in all groups.
def test_a_host_of_all_groups_has_the_certificates_of_all(tmp_path: Path) -> None:
    (tmp_path / "group_vars").symlink_to(DEMO / "group_vars")
    children = {group: {"hosts": {"one": None}} for group in GROUPS}
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"vars": {"testbed_name": "test"}, "children": children}})
    )
    shown = subprocess.check_output(
        ["ansible", "-i", str(tmp_path / "hosts.yml"), "one", "-m", "debug", "-a", "var=certificate_list"],
        env=os.environ | SETTINGS | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        text=True,
    )
    found = json.loads(shown.partition("=>")[2])["certificate_list"]
    assert [entry["name"] for entry in found] == ["app", "host", "pgbackrest", "pgbouncer", "postgresql", "registry"]
    assert found[1]["names"] == ["one"]


def test_no_playbook_gives_the_controller_a_role_unless_the_inventory_does() -> None:
    """Plays that come to localhost without an inventory look and say; they have no roles and are not root."""
    books = sorted((ROOT / "playbooks").glob("*.yml"))
    shown = subprocess.check_output(
        ["ansible-playbook", "-i", "/dev/null", "--list-hosts", *map(str, books)], env=os.environ | SETTINGS, text=True
    )
    plays = [found for book in books for found in DataLoader().load_from_file(str(book))]
    on_controller = {
        block.partition(": ")[2].partition("\t")[0] for block in shown.split("  play #") if "\n      " in block
    }
    assert "Refuse to do nothing" in on_controller
    for found in plays:
        if found["name"] in on_controller:
            assert "roles" not in found and found.get("become") is not True, found["name"]


def test_two_servers_do_not_share_a_place_in_a_store(site: Site) -> None:
    """Each would take the other's backups for its own, and remove them."""
    given = {"redis_password": "p" * 16, "redis_key": "AGE-SECRET-KEY-1" + "Q" * 58}
    given["redis_name"] = "{{ inventory_hostname }}"
    store = {"key": "k", "key_secret": "s", "url": "https://objects1:7070/redis"}
    assert "is that of several hosts of group redis" in site({"redis": ["one", "two"]}, **given, redis_s3=store)
    own = store | {"url": "https://objects1:7070/redis/{{ inventory_hostname }}"}
    assert "several hosts" not in site({"redis": ["one", "two"]}, **given, redis_s3=own)


@pytest.mark.parametrize(("group", "name"), [("redis", "redis_name"), ("mongodb", "mongodump_name")])
def test_two_hosts_of_a_group_do_not_share_a_name_in_the_evidence(site: Site, group: str, name: str) -> None:
    """The newest result of one would hide that the other's failed."""
    hosts, words = {group: ["one", "two"]}, f"is that of several hosts of group {group}. Their"
    said = site(hosts)
    assert f"one: {name} ({group}) {words}" in said and "such as one." in said
    assert words in site(hosts, **{name: "cache"}), "whoever chose it"
    assert words not in site(hosts, **{name: "{{ inventory_hostname }}"})
    assert words not in site(hosts, host_vars={"two": {name: "other"}}), "the default may be one's"


def test_a_primary_that_keeps_nothing_is_nobodys_to_follow(site: Site) -> None:
    """Started again it is empty, and so are all who follow it."""
    given = {"redis_password": "p" * 16, "redis_key": "AGE-SECRET-KEY-1" + "Q" * 58, "redis_persistence": "none"}
    follows = {"two": {"redis_primary": "one"}}
    assert "redis_persistence is none" in site({"redis": ["one", "two"]}, **given, host_vars=follows)
    assert "redis_persistence is none" not in site({"redis": ["one", "two"]}, **given)


def test_an_interval_at_which_alerts_are_blind_is_refused(site: Site) -> None:
    assert "prometheus_interval is 3m" in site({"monitor": ["one"]}, prometheus_interval="3m")
    assert "prometheus_interval is" not in site({"monitor": ["one"]}, prometheus_interval="1m")


def test_an_inventory_without_hosts_is_refused() -> None:
    run = play("site", "/dev/null")
    assert run.code != 0 and "This inventory has no hosts, so nothing was done." in run.said


def test_the_head_of_each_playbook_tells_its_variables() -> None:
    """What a playbook reads by itself is in its head and in its specs; what roles read is in theirs."""
    specs = playbook_options()
    assert specs.keys() == {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    roles = tuple(f"{path.name}_" for path in (ROOT / "roles").iterdir())
    for book in sorted((ROOT / "playbooks").glob("*.yml")):
        head = book.read_text().partition("\n- ")[0]
        told = {name for line in re.findall(r"^# ((?:\w+, )*\w+)  +\S", head, re.M) for name in line.split(", ")}
        own = {name for name in told if not name.startswith(roles)}
        assert own <= specs[book.stem].keys(), book.name


def test_what_tasks_registered_is_nobodys_misspelling(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.set_fact": {"haproxy_version": "3.0"}},
        {"ansible.builtin.command": "true", "register": "haproxy_seen", "changed_when": False},
        {"slipway.ops.known_variables": {"role": "haproxy"}},
    ]
    book.write_text(
        yaml.safe_dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}])
    )
    assert play(book, "localhost,").code == 0
    assert "haproxy_verson" in play(book, "localhost,", haproxy_verson=3).said


def test_reports_go_to_the_directory_in_which_the_playbook_runs(site: Site, tmp_path: Path) -> None:
    """ansible-runner starts elsewhere, and says so in PWD."""
    said = site({"app": ["app1"]}, playbook="health", health_defaults=False)
    assert f"{tmp_path}/reports/health.json" in said
    assert (tmp_path / "reports" / "health.json").exists()


def test_health_is_evidence_also_where_no_report_can_be_written(site: Site, tmp_path: Path) -> None:
    """A job in a project of root's: it fails, and what it measured is kept."""
    (tmp_path / "file").write_text("")
    (tmp_path / "store").mkdir(mode=0o750)
    local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    said = site(
        {"app": ["app1"]},
        playbook="health",
        host_vars={"app1": local},
        health_defaults=False,
        health_checks=[{"id": "operations.sample.one", "kind": "command", "argv": ["true"]}],
        health_report_dir=f"{tmp_path}/file/reports",
        evidence_host="localhost",
        evidence_store=f"{tmp_path}/store",
    )
    assert "Make the directory" in said and "/file" in said
    kept = Store(tmp_path / "store").read().records
    assert ("operations.sample.one", "pass") in [(one["id"], one["verdict"]) for one in kept]


def test_a_host_that_is_named_with_an_empty_text_is_the_default(site: Site) -> None:
    asked = {"registry_name": "registry1:5000", "registry_users": [{"username": "a", "password": "secret"}]}
    images = [{"name": "shop:1", "image": "shop:1"}]
    named = {host: {"publish_host": ""} for host in ("app1", "registry1")}
    groups = {"app": ["app1"], "registry": ["registry1"]}
    said = site(groups, playbook="publish", host_vars=named, publish_images=images, **asked)
    assert "fatal: [registry1]: " in said and "cannot have empty values" not in said


def test_who_reads_where_evidence_is_takes_an_empty_text_for_the_default() -> None:
    named = re.compile(r"evidence_host \| default\((?!.*, true\))|_host'\) \| select\('defined'\) \| (?!select \|)")
    books = sorted([*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml")])
    wrong = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in books
        for line in path.read_text(encoding="utf-8").splitlines()
        if named.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize(("playbook", "variable"), [("readiness", "evidence_host"), ("publish", "publish_host")])
def test_a_host_that_the_inventory_names_is_the_one(site: Site, playbook: str, variable: str) -> None:
    """`hosts:` of a play sees variables of the command line only, unless it asks a host for them."""
    groups = {"monitor": ["monitor1"], "registry": ["registry1"], "app": ["app1"]}
    named = {host: {variable: "app1"} for host in ("monitor1", "registry1", "app1")}
    asked: dict[str, Any] = {
        "publish_images": [{"name": "shop:1", "image": "shop:1"}],
        "registry_name": "registry1:5000",
        "registry_users": [{"username": "publisher", "password": "secret"}],
    }
    said = site(groups, playbook=playbook, host_vars=named, **(asked if playbook == "publish" else {}))
    assert "fatal: [app1]: " in said  # it cannot be reached, or there is no ssh to do it with
    assert "[monitor1]" not in said and "[registry1]" not in said
