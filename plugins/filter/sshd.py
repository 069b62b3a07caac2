# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sshd's settings, for the version that a host has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host import sshd
from ansible_collections.slipway.ops.plugins.module_utils.net import public_keys


def sshd_settings(wanted: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    """See sshd_settings.yml."""
    return sshd.settings(wanted, told)


def public_key_problems(keys: Sequence[object], variable: str) -> list[str]:
    """See public_key_problems.yml."""
    return public_keys.key_problems(keys, variable)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"public_key_problems": public_key_problems, "sshd_settings": sshd_settings}
