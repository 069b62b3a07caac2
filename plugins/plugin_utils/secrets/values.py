# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New values of secrets, by their kinds."""

from __future__ import annotations

import re
import secrets
import string
import subprocess

from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.files import SecretsError

LETTERS = string.ascii_letters + string.digits  # no template, URL or shell takes one of these for something else
LENGTHS = {"password": 32, "key": 48}


def new_value(kind: str) -> str:
    if kind == "age":
        return _age_identity()
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTHS[kind]))


def _age_identity() -> str:
    try:
        told = subprocess.run(["age-keygen"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SecretsError("age-keygen is missing on this controller: apt install age.") from None
    found = re.search(r"AGE-SECRET-KEY-1[0-9A-Z]+", told.stdout)
    if told.returncode or not found:
        raise SecretsError(f"age-keygen made no key: {' '.join(told.stderr.split())}")
    return found[0]
