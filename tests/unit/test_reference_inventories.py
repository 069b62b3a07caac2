"""The four systems that Slipway was made for: their inventories are what the roles take, as hosts and as containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.loader import cache_loader
from playbook import ROOT, SETTINGS

SYSTEMS = ("modelops", "mentoring", "receipts", "insitechart")
FACTS = {
    "_ansible_facts_gathered": True,
    "ansible_distribution": "Debian",
    "ansible_distribution_release": "trixie",
    "ansible_distribution_major_version": "13",
    "ansible_processor_nproc": 2,
}
# Unreachable at once; the first play reads facts from the cache and talks to nobody.
NOBODY = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh", "ansible_ssh_common_args": ""}
KEY = "# public key: age1test\nAGE-SECRET-KEY-1" + "Q" * 58
GIVEN = {"dump_key": KEY, "redis_key": KEY, "slack_url": "https://hooks.example.test/team", "pagerduty_key": "a" * 32}
GIVEN |= {"waf_rules_sha256": "0" * 64, "sms_url": "https://sms.example.test/send", "sms_token": "of-this-test"}


def members(system: str, file: str) -> dict[str, list[str]]:
    """Hosts by group."""
    tree = yaml.safe_load((ROOT / "inventories" / system / file).read_text())["all"]["children"]
    hosts = {group: sorted((entry or {}).get("hosts") or {}) for group, entry in tree.items()}
    return hosts | {
        g: sorted(h for c in entry["children"] for h in hosts[c]) for g, entry in tree.items() if "children" in entry
    }


def confirmed(system: str, file: str) -> dict[str, str]:
    """What somebody says before production changes."""
    own = yaml.safe_load((ROOT / "inventories" / system / file).read_text())["all"]["vars"]
    return {"confirm": own["slipway_environment"]} if "slipway_environment" in own else {}


def first_play(system: str, file: str, place: Path, **variables: Any) -> str:
    """What site.yml says of a copy of the inventory."""
    shutil.copytree(ROOT / "inventories" / system, place / system, ignore=shutil.ignore_patterns("secrets"))
    (place / system / "secrets").mkdir()
    for name, text in GIVEN.items():
        (place / system / "secrets" / name).write_text(text)
    for number, host in enumerate(sorted({name for names in members(system, file).values() for name in names})):
        facts = FACTS | {"ansible_default_ipv4": {"address": f"192.0.2.{number + 1}", "interface": "eth0"}}
        cache_loader.get("ansible.builtin.jsonfile").set(host, facts)
    done = subprocess.run(
        [
            "ansible-playbook",
            "--inventory",
            str(place / system / file),
            str(ROOT / "playbooks/site.yml"),
            "--extra-vars",
            json.dumps(NOBODY | variables),
        ],
        cwd=place,
        env=os.environ | SETTINGS | {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def changes_hosts(said: str) -> bool:
    """Whether a play came after those that refuse: what is noted for integrity, or what every host has."""
    return "PLAY [Have integrity know" in said or "PLAY [Every host]" in said


@pytest.fixture(autouse=True)
def facts_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))


@pytest.mark.parametrize("file", ["hosts.yml", "containers.yml"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_refused(system: str, file: str, tmp_path: Path) -> None:
    said = first_play(system, file, tmp_path, **confirmed(system, file))
    assert changes_hosts(said) and "Nothing was changed" not in said, said


def test_what_is_wrong_in_one_is_refused(tmp_path: Path) -> None:
    said = first_play("receipts", "hosts.yml", tmp_path, pgbackrest_repositories=[], confirm="production")
    assert not changes_hosts(said) and "pgbackrest_repositories" in said


@pytest.mark.parametrize("system", SYSTEMS)
def test_containers_are_the_same_hosts_in_the_same_groups(system: str) -> None:
    assert members(system, "hosts.yml") == members(system, "containers.yml")


@pytest.mark.parametrize("file", ["hosts.yml", "containers.yml"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_the_hosts_file_says_counts(system: str, file: str) -> None:
    """Ansible takes a group file's value over one of the inventory file's group `all`."""
    place = ROOT / "inventories" / system
    said = yaml.safe_load((place / file).read_text())["all"]["vars"]
    groups = {path: yaml.safe_load(path.read_text()) for path in (place / "group_vars").rglob("*.yml")}
    unheard = {str(path.relative_to(place)): sorted(set(said) & set(own)) for path, own in groups.items()}
    assert not any(unheard.values()), unheard


@pytest.mark.parametrize("system", SYSTEMS)
def test_nobody_changes_production_unasked(system: str, tmp_path: Path) -> None:
    asked = first_play(system, "hosts.yml", tmp_path)
    assert (not changes_hosts(asked) and "This changes production" in asked) is (system != "modelops"), asked
