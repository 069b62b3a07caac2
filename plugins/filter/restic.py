# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sources and clients of role restic from the inventory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.files.settings import clients_of, sources_of


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"restic_sources": sources_of, "restic_clients": clients_of}
