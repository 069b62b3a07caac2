# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One word of a command line in a unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def systemd_word(text: Any) -> str:
    """See systemd_word.yml."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"systemd_word": systemd_word}
