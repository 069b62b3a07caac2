#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: attack
short_description: Send the sites of an edge what attackers try first
version_added: 0.1.0
description:
  - Sends each site some 50 requests, at most 20 a second and one after the other - injections of textbooks in query,
    form and JSON, scanners' names, hidden files, forged headers, what is no request for the site, plain HTTP, old
    versions of TLS, and a path with a rate limit past its rate - and ordinary requests before, while and after.
  - It is for one's own sites only. C(attack.yml) takes them from the inventory, and judges what came back.
options:
  sites:
    description: What the filter P(slipway.ops.attack_sites#filter) gave.
    type: list
    elements: dict
    required: true
  ban_retries:
    description:
      - After how many refusals fail2ban of the edge bans a client; 0 where it does not. Who would be banned sends
        nothing.
    type: int
    default: 0
  ban_trusted:
    description: Addresses and networks that fail2ban never bans.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: In check mode nothing is sent.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: Nothing is changed.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Attack the sites of this edge, from the monitor
  slipway.ops.attack:
    sites: "{{ nginx_sites | slipway.ops.attack_sites(edge) }}"
  delegate_to: monitor1
  register: attacked
"""

RETURN = r"""
sent:
  description:
    - By site when it began (C(at)), how long it took (C(took), seconds), the sender's own address (C(own)), why nothing
      could be sent (C(error)), and the C(answers), by attempt.
  returned: success
  type: list
  elements: dict
request_ids:
  description: Numbers of the requests, by which the edge's access log knows them.
  returned: success
  type: list
  elements: str
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import Site, ban_problem
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack_sender import own_address, send

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def request_ids(sent: list[dict[str, Any]]) -> list[str]:
    """Those that can be searched for, each once."""
    found = [
        str(answer["headers"].get("x-request-id", ""))
        for site in sent
        for answers in site["answers"].values()
        for answer in answers
    ]
    return list(dict.fromkeys(id for id in found if REQUEST_ID.fullmatch(id)))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "ban_retries": {"type": "int", "default": 0},
            "ban_trusted": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, sent=[], request_ids=[])
    sites = [Site.read(site) for site in module.params["sites"]]
    if sites and module.params["ban_retries"]:
        try:
            own = own_address(sites[0])
        except OSError:
            own = ""  # each site says so
        if own and (problem := ban_problem(sites, module.params["ban_retries"], module.params["ban_trusted"], own)):
            module.fail_json(msg=problem)
    sent = [send(site) for site in sites]
    module.exit_json(changed=False, sent=sent, request_ids=request_ids(sent))


if __name__ == "__main__":
    main()
