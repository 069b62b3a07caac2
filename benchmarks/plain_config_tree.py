# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``config_tree`` replaces, for benchmarks/site.py: each file by its own ``template`` or ``copy``, in its place.

In the place of plugins/action/config_tree.py it lets the same roles install the same files one by one. It does less:
no check of the set as a whole, no removal of strays, no swap at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.request import read_request, source_of

OWNERSHIP = ("owner", "group", "mode")


class ActionModule(ActionBase):
    """One action after the other, as tasks of their own would run them."""

    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        files, directories = read_request(self._task.args)
        root = Path(self._task.args.get("root", "/"))
        places = [self._file(item, root, "directory", task_vars) for item in directories]
        changed = any([*places, *(self._install(item, root, task_vars) for item in files)])
        return {"changed": changed, "changed_paths": [], "validated": False}

    def _install(self, item: Mapping[str, Any], root: Path, task_vars: dict[str, Any] | None) -> bool:
        source = source_of(item)
        if source == "link":
            return self._file(item, root, "link", task_vars, src=item["link"])
        name = "template" if source == "template" else "copy"
        content = {"content": item["content"]} if source == "content" else {"src": item[source]}
        variables = {**(task_vars or {}), **item.get("vars", {})}
        return self._action(name, {**content, "dest": str(root / item["path"]), **ownership(item)}, variables)

    def _file(
        self, item: Mapping[str, Any], root: Path, state: str, task_vars: dict[str, Any] | None, **more: str
    ) -> bool:
        arguments = {"path": str(root / item["path"]), "state": state, **more}
        if state == "directory":
            arguments |= ownership(item)
        result = self._execute_module(module_name="ansible.builtin.file", module_args=arguments, task_vars=task_vars)
        return self._judged(arguments, result)

    def _action(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        task = self._task.copy()
        task.args = arguments
        action = self._shared_loader_obj.action_loader.get(
            f"ansible.builtin.{name}",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return self._judged(arguments, action.run(task_vars=task_vars))

    @staticmethod
    def _judged(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
        if result.get("failed"):
            raise AnsibleActionFail(f"{arguments.get('dest', arguments.get('path'))}: {result.get('msg')}")
        return bool(result.get("changed"))


def ownership(item: Mapping[str, Any]) -> dict[str, Any]:
    """Owner, group and mode as the item has them, or as ``config_tree`` would choose them."""
    return {name: item[name] for name in OWNERSHIP if item.get(name)}
