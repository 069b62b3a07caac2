"""What `start` makes of answers: layouts, refusals, and inventories that the first play of site.yml lets pass."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.loader import cache_loader
from ansible_collections.slipway.ops.plugins.filter.jobs import standard
from ansible_collections.slipway.ops.plugins.plugin_utils.start.answers import AnswersError, read_answers
from ansible_collections.slipway.ops.plugins.plugin_utils.start.project import files_of, groups_of, plan, secrets_of
from ansible_collections.slipway.ops.plugins.plugin_utils.start.ssh_from import PRIVATE, default_networks, source_toward
from playbook import ROOT, SETTINGS, Run, play

FACTS = {
    "_ansible_facts_gathered": True,
    "ansible_distribution": "Debian",
    "ansible_distribution_release": "trixie",
    "ansible_distribution_major_version": "13",
    "ansible_processor_nproc": 2,
    "ansible_default_ipv4": {"address": "192.0.2.7"},
}
GIVEN = {"hosts": "kiwi1=192.0.2.7", "domain": "kiwi.example.test", "service": "kiwi-shop"}
S3 = {"bucket": "kiwi", "endpoint": "s3.example.test", "region": "eu-1", "key": "AK/1", "secret": "s3/secret+one="}


def hosts(number: int) -> str:
    return ", ".join(f"kiwi{at}=192.0.2.{at}" for at in range(1, number + 1))


def problems(**changes: Any) -> list[str]:
    with pytest.raises(AnswersError) as caught:
        read_answers(GIVEN | changes)
    return caught.value.problems


def test_one_host_is_everything() -> None:
    groups = groups_of(read_answers(GIVEN))
    assert set(groups) == {"edge", "app", "postgresql", "pgbouncer", "monitor", "registry"}
    assert {tuple(members) for members in groups.values()} == {("kiwi1",)}


@pytest.mark.parametrize("number", [2, 3, 4, 7])
def test_backups_are_never_on_the_database_s_host_while_there_is_another(number: int) -> None:
    groups = groups_of(read_answers(GIVEN | {"hosts": hosts(number)}))
    assert groups["backup"] != groups["postgresql"]
    assert groups["pgbouncer"] == groups["app"]
    everyone = {name for members in groups.values() for name in members}
    assert everyone == {f"kiwi{at}" for at in range(1, number + 1)}, "every host is for something"


def test_many_hosts_are_application_hosts() -> None:
    groups = groups_of(read_answers(GIVEN | {"hosts": hosts(6)}))
    assert (groups["edge"], groups["app"]) == (["kiwi1"], ["kiwi2", "kiwi3", "kiwi4"])
    assert (groups["postgresql"], groups["monitor"]) == (["kiwi5"], ["kiwi6"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hosts": ""}, "start_hosts is missing; it is one or more name=address, such as web1=203.0.113.7."),
        ({"hosts": "Kiwi_1=192.0.2.7"}, "start_hosts has 'Kiwi_1=192.0.2.7'; a host is name=address"),
        ({"hosts": "localhost=192.0.2.7"}, "start_hosts has 'localhost=192.0.2.7'"),
        ({"hosts": "no=192.0.2.7"}, "start_hosts has 'no', which YAML reads as another thing than text"),
        ({"service": "on"}, "start_service is 'on', which YAML reads as another thing than text"),
        ({"hosts": "a=192.0.2.7,a=192.0.2.8"}, "start_hosts has one name twice."),
        ({"hosts": "a=192.0.2.7,b=192.0.2.7"}, "start_hosts has one address twice."),
        ({"hosts": "a=192.0.2.7@0"}, "a port is 1 to 65535."),
        ({"hosts": "a=not a host"}, "start_hosts has 'not a host'; an address is wanted"),
        ({"hosts": "a=192.0.2.7/inside"}, "start_hosts has 'inside'; an address is wanted"),
        ({"hosts": "a=192.0.2.7,b=fd00::2"}, "Docker names no registry by that."),
        ({"domain": "kiwi"}, "start_domain is 'kiwi'; it is one whole name, such as shop.example.com."),
        ({"domain": "*.example.test"}, "start_domain is '*.example.test'"),
        ({"domain": "192.0.2.7"}, "start_domain is '192.0.2.7'"),
        ({"service": "Kiwi Shop"}, "start_service is 'Kiwi Shop'; it is a name of small letters"),
        ({"service": "{{ lookup('pipe', 'id') }}"}, "start_service is"),
        ({"user": 'root"'}, "start_user is"),
        ({"image": "ghcr.io/acme/shop:1.0"}, "it is a registry and a name without a tag"),
        ({"image": "shop"}, "it is a registry and a name without a tag"),
        ({"port": "http"}, "start_port is 'http'; it is a port, 1 to 65535."),
        ({"port": 70000}, "start_port is '70000'; it is a port, 1 to 65535."),
        ({"health": "health"}, "start_health is 'health'; it is a path, such as /health."),
        ({"database": "mysql"}, "start_database is 'mysql'; it is postgresql or none."),
        ({"backups": "s3"}, "start_s3 is missing; it is a mapping of bucket, endpoint, region, key, secret"),
        ({"s3": S3}, "start_s3 is given, and start_backups is not s3."),
        ({"backups": "s3", "s3": S3 | {"bucket": 'a"b'}}, "start_s3 has a bucket with letters that none has."),
        ({"backups": "s3", "s3": S3, "database": "none"}, "there is no database to back up."),
        ({"ssh_from": "203.0.113.0/24, office"}, "start_ssh_from has 'office'; it is networks such as 203.0.113.0/24"),
        ({"ssh_from": ["203.0.113.0/33"]}, "start_ssh_from has '203.0.113.0/33'"),
        ({"timezone": "Seoul"}, "start_timezone is 'Seoul'; it is a name such as Asia/Seoul or Etc/UTC."),
        ({"registry_login": {"username": "u", "password": "p"}}, "start_image names none."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    (problem,) = problems(**changes)
    assert said in problem and "\n" not in problem


@pytest.mark.parametrize(
    ("addresses", "source", "networks"),
    [
        (["10.0.0.4", "fd00::4"], {"10.0.0.4": "192.168.7.2", "fd00::4": "fd00:7::2"}, PRIVATE),
        (["100.64.0.4"], {"100.64.0.4": "100.64.0.9"}, PRIVATE),
        (["203.0.113.7"], {"203.0.113.7": "192.168.7.2"}, ("anywhere",)),  # by a translation
        (["203.0.113.7"], {"203.0.113.7": "203.0.113.9"}, ("anywhere",)),  # tomorrow by another
        (["10.0.0.4", "203.0.113.7"], dict.fromkeys(["10.0.0.4", "203.0.113.7"], "10.0.0.9"), ("anywhere",)),
        (["10.0.0.4"], {"10.0.0.4": "130.5.0.9"}, ("anywhere",)),
        (["10.0.0.4"], {"10.0.0.4": ""}, ("anywhere",)),  # no way there today
        (["127.0.0.1"], {"127.0.0.1": "127.0.0.1"}, ("anywhere",)),
        ([], {}, ("anywhere",)),
    ],
)
def test_nobody_who_says_nothing_is_locked_out(
    addresses: list[str], source: dict[str, str], networks: tuple[str, ...]
) -> None:
    assert default_networks(addresses, source.__getitem__) == networks


def test_the_way_to_a_host_is_asked_of_this_machine_alone() -> None:
    assert source_toward("127.0.0.2") == "127.0.0.1"
    assert source_toward("no address") == ""


@pytest.mark.parametrize(
    ("given", "networks"),
    [
        ("203.0.113.9, fd00:0::/16,203.0.113.9", ("203.0.113.9/32", "fd00::/16")),
        (["10.1.2.3/8", "anywhere"], ("10.0.0.0/8", "anywhere")),
        (" , ", ("anywhere",)),
    ],
)
def test_ssh_is_for_the_networks_that_were_given(given: Any, networks: tuple[str, ...]) -> None:
    assert read_answers(GIVEN | {"ssh_from": given}).ssh_from == networks


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("changes", [{}, {"database": "none", "image": "ghcr.io/acme/shop"}])
def test_every_host_gets_the_firewall_whatever_it_is_for(number: int, changes: dict[str, Any]) -> None:
    files = files_of(plan(read_answers(GIVEN | changes | {"hosts": hosts(number), "ssh_from": "203.0.113.0/24"})))
    everybody = yaml.safe_load(files["group_vars/all/main.yml"])
    assert (everybody["firewall_enabled"], everybody["firewall_ssh_from"]) == (True, ["203.0.113.0/24"])
    assert [path for path, text in files.items() if "firewall_enabled:" in text] == ["group_vars/all/main.yml"]
    assert "203.0.113.0/24" in files["NEXT.md"] and "give `firewall_ssh_from`" not in files["NEXT.md"]


def test_ssh_for_anybody_is_said() -> None:
    assert "give `firewall_ssh_from`" in files_of(plan(read_answers(GIVEN)))["NEXT.md"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(problems(hosts="", domain="", service="", database="x")) == 4


def test_a_secret_is_never_in_a_refusal() -> None:
    assert "hush" not in "".join(problems(backups="s3", s3=S3 | {"secret": "hush hush"}))


def test_secrets_are_made_anew_and_stand_in_the_vault_alone() -> None:
    given = GIVEN | {"become_password": 'su"do{{ x }}', "backups": "s3", "s3": S3}
    answers = read_answers(given)
    first, second = secrets_of(answers), secrets_of(answers)
    made = {"vault_metrics_password", "vault_database_password", "vault_backup_key", "vault_registry_push_password"}
    assert all(first[name] != second[name] and len(first[name]) >= 32 for name in made)
    texts = "".join(files_of(plan(answers)).values())
    assert first["vault_become_password"] == 'su"do{{ x }}' and first["vault_s3_secret"] == S3["secret"]
    assert not [name for name, value in first.items() if value in texts]


def test_no_secret_is_asked_of_the_vault_that_it_does_not_hold() -> None:
    for changes in ({}, {"database": "none"}, {"image": "ghcr.io/acme/shop"}, {"hosts": hosts(3)}):
        answers = read_answers(GIVEN | changes)
        texts = re.sub(r"(?m)^ *#.*$", "", "".join(files_of(plan(answers)).values()))
        named = {word.strip(" }") for word in texts.split("{{ ") if word.startswith("vault_")}
        assert {name.partition(" ")[0] for name in named} <= secrets_of(answers).keys()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., tuple[Run, Path]]:
    def run(**changes: Any) -> tuple[Run, Path]:
        place = tmp_path / "project"
        given = {f"start_{name}": value for name, value in (GIVEN | changes).items()}
        return play("start", "localhost,", start_directory=str(place), **given), place

    return run


def first_play(place: Path) -> str:
    """The first play of site.yml in the project, on hosts that cannot be reached; facts come from a cache."""
    facts = place.parent / "facts"
    tree = yaml.safe_load((place / "hosts.yml").read_text())
    os.environ["ANSIBLE_CACHE_PLUGIN_CONNECTION"] = str(facts)
    for name in tree["all"]["hosts"]:
        cache_loader.get("ansible.builtin.jsonfile").set(name, FACTS)
    kept = {name: value for name, value in SETTINGS.items() if name != "ANSIBLE_CONFIG"}
    done = subprocess.run(
        ["ansible-playbook", str(ROOT / "playbooks/site.yml"), "-e", "ansible_host=127.0.0.1", "-e", "ansible_port=1"],
        cwd=place,
        env=os.environ | kept | {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"become_password": 'sudo\'s "own"', "timezone": "Asia/Seoul"},
        {"hosts": f"kiwi0=fd00::5@2222,{hosts(3)},kiwi4=203.0.113.4/10.0.0.4", "backups": "s3", "s3": S3},
        {
            "hosts": hosts(3),
            "database": "none",
            "image": "ghcr.io/acme/shop",
            "registry_login": {"username": "puller", "password": "p-1"},
        },
    ],
    ids=["one", "five-s3", "three-without-database"],
)
def test_what_was_written_passes_the_first_play(start: Any, changes: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", "")  # put back at the end
    run, place = start(**changes)
    assert run.code == 0, run.output
    said = first_play(place)
    assert "PLAY [Every host]" in said, said
    assert (place / "group_vars/all/vault.yml").read_text().startswith("$ANSIBLE_VAULT;")
    assert {
        stat.S_IMODE((place / name).stat().st_mode) for name in (".vault-password", "group_vars/all/vault.yml")
    } == {0o600}
    password = (place / ".vault-password").read_text().strip()
    assert password not in run.output and changes.get("become_password", password) not in run.output


def test_the_jobs_run_playbooks_that_are_in_the_project(start: Any) -> None:
    """As `slipway-job` and AWX's runner start them: in the project, with its own ansible.cfg."""
    run, place = start(hosts=hosts(2))
    assert run.code == 0, run.output
    groups = ("monitor", "alertmanager", "edge")
    listed = [job["playbook"] for job in standard({group: ["kiwi1"] for group in groups})]
    assert {"playbooks/health.yml", "playbooks/alert_test.yml", "playbooks/deploy.yml"} <= set(listed)
    books = {str(path.relative_to(place)) for path in (place / "playbooks").iterdir()}
    assert set(listed) <= books
    kept = {name: value for name, value in SETTINGS.items() if name != "ANSIBLE_CONFIG"}
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.yml", "--syntax-check", *sorted(books)],
        cwd=place,
        env=os.environ | kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


