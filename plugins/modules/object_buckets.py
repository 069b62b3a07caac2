#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: object_buckets
short_description: Have an S3 server's buckets, with versions, open to the users that are named
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes buckets, has them keep versions or stop to, and sets each one's policy as a whole, so that a user who is not
    named any more does not come in.
  - Removes no bucket and no object. A bucket that is not named is closed to all users but the owner.
  - Speaks TLS alone, and verifies the server's certificate.
options:
  name:
    description: Host name that the server's certificate is for.
    type: str
    required: true
  address:
    description: Address to connect to.
    type: str
    required: true
  port:
    description: Its port.
    type: int
    default: 7070
  region:
    description: Region that requests are signed for.
    type: str
    default: us-east-1
  ca:
    description: File with the authorities that the certificate is verified with. Empty for the system's.
    type: path
    default: ""
  credentials:
    description:
      - File on the host with lines C(ROOT_ACCESS_KEY_ID=…) and C(ROOT_SECRET_ACCESS_KEY=…), the credentials of the
        server's owner.
    type: path
    required: true
  buckets:
    description: The buckets.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      versioning:
        description: Whether what is deleted or overwritten is kept as a version.
        type: bool
        default: false
      read:
        description: Names of users who list and read.
        type: list
        elements: str
        default: []
      write:
        description: Names of users who also write and delete. None of them can delete a version.
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: full
    description: What is done, a sentence each.
  idempotent:
    support: full
    description: Buckets that are as they should be are left alone.
"""

EXAMPLES = r"""
- name: Have a bucket for backups
  slipway.ops.object_buckets:
    name: objects1
    address: 10.1.20.5
    credentials: /etc/slipway/object_store/root.env
    buckets:
      - {name: backups, versioning: true, write: [pgbackrest], read: [auditor]}
"""

RETURN = r"""
actions:
  description: What was done, or would be, a sentence each.
  type: list
  elements: str
  returned: success
  sample: [made bucket backups, opened backups to auditor, pgbackrest alone]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.data.buckets import ACCESS, Bucket, settle
from ansible_collections.slipway.ops.plugins.module_utils.net.s3 import Client, Endpoint, S3Error

BUCKET = {
    "name": {"type": "str", "required": True},
    "versioning": {"type": "bool", "default": False},
    "read": {"type": "list", "elements": "str", "default": []},
    "write": {"type": "list", "elements": "str", "default": []},
}


def owner(path: str) -> tuple[str, str]:
    """Key and secret of the server's owner."""
    lines = (line.partition("=") for line in Path(path).read_text(encoding="utf-8").splitlines())
    found = {name: value for name, _, value in lines}
    try:
        return found["ROOT_ACCESS_KEY_ID"], found["ROOT_SECRET_ACCESS_KEY"]
    except KeyError as error:
        raise S3Error(f"{path} has no line {error.args[0]}=…; run the role object_store again") from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 7070},
            "region": {"type": "str", "default": "us-east-1"},
            "ca": {"type": "path", "default": ""},
            "credentials": {"type": "path", "required": True},
            "buckets": {"type": "list", "elements": "dict", "default": [], "options": BUCKET},
        },
        supports_check_mode=True,
    )
    options = module.params
    endpoint = Endpoint(options["name"], options["address"], options["port"], options["region"], options["ca"])
    buckets = [
        Bucket(one["name"], one["versioning"], {kind: one[kind] for kind in ACCESS}) for one in options["buckets"]
    ]
    try:
        actions = settle(Client(endpoint, *owner(options["credentials"])), buckets, module.check_mode)
    except (S3Error, OSError) as error:
        module.fail_json(msg=f"object_buckets: {error}")
    module.exit_json(
        changed=bool(actions), actions=actions, diff={"before": "", "after": "".join(f"{one}\n" for one in actions)}
    )


if __name__ == "__main__":
    main()
