# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a program that a host runs: its modules, and all that they import, found by reading them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "ansible_collections.slipway.ops.plugins.module_utils"


def files(root: Path, modules: Iterable[str], target: str) -> list[dict[str, str]]:
    """Entries for ``config_tree``: the closure of modules (dotted, beneath ``module_utils``, whose directory is
    ``root``), where Python looks for it when ``target`` is on its path."""
    words = PACKAGE.split(".")
    place = Path(target, *words)
    # Packages, not namespaces: nothing of the same name elsewhere on the host comes first.
    packages = [Path(target, *words[:length]) for length in range(1, len(words) + 1)]
    above = [{"path": str(package / "__init__.py"), "content": ""} for package in packages]
    return above + [{"path": str(place / path), "src": str(root / path)} for path in closure(root, modules)]


def closure(root: Path, modules: Iterable[str]) -> list[Path]:
    """The modules' files and those of all that they import, relative to ``root``."""
    found: set[Path] = set()
    waiting = [name for module in modules for name in _with_packages(module)]
    while waiting:
        path = _file(root, waiting.pop())
        if path and path not in found:
            found.add(path)
            waiting += [name for imported in imports(root / path) for name in _with_packages(imported)]
    return sorted(found)


def imports(file: Path) -> Iterator[str]:
    """What a file imports of ``module_utils``; what is imported from a package may be a module or a name in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE}."):
            module = (node.module or "")[len(PACKAGE) + 1 :]
            yield from (".".join(filter(None, [module, alias.name])) for alias in node.names)


def _with_packages(module: str) -> list[str]:
    words = module.split(".")
    return [".".join(words[:length]) for length in range(1, len(words) + 1)]


def _file(root: Path, module: str) -> Path | None:
    plain = Path(*module.split("."))
    return next((one for one in (plain.with_suffix(".py"), plain / "__init__.py") if (root / one).is_file()), None)
