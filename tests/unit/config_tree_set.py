"""Sets, checkers and looks at directories, for the tests of ``config_tree``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.checker import Checker
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import Wanted, read_wanted
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.transaction import Options, Transaction

ME = {"owner": str(os.geteuid()), "group": str(os.getegid())}


def file(path: str | Path, content: str = "", mode: str = "0644", **more: Any) -> dict[str, Any]:
    return {"path": str(path), "content": content.encode(), "mode": mode, **ME, **more}


def directory(path: str | Path, mode: str = "0755", **more: Any) -> dict[str, Any]:
    return {"path": str(path), "mode": mode, **ME, **more}


def wanted(root: Path | None, *files: dict[str, Any], directories: tuple[dict[str, Any], ...] = ()) -> Wanted:
    return read_wanted(str(root) if root else None, files, directories)


def shell_checker(script: str, timeout: float = 20, hidden: tuple[Any, ...] = ()) -> Checker:
    return Checker(["sh", "-c", script], timeout, hidden)


def transaction(base: Path, what: Wanted, script: str | None = None, **more: Any) -> Transaction:
    options = Options(
        state=str(base / "state"),
        require_namespace=more.pop("require_namespace", False),
        lock_timeout=more.pop("lock_timeout", 5),
    )
    return Transaction(what, shell_checker(script) if script else None, options, **more)


def snapshot(base: Path) -> dict[str, str]:
    """Every path below with its type, owner, mode and content, the state directory left out."""
    found = {}
    for path in sorted(base.rglob("*")):
        name = str(path.relative_to(base))
        if name.startswith("state"):
            continue
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[name] = f"{status.st_mode:o} {status.st_uid} {status.st_gid} {content}"
    return found
