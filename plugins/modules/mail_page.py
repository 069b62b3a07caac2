#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_page
short_description: Send a page by mail
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Sends an HTML page, with a plain text for those who read no HTML.
  - The server's certificate is verified; a password never goes out without TLS.
options:
  server:
    description: The server that takes mail, with its port. On port 465 TLS comes first, elsewhere by STARTTLS.
    type: str
    required: true
  sender:
    description: Address that it is from.
    type: str
    required: true
  to:
    description: Addresses that it goes to.
    type: list
    elements: str
    required: true
  subject:
    description: What it is about.
    type: str
    required: true
  html:
    description: The page.
    type: str
    required: true
  text:
    description: The same in a few words.
    type: str
    required: true
  username:
    description: Login at the server. Empty for none.
    type: str
    default: ""
  password:
    description: Password at the server.
    type: str
    default: ""
  tls:
    description: Whether it is sent over TLS only.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Nothing is sent.
  diff_mode:
    support: none
    description: Nothing of the host is changed.
  idempotent:
    support: none
    description: Each run of the task sends a mail.
"""

EXAMPLES = r"""
- name: Send the report
  slipway.ops.mail_page:
    server: mail.example.com:587
    sender: slipway@example.com
    to: [team@example.com]
    subject: "Operations report: the last 7 days"
    html: "{{ page }}"
    text: The report is the HTML part of this mail.
"""

RETURN = r"""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.mail import MailError, Server, message, send
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError


def main() -> None:
    """Read the options, send."""
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "sender": {"type": "str", "required": True},
            "to": {"type": "list", "elements": "str", "required": True},
            "subject": {"type": "str", "required": True},
            "html": {"type": "str", "required": True},
            "text": {"type": "str", "required": True},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "tls": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        mail = message(options["sender"], options["to"], options["subject"], options["html"], options["text"])
        if not module.check_mode:
            send(Server(options["server"], options["username"], options["password"], options["tls"]), mail)
    except (MailError, AddressError, ValueError) as error:
        module.fail_json(msg=f"No mail was sent: {error}.")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
