# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter bcrypt_hash."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bcrypt_hash
short_description: bcrypt hash that is the same in every run
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Hashes a password for a password file, so that a second run finds the file unchanged.
  - The salt is derived from O(identity), never from the password, and so differs between users and hosts.
  - Uses the controller's C library, or the Python package C(bcrypt) where that is installed.
positional: identity
options:
  _input:
    description: The password, 1 to 72 bytes.
    type: str
    required: true
  identity:
    description: Whose password it is and where, for example V(app@registry1).
    type: str
    required: true
  cost:
    description: Binary logarithm of the number of rounds, 4 to 16. Each step doubles the time of every login.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: A line of a password file
  ansible.builtin.debug:
    msg: "{{ 'app:' ~ vault_app_password | slipway.ops.bcrypt_hash('app@' ~ inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The hash, starting with C($2b$).
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.bcrypt_hash import HashError, bcrypt_hash


def _filter(password: str, identity: str, cost: int = 10) -> str:
    try:
        return bcrypt_hash(str(password), str(identity), int(cost))
    except HashError as error:
        raise AnsibleFilterError(f"bcrypt_hash: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"bcrypt_hash": _filter}