RULES = """
- ansible.builtin.set_fact:
    interfaces: [eth0]
    eth0: {ipv4: {address: "{{ our_address }}"}}
    cacheable: true
- ansible.builtin.copy:
    content: "{{ {'problems': __firewall_entries | slipway.ops.firewall_problems(groups, firewall_rules, firewall_from),
                  'rules': __firewall_rules.splitlines()} | to_json }}"
    dest: "{{ told }}/{{ inventory_hostname }}.json"
  delegate_to: localhost
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}", ansible_become: false}
"""


def opened(place: Path, monkeypatch: Any) -> dict[str, dict[str, list[str]]]:
    """By host and port of a role, from where one comes by the firewall's rules; an empty text is from anywhere.

    The role's own variables, and no host: a role of the same defaults tells them."""
    told, role = place.parent / "told", place.parent / "roles/tells"
    for made in (told, role / "tasks"):
        made.mkdir(parents=True)
    (role / "tasks/main.yml").write_text(RULES)
    for part in ("defaults", "vars"):
        (role / part).symlink_to(ROOT / "roles/firewall" / part)
    (told / "play.yml").write_text("- {hosts: all, gather_facts: false, roles: [tells]}\n")
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(role.parent))
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(place / ".vault-password"))
    run = play(told / "play.yml", place / "hosts.yml", told=str(told))
    assert run.code == 0, run.output
    found = {}
    for path in told.glob("*.json"):
        answer = json.loads(path.read_text())
        assert answer["problems"] == []
        rules = re.findall(r"proto-dst \d+ (.*)counter accept comment \"(.*)\"", "\n".join(answer["rules"]))
        found[path.stem] = {name: [way for way, of in rules if of == name] for _, name in rules}
    return found


