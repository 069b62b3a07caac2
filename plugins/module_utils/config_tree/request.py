# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task says, before anything is rendered: unknown keys, missing or doubled sources are refused by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import ConfigTreeError

SOURCES = ("template", "content", "src", "link")
ACCESS = ("path", "owner", "group", "mode")
FILE_KEYS = (*ACCESS, *SOURCES, "vars", "secret")
DIRECTORY_KEYS = (*ACCESS, "owned")
TASK_KEYS = ("root", "files", "directories", "validate", "validate_timeout", "require_namespace", "lock_timeout")


def read_request(args: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The files and directories of a task's arguments, without the keys that are given as null."""
    _refuse_unknown("config_tree", args, TASK_KEYS)
    files = [_item(item, "files", FILE_KEYS) for item in _list(args, "files")]
    directories = [_item(item, "directories", DIRECTORY_KEYS) for item in _list(args, "directories")]
    for item in files:
        _refuse_sources(item)
    paths = [item["path"] for item in (*files, *directories)]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigTreeError(f"{path}: is listed twice")
    return files, directories


def source_of(item: Mapping[str, Any]) -> str:
    """Which of template, content, src and link an item has."""
    return next(source for source in SOURCES if source in item)


def _list(args: Mapping[str, Any], name: str) -> list[Any]:
    value = args.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ConfigTreeError(f"{name} is not a list but {value!r:.60}")
    return value


def _item(item: Any, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(item, Mapping) or not isinstance(item.get("path"), str) or not item["path"]:
        raise ConfigTreeError(f"each of {name} is a mapping with a `path`, unlike {_without_content(item)!r:.80}")
    _refuse_unknown(item["path"], item, keys)
    if not isinstance(item.get("mode") or "", str):
        raise ConfigTreeError(
            f"{item['path']}: mode {item['mode']!r} is a number; write octal digits in quotes, '0644'"
        )
    return {key: value for key, value in item.items() if value is not None}


def _refuse_sources(item: Mapping[str, Any]) -> None:
    given = [source for source in SOURCES if source in item]
    if len(given) != 1:
        raise ConfigTreeError(
            f"{item['path']}: give exactly one of {', '.join(SOURCES)}, not {' and '.join(given) or 'none of them'}"
        )
    source = given[0]
    if source == "content" and isinstance(item[source], (Mapping, list)):
        raise ConfigTreeError(f"{item['path']}: content is not text; use a filter like to_nice_json on it")
    if source != "template" and "vars" in item:
        raise ConfigTreeError(f"{item['path']}: vars are for a template, this file has {source}")
    if not isinstance(item.get("vars", {}), Mapping):
        raise ConfigTreeError(f"{item['path']}: vars is not a mapping")


def _refuse_unknown(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise ConfigTreeError(f"{where}: unknown key {key!r}{hint}")


def _without_content(item: Any) -> Any:
    return sorted(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
