# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of hosts in their one spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.net import names


def subject_alt_names(given: list[str]) -> list[str]:
    """See subject_alt_names.yml."""
    try:
        return names.subject_alt_names(given)
    except names.HostNameError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"subject_alt_names": subject_alt_names}