PUBLIC = {"nginx.http", "nginx.https"}
WITHIN = 'iifname { "docker*", "br-*" } '


def test_one_host_on_a_public_address_opens_the_edge_and_ssh(start: Any, monkeypatch: Any) -> None:
    _, place = start(ssh_from="203.0.113.0/24")
    rules = opened(place, monkeypatch)["kiwi1"]
    assert {name for name, ways in rules.items() if "" in ways} == PUBLIC
    assert rules.pop("firewall.ssh") == ["ip saddr { 203.0.113.0/24 } "]
    private = {name: ways for name, ways in rules.items() if name not in PUBLIC}
    assert {
        "postgresql.postgresql",
        "pgbouncer.pool",
        "node_exporter.metrics",
        "app.kiwi-shop-blue-1",
    } <= private.keys()
    assert {tuple(ways) for ways in private.values()} == {(WITHIN,)}, "for its own containers alone"


def test_several_hosts_open_to_each_other_what_they_need(start: Any, monkeypatch: Any) -> None:
    _, place = start(hosts=f"{hosts(2)},kiwi3=203.0.113.4@2222/192.0.2.3")
    found = opened(place, monkeypatch)
    assert {name for ways in found.values() for name, way in ways.items() if "" in way} == {
        *PUBLIC,
        "firewall.ssh",
        "firewall.ssh-inside",
    }
    assert found["kiwi2"]["postgresql.postgresql"] == ["ip saddr { 192.0.2.1 } ", WITHIN]
    assert found["kiwi1"]["node_exporter.metrics"] == ["ip saddr { 192.0.2.3 } "]
    assert found["kiwi1"]["pgbouncer.pool"] == [WITHIN]
    assert "firewall.ssh-inside" in found["kiwi3"] and "firewall.ssh-inside" not in found["kiwi1"]


def test_bad_answers_and_misspelt_ones_write_nothing(start: Any) -> None:
    run, place = start(service="Kiwi", hots="x")
    assert run.code != 0 and "did you mean start_hosts?" in run.said
    run, place = start(service="Kiwi")
    assert run.code != 0 and "start_service is 'Kiwi'" in run.said and "Nothing was written." in run.said
    assert run.said.count("such as shop.") == 2 and "Traceback" not in run.output, "in the error and in the result"
    assert not place.exists()


def test_a_directory_that_something_is_in_is_refused(start: Any) -> None:
    _, place = start()
    before = (place / "hosts.yml").stat().st_mtime_ns
    run, _ = start()
    assert run.code != 0 and "exists and is not empty, and nothing is overwritten." in run.said
    assert (place / "hosts.yml").stat().st_mtime_ns == before
    assert [path.name for path in place.parent.iterdir() if path.name.startswith(".project-")] == []
