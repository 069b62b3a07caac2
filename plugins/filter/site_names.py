# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of nginx' sites, for templates, cards and plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge import site_names
from ansible_collections.slipway.ops.plugins.plugin_utils.filters import filters_of


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return filters_of(site_names.server_name, site_names.site_host, site_names.site_probes)
