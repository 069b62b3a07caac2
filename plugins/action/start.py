# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.start``: from answers to a directory; it talks to no host."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.host.files import create, make_directory
from ansible_collections.slipway.ops.plugins.plugin_utils.start.answers import AnswersError, read_answers
from ansible_collections.slipway.ops.plugins.plugin_utils.start.project import (
    PASSWORD_FILE,
    VAULT,
    files_of,
    password,
    plan,
    secrets_of,
    vault_text,
)

# Where Ansible looks without being told: ~/.ansible/collections is of any user's home.
FOUND_ANYWAY = {Path(path).expanduser() for path in ("~/.ansible/collections", "/usr/share/ansible/collections")}


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {"directory": {"type": "path"}, "answers": {"type": "dict", "required": True, "no_log": False}}
        )
        try:
            answers = read_answers(arguments["answers"])
            place = _place(arguments["directory"])
            files = files_of(plan(answers, _collections()))
            files[PASSWORD_FILE] = f"{password(48)}\n"
            vault = VaultLib([("default", VaultSecret(files[PASSWORD_FILE].strip().encode()))])
            files[VAULT] = vault.encrypt(vault_text(secrets_of(answers))).decode()
            if not self._task.check_mode:
                _write(place, files)
        except AnswersError as error:
            raise AnsibleActionFail(
                "\n".join([*error.problems, "Nothing was written."])
            ) from None  # or Ansible says it twice
        except OSError as error:
            raise AnsibleActionFail(f"{arguments['directory']}: {error}. Nothing was written.") from None
        return {"changed": True, "directory": str(place), "files": sorted(files), "next": files["NEXT.md"].splitlines()}


def _place(directory: str | None) -> Path:
    """Where the project goes; a place that something is in is refused."""
    if not (directory or "").strip():
        raise AnswersError(["start_directory is missing; it is the new directory of the project, such as shop."])
    place = Path(os.environ.get("PWD", ".")) / Path(str(directory)).expanduser()
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise AnswersError([f"start_directory {place} exists and is not empty, and nothing is overwritten."])
    return place


def _collections() -> str:
    """Where this collection is, unless Ansible looks there anyway."""
    ours = Path(__file__)
    for path in map(Path, constants.config.get_config_value("COLLECTIONS_PATHS")):
        within = path / "ansible_collections/slipway/ops"
        if within.exists() and within.resolve() == ours.resolve().parents[2]:
            return "" if path.expanduser() in FOUND_ANYWAY else str(path.absolute())
    return ""


def _write(place: Path, files: dict[str, str]) -> None:
    """All of it or nothing: it is written beside, and gets its name when it is complete."""
    make_directory(place.parent)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as beside:
        made = Path(beside) / "project"
        for path, text in files.items():
            make_directory((made / path).parent)
            mode = 0o600 if path in (PASSWORD_FILE, VAULT) else 0o644
            with os.fdopen(create(made / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
                opened.write(text)
        made.rename(place)  # onto an empty directory too
