#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_objects
short_description: Users, indexes and first documents of a MongoDB-compatible server in one call
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes what is missing and changes what differs. Nothing is dropped. An index that is there with other fields or
    options is an error, as making it anew may take hours.
  - The server is anybody's, by its URI.
options:
  uri:
    description: Where the server is and who asks, as drivers take it. The user may manage users, indexes and documents.
    type: str
    required: true
  users:
    description: Users. Those that are not listed stay as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
      database:
        description: Database that knows the user, C(authSource) for drivers.
        type: str
        default: admin
      roles:
        description: All its roles; others are taken away.
        type: list
        elements: dict
        default: []
        suboptions:
          role:
            description: A role, such as V(readWrite).
            type: str
            required: true
          database:
            description: Database that the role is for.
            type: str
            required: true
  indexes:
    description: Indexes. Those that are not listed stay as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      collection:
        description: Collection, as C(database.collection).
        type: str
        required: true
      keys:
        description:
          - Its fields in their order, V(created_at), V(-created_at) where it descends, V(place:2dsphere) of a kind.
        type: list
        elements: str
        required: true
      name:
        description: Its name; by default that of drivers, such as C(user_id_1_created_at_-1).
        type: str
      unique:
        description: Whether no two documents have the same.
        type: bool
        default: false
      sparse:
        description: Whether documents without the fields are left out.
        type: bool
        default: false
      expire_after:
        description: Seconds after the moment in its field at which the server removes a document.
        type: int
      partial:
        description: Filter of the documents that are in it.
        type: dict
  seeds:
    description: First documents of collections.
    type: list
    elements: dict
    default: []
    suboptions:
      collection:
        description: Collection, as C(database.collection).
        type: str
        required: true
      documents:
        description: Documents, each with an C(_id). One whose C(_id) is there already stays as it is.
        type: list
        elements: dict
        required: true
requirements:
  - python3-pymongo on the host
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: A sentence for each change; never a password.
  idempotent:
    support: full
    description: A password is the same when its user comes in with it.
"""

EXAMPLES = r"""
- name: Have the models' user and indexes
  slipway.ops.mongodb_objects:
    uri: "{{ vault_mongodb_uri }}"
    users:
      - {name: app, password: "{{ vault_app }}", roles: [{role: readWrite, database: modelops}]}
    indexes:
      - {collection: modelops.users, keys: [email], unique: true}
      - {collection: modelops.evaluations, keys: [user_id, -created_at]}
"""

RETURN = r"""
actions:
  description: What was done, or would be, a sentence each.
  type: list
  elements: str
  returned: success
  sample: ["made user app of admin: readWrite on modelops", "made index email_1 of modelops.users"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.objects import apply, wanted

ROLE = {"role": {"type": "str", "required": True}, "database": {"type": "str", "required": True}}
USER = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "database": {"type": "str", "default": "admin"},
    "roles": {"type": "list", "elements": "dict", "default": [], "options": ROLE},
}
INDEX = {
    "collection": {"type": "str", "required": True},
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
    "name": {"type": "str"},
    "unique": {"type": "bool", "default": False},
    "sparse": {"type": "bool", "default": False},
    "expire_after": {"type": "int"},
    "partial": {"type": "dict"},
}
SEED = {
    "collection": {"type": "str", "required": True},
    "documents": {"type": "list", "elements": "dict", "required": True},
}


def main() -> None:
    """Read the options, act, answer."""
    module = AnsibleModule(
        argument_spec={
            "uri": {"type": "str", "required": True, "no_log": True},
            # no_log for all of both: the journal has options as Python writes them, where a password with a quote in it
            # is not recognised, and first documents have fields of any name.
            "users": {"type": "list", "elements": "dict", "default": [], "options": USER, "no_log": True},
            "indexes": {"type": "list", "elements": "dict", "default": [], "options": INDEX},
            "seeds": {"type": "list", "elements": "dict", "default": [], "options": SEED, "no_log": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    # From here on only passwords are hidden, or no result could be read. An answer repeats its options, so the first
    # documents go out of them.
    module.no_log_values = {options["uri"], *(user["password"] for user in options["users"])} - {""}
    module.params = {**options, "seeds": [{"collection": seed["collection"]} for seed in options["seeds"]]}
    try:
        asked = wanted(options["users"], options["indexes"], options["seeds"])
        actions = apply(options["uri"], asked, module.check_mode)
    except MongodbError as error:
        module.fail_json(msg=f"mongodb_objects: {error}")
    module.exit_json(
        changed=bool(actions), actions=actions, diff={"before": "", "after": "".join(f"{one}\n" for one in actions)}
    )


if __name__ == "__main__":
    main()
