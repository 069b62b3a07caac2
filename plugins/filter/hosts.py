# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patterns of plays, from the inventory's groups.

A pattern is worked out before the first worker is forked. Who uses a filter of this collection there has Ansible read
all files of filters once, instead of in each worker that uses one (0.2 s of processor time, a few hundred times a run).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean

OURS = "slipway"
NOBODY = "!all"


def ours(groups: Mapping[str, Sequence[str]]) -> str:
    """See ours.yml."""
    return OURS if OURS in groups else "all"


def hosts_with(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]], variable: str) -> str:
    """See hosts_with.yml."""

    def is_on(host: str) -> bool:
        try:
            return boolean(hostvars.get(host, {}).get(variable, False))
        except TypeError as error:
            raise AnsibleFilterError(f"{variable} of {host} is neither true nor false: {error}") from error

    return ",".join(filter(is_on, groups[ours(groups)])) or NOBODY


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ours": ours, "hosts_with": hosts_with}
