"""The controller's side of `config_tree`: what it renders is what ansible.builtin.template renders."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = f"""
[defaults]
stdout_callback = ansible.posix.json
vault_password_file = password
interpreter_python = {sys.executable}
[connection]
pipelining = true
"""
TEMPLATES = {
    "plain.j2": "# {{ ansible_managed }}\n{% for n in [1, 2] %}\n  {{ n }} {{ given }} {{ from_role }}\n{% endfor %}x",
    "header.j2": "#jinja2: lstrip_blocks: True\n   {% if true %}\n{{ given | to_json }}\n   {% endif %}\n",
    "include.j2": "{% include 'part.j2' %}\n{% from 'macro.j2' import twice %}{{ twice('글') }}\n",
    "part.j2": "part of {{ inventory_hostname }} in {{ template_path }}\n",
    "macro.j2": "{% macro twice(text) %}{{ text }}{{ text }}{% endmacro %}\n",
    "native.j2": "{{ [1, 'a', none] }}",
    "backslash.j2": "{{ 'a\\nb' }} \\d {{ '\\\\d' }}\n",
    "untouched.j2": "{{ unsafe_text }}\n",
    "empty.j2": "",
    "broken.j2": "{% if %}\n",
    "secret.j2": "password = {{ vaulted | upper }}\n",
}
RENDERED = [name for name in TEMPLATES if name not in ("part.j2", "macro.j2", "broken.j2")]
VARS = {"given": 'a value with \\ and "quotes"'}
SECRET = "not-for-your-eyes"

MISTAKES = {
    "absent template": ({"template": "absent.j2"}, "a.conf: template absent.j2: Could not find"),
    "absent source": ({"src": "absent"}, "a.conf: src absent: Could not find"),
    "unknown key": ({"template": "part.j2", "contnt": ""}, "a.conf: unknown key 'contnt'; did you mean content?"),
    "undefined variable": ({"template": "plain.j2"}, "a.conf: template plain.j2: .*'given' is undefined"),
    "bad syntax": ({"template": "broken.j2"}, "a.conf: template broken.j2: .*Expected an expression"),
}


def tree(name: str, files: list[dict], **more) -> dict:
    return {"name": name, "slipway.ops.config_tree": {"root": "/nowhere/live", "files": files}, **more}


def tasks() -> list[dict]:
    files = [{"path": name, "template": name, "vars": VARS} for name in RENDERED]
    files += [
        {"path": "raw", "src": "raw"},
        {"path": "content", "content": "{{ vaulted | upper }} {{ [1, 2] | to_json }}"},
        {"path": "number", "content": "{{ 5 }}"},
        {"path": "default", "content": "x", "owner": "{{ absent | default(omit) }}"},
    ]
    return [
        tree("rendered", files),
        tree("secret", [{"path": "key", "content": "{{ vaulted }}", "mode": "0600", "secret": True}]),
        *(
            {"name": name, "ansible.builtin.template": {"src": name, "dest": f"/nowhere-{name}"}, "vars": VARS}
            for name in RENDERED
        ),
        *(
            tree(name, [{"path": "a.conf", **file}], ignore_errors=True)  # so that one run tries them all
            for name, (file, _) in MISTAKES.items()
        ),
    ]


def encrypted(directory: Path, text: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-vault"), "encrypt_string", text, "--name", "vaulted"],
        cwd=directory,
        env={**os.environ, "ANSIBLE_CONFIG": str(directory / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def write_project(directory: Path) -> None:
    """A playbook with one role that has everything above."""
    role = directory / "roles/sample"
    project = {
        "ansible.cfg": SETTINGS,
        "password": "for the test\n",
        "play.yml": yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": ["sample"]}]),
    }
    of_role = {
        "tasks/main.yml": yaml.safe_dump(tasks()),
        "defaults/main.yml": yaml.safe_dump({"from_role": "default"}),
        "vars/main.yml": yaml.safe_dump({"unsafe_text": "{{ '{{ not_a_template }}' }}"}),
        "files/raw": "글 {{ not_a_template }}\n",
        **{f"templates/{name}": content for name, content in TEMPLATES.items()},
    }
    for path, content in [(directory / k, v) for k, v in project.items()] + [(role / k, v) for k, v in of_role.items()]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with (role / "defaults/main.yml").open("a") as stream:
        stream.write(encrypted(directory, SECRET))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """All tasks in one run in check mode: results by task name, and the whole output."""
    directory = tmp_path_factory.mktemp("project")
    write_project(directory)
    playbook = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [playbook, "--connection", "local", "--check", "--diff", "-vvv", "play.yml"],
        cwd=directory,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    shown = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][0]["tasks"]
    return {each["task"]["name"].removeprefix("sample : "): each["hosts"]["localhost"] for each in shown}, output


@pytest.fixture
def rendered(played):
    """Content by file name."""
    diff = played[0]["rendered"]["diff"]
    return {Path(entry["after_header"]).name: entry["after"] for entry in diff if "after" in entry}


@pytest.mark.parametrize("name", RENDERED)
def test_renders_like_the_template_module(played, rendered, name):
    expected = "" if name == "empty.j2" else played[0][name]["diff"][0]["after"]  # template shows no diff of nothing
    assert rendered[name] == expected


def test_files_and_contents_are_as_given(rendered):
    assert rendered["raw"] == "글 {{ not_a_template }}\n"
    assert rendered["content"] == f"{SECRET.upper()} [1, 2]"
    assert rendered["number"] == "5"
    assert rendered["default"] == "x"


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_the_file(played, name):
    result = played[0][name]
    assert result["failed"]
    assert re.search(MISTAKES[name][1], result["msg"])


def test_a_secret_is_not_in_the_output(played):
    results, output = played
    assert {"prepared": "/nowhere/live/key: (secret) changed\n"} in results["secret"]["diff"]
    assert SECRET not in output
