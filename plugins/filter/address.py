# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Host and port as one text and as two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.net import address


def join_host_port(host: str, port: int | str) -> str:
    """See join_host_port.yml."""
    try:
        return address.join_host_port(host, port)
    except address.AddressError as error:
        raise AnsibleFilterError(f"join_host_port: {error}") from error


def split_host_port(text: str, port: int | None = None) -> list[Any]:
    """See split_host_port.yml."""
    try:
        return list(address.split_host_port(text, port))
    except address.AddressError as error:
        raise AnsibleFilterError(f"split_host_port: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"join_host_port": join_host_port, "split_host_port": split_host_port}
