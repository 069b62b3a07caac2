# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From answers to the files of a project: which host is what, which secrets it needs, and the texts."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.slipway.ops.plugins.plugin_utils import jobs
from ansible_collections.slipway.ops.plugins.plugin_utils.start.answers import Answers

TEMPLATES = Path(__file__).with_name("files")
ALSO = ("playbooks/documents.yml", "playbooks/load.yml", "playbooks/scale.yml")
"""What a list of jobs may well name, beside the standard one."""
LETTERS = string.ascii_letters + string.digits
VAULT = "group_vars/all/vault.yml"
PASSWORD_FILE = ".vault-password"  # noqa: S105 (a name)


def groups_of(answers: Answers) -> dict[str, list[str]]:
    """Which hosts are for what. One host is everything; with more, what is kept apart first is the database, then who
    watches and keeps backups, then the application."""
    names = [host.name for host in answers.hosts]
    last = names[-1]
    database = names[0] if len(names) == 1 else names[-2] if len(names) > 2 else last
    apps = names[1:-2] if len(names) > 3 else names[:1]
    keeper = last if len(names) != 2 else names[0]  # of backups: never on the database's host while there is another
    groups = {"edge": names[:1], "app": apps}
    if answers.database == "postgresql":
        groups |= {"postgresql": [database], "pgbouncer": apps}
        if answers.backups == "own" and len(names) > 1:
            groups["backup"] = [keeper]
    groups["monitor"] = [last]
    if not answers.image:
        groups["registry"] = [last]
    return groups


def secrets_of(answers: Answers) -> dict[str, str]:
    """What the vault holds: what was given, and what is made here."""
    made = ["metrics_password"]
    if answers.database == "postgresql":
        made += ["database_password", "backup_key"]
    if not answers.image:
        made += ["registry_push_password", "registry_pull_password"]
    found = {f"vault_{name}": password(48 if name.endswith("key") else 32) for name in made}
    given = {
        "become_password": answers.become_password,
        "s3_key": answers.s3.get("key", ""),
        "s3_secret": answers.s3.get("secret", ""),
        "registry_password": answers.registry_login.get("password", ""),
    }
    return found | {f"vault_{name}": value for name, value in given.items() if value}


def password(length: int = 32) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def plan(answers: Answers, collections: str = "") -> dict[str, Any]:
    """What the templates know. ``collections`` is where this collection is, when Ansible looks for none there."""
    return {
        "answers": answers,
        "groups": groups_of(answers),
        "alone": len(answers.hosts) == 1,
        "collections": collections,
    }


def files_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """The project's texts by their paths; a template that has nothing to say makes no file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (YAML; the answers are checked)
    )
    found = {}
    for name in environment.list_templates():
        path = name.removesuffix(".j2").replace("dot.", ".")
        text = environment.get_template(name).render(facts)
        if text.strip():
            found[path] = text
    return found | playbooks()


def playbooks() -> dict[str, str]:
    """A job runs a file of the project, with AWX as by the clock: each is one line, and the collection's playbook."""
    named = {str(job["playbook"]) for job in jobs.entries()}
    return {path: f"---\n- import_playbook: slipway.ops.{Path(path).stem}\n" for path in sorted(named | set(ALSO))}


def vault_text(values: Mapping[str, str]) -> str:
    """The vault's text before it is encrypted. A password is no template, whatever letters it has."""
    lines = [f"{name}: !unsafe {json.dumps(value, ensure_ascii=False)}\n" for name, value in sorted(values.items())]
    return "".join(["---\n", "# ansible-vault edit group_vars/all/vault.yml\n", *lines])
