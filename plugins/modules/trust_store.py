#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_store
short_description: Make a host trust certificate authorities
version_added: 0.1.0
description:
  - Keeps C(slipway-NAME.crt) for each authority in the system directory of local authorities, removes those of earlier
    runs that are no longer listed, and runs C(update-ca-certificates) whenever the system's bundle does not say the
    same, so also after an earlier run was killed in between.
options:
  authorities:
    description: PEM certificates by name; one certificate each. Line ends and what stands around it do not count.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Names of the files that are written and removed.
  idempotent:
    support: full
    description: Nothing changes while the bundle holds exactly the listed authorities.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Trust the internal authority
  slipway.ops.trust_store:
    authorities:
      internal-ca: "{{ internal_ca }}"
"""

RETURN = r"""
paths:
  description: Files that were written or removed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.certificates.pem import PemError, authority
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory

LOCAL = Path("/usr/local/share/ca-certificates")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PREFIX = "slipway-"


def main() -> None:
    module = AnsibleModule({"authorities": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        given = {name: authority(name, str(pem)) for name, pem in module.params["authorities"].items()}
    except PemError as error:
        module.fail_json(msg=str(error))
    wanted = {LOCAL / f"{PREFIX}{name}.crt": pem for name, pem in given.items()}
    present = {path: path.read_bytes().decode(errors="replace") for path in LOCAL.glob(f"{PREFIX}*.crt")}
    write = [path for path, pem in wanted.items() if present.get(path) != pem]
    remove = [path for path in present if path not in wanted]
    bundle = BUNDLE.read_text() if BUNDLE.exists() else ""
    stale = bool(remove) or any(pem.strip() not in bundle for pem in wanted.values())

    if not module.check_mode:
        make_directory(LOCAL)
        for path in write:
            path.write_text(wanted[path])
            path.chmod(0o644)
        for path in remove:
            path.unlink()
        if write or stale:
            module.run_command(["update-ca-certificates"], check_rc=True)
    module.exit_json(
        changed=bool(write or stale),
        paths=[str(path) for path in write + remove],
        diff={"before": "".join(f"{path}\n" for path in remove), "after": "".join(f"{path}\n" for path in write)},
    )


if __name__ == "__main__":
    main()
