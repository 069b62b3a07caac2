#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pinned_release
short_description: Unpack a release's archive that is known by its checksum
version_added: 0.2.0
description:
  - Downloads an archive, holds it against its checksum, and unpacks it into a directory of its own.
  - The directory is there whole or not at all, also after the host died while it was unpacked. What was in it is
    replaced when the checksum is another one.
options:
  url:
    description: Where the archive is, over C(https), C(http) or as C(file), in a format that the host's C(tar) knows.
    type: str
    required: true
  checksum:
    description: The archive's SHA-256 or SHA-512, as C(sha256:) and 64 hexadecimal digits, or C(sha512:) and 128.
    type: str
    required: true
  path:
    description: The directory that the archive gets; nothing else may be in it.
    type: path
    required: true
  strip:
    description: How many leading parts of the names in the archive are left out.
    type: int
    default: 1
  timeout:
    description: Seconds that the server may be silent.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Says whether the archive would be fetched, and fetches nothing.
  diff_mode:
    support: full
    description: The checksum before and after.
  idempotent:
    support: full
    description: Nothing is fetched while the directory holds the archive of this checksum.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Install the node exporter that we know
  slipway.ops.pinned_release:
    url: https://mirror.example.com/node_exporter-1.11.0.linux-amd64.tar.gz
    checksum: sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
    path: /opt/node_exporter/0f1e2d3c4b5a6978
"""

RETURN = r"""
path:
  description: The directory.
  returned: success
  type: str
"""

import os
import re
import tempfile
from http.client import HTTPException
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url
from ansible_collections.slipway.ops.plugins.module_utils.host.archive import (
    ArchiveError,
    copied,
    unpack,
    unpacked,
)

CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def fetch(module: AnsibleModule, copy: Path) -> None:
    """The archive of the wanted checksum in a file; fails the module otherwise."""
    url, wanted = module.params["url"], module.params["checksum"]
    answer, info = fetch_url(module, url, timeout=module.params["timeout"])
    if answer is None or info["status"] not in (200, None):  # a file has no status
        module.fail_json(msg=f"{url} cannot be fetched: {info['msg']}. Nothing was changed.")
    try:
        with copy.open("wb") as file:
            found = copied(answer, file, wanted.partition(":")[0])
    except (OSError, HTTPException) as error:
        module.fail_json(msg=f"{url} broke off: {error}. Nothing was changed.")
    if found != wanted:
        module.fail_json(
            msg=f"{url} is {found}, and {wanted} was expected: another release, a damaged download, or not what "
            "it says. Compare with the checksum that its makers publish. Nothing was changed."
        )


def main() -> None:
    module = AnsibleModule(
        {
            "url": {"type": "str", "required": True},
            "checksum": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "strip": {"type": "int", "default": 1},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    path, checksum = Path(module.params["path"]), module.params["checksum"]
    if not CHECKSUM.fullmatch(checksum):
        module.fail_json(
            msg=f"checksum is {checksum!r}; wanted: sha256: and 64 hexadecimal digits, or sha512: and 128."
        )
    os.umask(0o022)  # for directories that the archive only implies
    before = unpacked(path)
    changed = before != checksum
    if changed and not module.check_mode:
        copy = Path(tempfile.mkdtemp(dir=module.tmpdir)) / "archive"
        fetch(module, copy)
        try:
            unpack(copy, path, checksum, module.params["strip"])
        except (ArchiveError, OSError) as error:
            module.fail_json(msg=f"{module.params['url']}: {error} {path} is as it was.")
    diff = {
        "before": f"{before}\n" if before else "",
        "after": f"{checksum}\n",
        "before_header": str(path),
        "after_header": str(path),
    }
    module.exit_json(changed=changed, path=str(path), diff=diff)


if __name__ == "__main__":
    main()
