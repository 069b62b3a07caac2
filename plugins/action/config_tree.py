# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``config_tree``: renders and reads everything, then makes one module call on the host."""

from __future__ import annotations

import datetime
import os
import pwd
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import ConfigTreeError, pack_contents
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.request import read_request, source_of

CONTROLLER_KEYS = ("template", "content", "src", "vars")


class ActionModule(ActionBase):
    """Contents go to the module in one opaque argument, so that no log or output can hold a piece of them."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        try:
            files, directories = read_request(self._task.args)
        except ConfigTreeError as error:
            raise AnsibleActionFail(str(error)) from error
        contents = [self._content(item, task_vars or {}) for item in files]
        arguments = {
            **self._task.args,
            "files": [_without(item, CONTROLLER_KEYS) for item in files],
            "directories": directories,
            "contents": pack_contents(contents),
        }
        result: dict[str, Any] = self._execute_module(
            module_name="slipway.ops.config_tree", module_args=arguments, task_vars=task_vars
        )
        return result

    def _content(self, item: Mapping[str, Any], task_vars: dict[str, Any]) -> bytes:
        source = source_of(item)
        try:
            if source == "template":
                return self._render(item, task_vars)
            if source == "src":
                return self._read(item["src"])
            return str(item["content"]).encode() if source == "content" else b""
        except (AnsibleError, OSError, UnicodeError) as error:
            raise AnsibleActionFail(f"{item['path']}: {source} {item[source]!s}: {error}") from error

    def _read(self, name: str) -> bytes:
        return Path(self._loader.get_real_file(self._find_needle("files", name))).read_bytes()

    def _render(self, item: Mapping[str, Any], task_vars: dict[str, Any]) -> bytes:
        """As ansible.builtin.template does it with its defaults."""
        name = item["template"]
        path = Path(self._find_needle("templates", name))
        places = [*map(Path, task_vars.get("ansible_search_path", [])), Path(self._loader.get_basedir()), path.parent]
        templar = self._templar.copy_with_new_env(
            searchpath=[str(each) for place in places for each in (place / "templates", place)],
            available_variables={**_template_variables(item, path), **task_vars, **item.get("vars", {})},
        )
        source = trust_as_template(self._loader.get_text_file_contents(str(path)))
        text = templar.template(
            source, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": False}
        )
        return ("" if text is None else str(text)).encode()


def _without(item: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in keys}


def _template_variables(item: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The variables that ansible.builtin.template adds; its own function for that is not for collections."""
    status = path.stat()
    changed = datetime.datetime.fromtimestamp(status.st_mtime)
    try:
        owner: str | int = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = status.st_uid
    managed = constants.config.get_config_value("DEFAULT_MANAGED_STR")
    managed = managed.format(host="{{ template_host }}", uid="{{ template_uid }}", file="{{ template_path }}")
    return {
        "ansible_managed": trust_as_template(time.strftime(managed, time.localtime(status.st_mtime))),
        "template_destpath": item["path"],
        "template_fullpath": str(path),
        "template_host": os.uname()[1],
        "template_mtime": changed,
        "template_path": item["template"],
        "template_run_date": datetime.datetime.now(),
        "template_uid": owner,
    }
