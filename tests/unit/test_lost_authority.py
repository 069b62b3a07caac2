"""A host that had the internal authority by default is not recovered with another that nobody trusts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# As recover.yml: a role that is imported gives its defaults to the whole play.
PLAY = [
    {
        "hosts": "db1",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/refuse_lost_authority.yml")},
            {"ansible.builtin.import_role": {"name": "slipway.ops.certificate"}, "when": False},
        ],
    }
]


@pytest.mark.parametrize(
    ("hosts", "groups", "options", "goes_on"),
    [
        (["db1", "db2"], {}, [], False),
        (["db2", "db1"], {}, [], True),
        (["db1", "mon1"], {"monitor": {"hosts": {"mon1": {}}}}, [], True),
        (["db1", "db2"], {}, ["-e", "certificate_ca_host=db1"], True),
        (["db1"], {}, [], True),
    ],
    ids=["it was the authority", "another is", "the monitor is", "it is said to be", "there is no other"],
)
def test_it_is_refused_where_nobody_said_who_the_authority_is(
    tmp_path: Path, hosts: list[str], groups: dict[str, Any], options: list[str], goes_on: bool
) -> None:
    connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"vars": connection, "hosts": dict.fromkeys(hosts), "children": groups}}
    for name, content in (("inventory.yml", inventory), ("play.yml", PLAY)):
        (tmp_path / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    run = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "inventory.yml", "play.yml", *options],
        cwd=tmp_path,
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode == 0) is goes_on, run.stdout + run.stderr
    assert goes_on or "Say which host has the internal certificate authority" in run.stdout
