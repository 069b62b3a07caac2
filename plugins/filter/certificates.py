# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What role certificate asks of its list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.certificates.wishes import certificate_problems


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"certificate_problems": certificate_problems}
