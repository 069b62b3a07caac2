# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What services need on a host besides their releases: directories, volumes, secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service


def tree_of(services: Iterable[Service], root: str) -> dict[str, list[dict[str, Any]]]:
    """``files`` and ``directories`` for ``config_tree``."""
    files: list[dict[str, Any]] = []
    directories: list[dict[str, Any]] = [{"path": root}]
    for service in services:
        top = f"{root}/{service.name}"
        uid, _, gid = service.user.partition(":")
        owner = {"owner": uid, "group": gid or uid}
        directories += [{"path": top}, {"path": f"{top}/releases"}, {"path": f"{top}/volumes"}]
        directories += [{"path": f"{top}/volumes/{volume.name}", "mode": "0750", **owner} for volume in service.volumes]
        directories.append({"path": f"{top}/secrets", "mode": "0500", "owned": True, **owner})
        files += [
            {"path": f"{top}/secrets/{name}", "content": content, "mode": "0400", "secret": True, **owner}
            for name, content in sorted(service.secrets.items())
        ]
    return {"files": files, "directories": directories}
