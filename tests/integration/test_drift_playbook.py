"""drift.yml as an operator or a schedule runs it: what was changed behind the inventory's back is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from playbook import Run, play

TASKS = [
    {
        "name": "Greet",
        "ansible.builtin.copy": {"content": "hello {{ whom }}\n", "dest": "{{ place }}/greeting", "mode": "0644"},
    },
    {
        "name": "Keep the secret",
        "ansible.builtin.copy": {"content": "{{ secret }}\n", "dest": "{{ place }}/secret", "mode": "0600"},
        "no_log": True,
    },
    {"name": "Ask", "ansible.builtin.command": "true", "changed_when": False},
]


class Site:
    """A site of one role for hosts that are all this machine, with a secret in a vault."""

    def __init__(self, place: Path) -> None:
        self.place, self.store = place, Store(place / "store")
        (place / "roles/greeter/tasks").mkdir(parents=True)
        (place / "roles/greeter/tasks/main.yml").write_text(yaml.safe_dump(TASKS))
        self.book = place / "site.yml"
        self.book.write_text(
            yaml.safe_dump([{"name": "All", "hosts": "all", "gather_facts": False, "roles": ["greeter"]}])
        )
        (place / "password").write_text("open sesame")
        secret = subprocess.run(
            ["ansible-vault", "encrypt_string", "--vault-password-file", place / "password", "the-secret"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        self.inventory = place / "hosts.yml"
        hosts = {name: {"place": str(place / name)} for name in ("one", "two")}
        for name in hosts:
            (place / name).mkdir()
        (place / "group_vars").mkdir()
        (place / "group_vars/all.yml").write_text(f"secret: {secret}")
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": local | {"whom": "world"}}}))
        self.variables: dict[str, Any] = {"drift_playbook": str(self.book), "evidence_store": str(self.store.root)}
        self.store.root.mkdir()

    def run(self, playbook: str | Path, *options: str, **variables: Any) -> Run:
        return play(
            playbook, self.inventory, "--vault-password-file", str(self.place / "password"), *options, **variables
        )

    def drift(self, *options: str, **variables: Any) -> Run:
        return self.run("drift", *options, **self.variables | variables)

    def verdicts(self) -> dict[tuple[str, str], str]:
        lines = [line for path in sorted(self.store.root.rglob("*.jsonl")) for line in path.read_text().splitlines()]
        return {(one["subject"], one["id"]): one["verdict"] for one in map(json.loads, lines)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    assert site.run(site.book).code == 0
    return site


def test_hosts_that_are_as_the_inventory_says_pass_and_are_recorded(site: Site) -> None:
    run = site.drift()
    assert run.code == 0, run.output[-3000:]
    assert "no difference on 2 of 2 hosts" in run.said and run.changed == 0
    ids = ("operations.drift.compared", "operations.drift.greeter")
    assert site.verdicts() == {(host, id): "pass" for host in ("one", "two") for id in ids}


def test_a_file_changed_behind_its_back_is_named_with_its_lines_and_left_as_it_is(site: Site) -> None:
    (site.place / "two/greeting").write_text("hello world\nand goodbye\n")
    (site.place / "one/secret").write_text("stolen\n")
    run = site.drift("-v")
    assert run.code != 0
    assert f"two: greeter: Greet: {site.place}/two/greeting (+0 -1)" in run.said
    assert "-and goodbye" in run.stdout
    assert "one: greeter: Keep the secret" in run.said
    assert "2 differences on 2 of 2 hosts" in run.said
    assert (site.place / "two/greeting").read_text() == "hello world\nand goodbye\n"
    assert site.verdicts()["two", "operations.drift.greeter"] == "fail"
    kept = "".join(path.read_text() for path in site.store.root.rglob("*") if path.is_file())
    assert "-and goodbye" in kept
    for text in (run.output, kept):
        assert "the-secret" not in text and "stolen" not in text and "open sesame" not in text
    assert site.run(site.book).code == 0
    assert site.drift().code == 0
    assert site.verdicts()["two", "operations.drift.greeter"] == "pass"


def test_what_the_operator_says_of_hosts_and_variables_holds_for_the_comparison(site: Site) -> None:
    run = site.drift("--limit", "one", "--check", whom="everybody")
    assert run.code != 0
    assert "one: greeter: Greet" in run.said and "1 difference on 1 of 1 hosts" in run.said
    assert site.verdicts()["one", "operations.drift.greeter"] == "fail"
    assert not any(host == "two" for host, _ in site.verdicts())


def test_a_host_that_cannot_be_compared_is_unknown_and_the_others_are_compared(site: Site) -> None:
    (site.place / "one/greeting").unlink()
    (site.place / "one/greeting").mkdir()
    run = site.drift()
    assert run.code != 0
    assert "not compared: one" in run.said and "one: greeter: Greet: " in run.said
    found = site.verdicts()
    assert found["one", "operations.drift.compared"] == "unknown"
    assert found["two", "operations.drift.greeter"] == "pass"


def test_a_playbook_that_is_none_is_no_pass(site: Site) -> None:
    site.book.write_text("- hosts: all\n  nosuch: true\n")
    run = site.drift()
    assert run.code != 0
    assert "not compared: one, two" in run.said and "nosuch" in run.said
    assert set(site.verdicts().values()) == {"unknown"}
    missing = site.drift(drift_playbook=str(site.place / "missing.yml"))
    assert missing.code != 0 and "There is no playbook" in missing.said and "Traceback" not in missing.output


def test_a_comparison_that_takes_too_long_is_ended_and_said_so(site: Site) -> None:
    slow = [{"name": "Wait", "ansible.builtin.command": "sleep 600", "changed_when": False, "check_mode": False}]
    (site.place / "roles/greeter/tasks/main.yml").write_text(yaml.safe_dump(slow))
    run = site.drift(drift_timeout=8)
    assert run.code != 0
    assert "ended after 8 s, drift_timeout" in run.said
