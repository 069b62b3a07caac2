#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: awx_jobs
short_description: Have AWX run a list of jobs
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Makes organization, execution environment, project, inventory, notification templates, and of each job a template
    with its survey, a schedule and, where somebody has to approve, a workflow, by the API of AWX (24.6.1).
  - A second run changes nothing. What somebody changed by hand is told field by field, and put back.
  - Objects of the organization that the list does not have are told and left alone, but for schedules that an earlier
    list made; they are removed.
  - Credentials are looked up and never made, for their values are in AWX alone.
  - Runs where AWX can be reached, as a rule on the controller.
options:
  url:
    description: Where AWX is. C(https) only, but on this host.
    type: str
    required: true
  token:
    description: A token of a user who may change the organization. Or O(username) and O(password).
    type: str
    default: ""
  username:
    description: Name of that user.
    type: str
    default: ""
  password:
    description: Their password.
    type: str
    default: ""
  ca_file:
    description: Authority of AWX' certificate, when the system does not trust it.
    type: path
  organization:
    description: The organization that everything belongs to.
    type: str
    required: true
  project:
    description: Name of the project.
    type: str
    required: true
  scm_url:
    description: The project's git repository.
    type: str
    required: true
  scm_branch:
    description: Its branch, tag or commit.
    type: str
    default: ""
  scm_credential:
    description: Name of the credential that reads it.
    type: str
    default: ""
  inventory:
    description: Name of the inventory.
    type: str
    required: true
  inventory_path:
    description: Its file in the project, such as V(hosts.yml).
    type: str
    required: true
  execution_environment:
    description: Name of the execution environment.
    type: str
    default: slipway
  image:
    description: Its image, with a tag. Without one templates use AWX' default.
    type: str
    default: ""
  galaxy_credentials:
    description: >-
      Names of the credentials by which the project's C(requirements.yml) is installed, in their order. Without one AWX
      passes over that file without a word, so it cannot be empty.
    type: list
    elements: str
    default: [Ansible Galaxy]
  credentials:
    description: Names of the credentials of each job, such as one that logs in to hosts and one that opens the vault.
    type: list
    elements: str
    default: []
  credential_types:
    description:
      - Types of credentials that AWX does not have by itself. Each has C(name), C(fields), which are C(id), C(label)
        and C(secret) - true, unless it is told - and C(env) or C(extra_vars), names by which jobs find fields.
      - Their values are filled in in AWX alone.
    type: list
    elements: dict
    default: []
  notices:
    description: >-
      Who is told of ends, by name, as C(jobs_notices) of the role P(slipway.ops.jobs#role). Give it as one text of JSON
      (C(to_json)), for it holds secrets.
    type: json
    default: "{}"
  jobs:
    description: The list, as C(jobs_list) of the role P(slipway.ops.jobs#role) has it.
    type: list
    elements: dict
    required: true
  timezone:
    description: Time zone of schedules that name none.
    type: str
    default: Etc/UTC
  wait:
    description: Seconds in which the project's files must have come, when it is new.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
    description: Tells what would change; of what is not there yet, that it would be made.
  diff_mode:
    support: full
    description: The changes, a line each.
  idempotent:
    support: full
    description: What is as it is wanted is left alone.
"""

EXAMPLES = r"""
- name: Have AWX run the jobs
  slipway.ops.awx_jobs:
    url: https://awx.example.com
    token: "{{ vault_awx_token }}"
    organization: shop
    project: shop
    scm_url: https://git.example.com/shop/operations.git
    inventory: production
    inventory_path: hosts.yml
    credentials: [shop-ssh, shop-vault]
    jobs: [{name: health, playbook: playbooks/health.yml, schedule: FREQ=MINUTELY;INTERVAL=5}]
"""

RETURN = r"""
made:
  description: Objects that were made, kind and name.
  returned: success
  type: list
  elements: str
changes:
  description: What was changed of objects that were there, a line each.
  returned: success
  type: list
  elements: str
foreign:
  description: Templates of the organization that the list does not have, and schedules that somebody made by hand.
  returned: success
  type: list
  elements: str
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.awx.client import AwxError, Client, Login
from ansible_collections.slipway.ops.plugins.module_utils.awx.credential_types import CredentialTypeError
from ansible_collections.slipway.ops.plugins.module_utils.awx.objects import (
    Place,
    SettingsError,
    objects,
    schedules,
    templates,
)
from ansible_collections.slipway.ops.plugins.module_utils.awx.sync import Sync
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError, read_jobs
from ansible_collections.slipway.ops.plugins.module_utils.jobs.notices import read_notices

TEXT = {"type": "str", "default": ""}
NEEDED = {"type": "str", "required": True}
LOGIN = ("url", "token", "username", "password", "ca_file")
PLACE = ("organization", "project", "scm_url", "scm_branch", "scm_credential", "inventory", "inventory_path")


def main() -> None:
    module = AnsibleModule(
        {
            "url": NEEDED,
            "token": {**TEXT, "no_log": True},
            "username": TEXT,
            "password": {**TEXT, "no_log": True},
            "ca_file": {"type": "path"},
            "organization": NEEDED,
            "project": NEEDED,
            "scm_url": NEEDED,
            "scm_branch": TEXT,
            "scm_credential": TEXT,
            "inventory": NEEDED,
            "inventory_path": NEEDED,
            "execution_environment": {"type": "str", "default": "slipway"},
            "image": TEXT,
            "galaxy_credentials": {"type": "list", "elements": "str", "default": ["Ansible Galaxy"], "no_log": False},
            "credentials": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "credential_types": {"type": "list", "elements": "dict", "default": [], "no_log": False},
            # A text: of a mapping each piece is hidden by itself, and so is whatever else is spelled as a piece is.
            "notices": {"type": "json", "default": "{}", "no_log": True},
            "jobs": {"type": "list", "elements": "dict", "required": True},
            "timezone": {"type": "str", "default": "Etc/UTC"},
            "wait": {"type": "float", "default": 600},
        },
        required_one_of=[["token", "password"]],
        supports_check_mode=True,
    )
    given = module.params
    try:
        notices = read_notices(json.loads(given["notices"]))
        jobs = read_jobs(given["jobs"], given["timezone"], list(notices))
        place = Place(
            **{name: given[name] for name in (*PLACE, "execution_environment", "image")},
            galaxy_credentials=tuple(given["galaxy_credentials"]),
            credentials=tuple(given["credentials"]),
            credential_types=given["credential_types"],
            notices=notices,
        )
        sync = Sync(Client(Login(**{name: given[name] or "" for name in LOGIN})), module.check_mode, given["wait"])
        wanted = list(objects(place, jobs))
        sync.apply(wanted)
        scheduled = sync.unschedule(place.organization, wanted, schedules(jobs))
        foreign = [
            f"{kind} {name}"
            for kind, names in templates(jobs).items()
            for name in sync.foreign(kind, place.organization, names)
        ] + scheduled
    except (AwxError, CredentialTypeError, JobsError, SettingsError) as error:
        module.fail_json(msg=str(error))
    lines = [f"+ {made}" for made in sync.made] + [f"~ {change}" for change in sync.changes]
    module.exit_json(
        changed=sync.changed,
        made=sync.made,
        changes=sync.changes,
        foreign=foreign,
        diff={"before": "", "after": "".join(f"{line}\n" for line in lines)},
    )


if __name__ == "__main__":
    main()
